"""Cuts metadata out of a PNG, animated or not (PNG specification, third edition, section 11)."""

from typing import Final

from pixels import exif, png_chunks
from pixels.strip.errors import NotStrippable

#: What a picture is shown by. Everything else tells about it: text, time, EXIF, density, previews, private chunks.
_SHOWN: Final = frozenset(b"IHDR PLTE IDAT IEND tRNS gAMA cHRM sRGB cICP mDCV cLLI acTL fcTL fdAT".split())


def strip_png(data: memoryview, *, keep_look: bool = False) -> bytes:
    """Keep the chunks that a picture is shown by, byte for byte, and drop all others.

    Parameters
    ----------
    data
        The whole file; what follows its end is dropped.
    keep_look
        True keeps what the pixels look wrong without too: the colour profile, and of EXIF the orientation.

    Raises
    ------
    NotStrippable
        The file ends before its IEND chunk.
    """
    kept: list[bytes | memoryview] = [png_chunks.SIGNATURE]
    for chunk in png_chunks.walk(data):
        if chunk.kind in _SHOWN or (keep_look and chunk.kind == b"iCCP"):
            kept.append(chunk.whole)
        elif keep_look and chunk.kind == b"eXIf":
            orientation = exif.read_orientation(bytes(chunk.body))
            kept.append(png_chunks.build(b"eXIf", exif.build_orientation(orientation)) if orientation != 1 else b"")
        if chunk.kind == b"IEND":
            return b"".join(kept)
    raise NotStrippable("the PNG has no end")
