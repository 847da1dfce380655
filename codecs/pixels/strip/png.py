"""Cuts metadata out of a PNG, animated or not (PNG specification, third edition, section 11)."""

import struct
from typing import Final

from pixels import png_chunks
from pixels.strip.errors import NotStrippable

#: What a picture is shown by. Everything else tells about it: text, time, EXIF, density, previews, private chunks.
_SHOWN: Final = frozenset(b"IHDR PLTE IDAT IEND tRNS gAMA cHRM sRGB cICP mDCV cLLI acTL fcTL fdAT".split())
_ORIENTATION_TAG: Final = 0x0112


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
            kept.append(_orientation_alone(bytes(chunk.body)))
        if chunk.kind == b"IEND":
            return b"".join(kept)
    raise NotStrippable("the PNG has no end")


def _orientation_alone(exif: bytes) -> bytes:
    """Reduce an eXIf chunk's body (a TIFF, Exif 3.0, 4.5) to its orientation; nothing where it is upright."""
    order = {b"II": "<", b"MM": ">"}.get(exif[:2])
    if order is None:
        return b""
    try:
        (start,) = struct.unpack_from(order + "I", exif, 4)
        (count,) = struct.unpack_from(order + "H", exif, start)
        for entry in range(start + 2, start + 2 + 12 * count, 12):
            tag, _, _, orientation = struct.unpack_from(order + "HHIH", exif, entry)
            if tag == _ORIENTATION_TAG and 1 < orientation <= 8:
                tiff = struct.pack(">2sHIHHHIHHI", b"MM", 42, 8, 1, _ORIENTATION_TAG, 3, 1, orientation, 0, 0)
                return png_chunks.build(b"eXIf", tiff)
    except struct.error:
        pass  # a broken EXIF states no orientation
    return b""
