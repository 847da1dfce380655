"""Cuts metadata out of a PNG, animated or not (PNG specification, third edition, section 11)."""

from collections.abc import Iterator
from typing import Final

from pixels import exif, png_chunks
from pixels.png_metadata import read_metadata
from pixels.rights import Rights
from pixels.strip.errors import NotStrippable
from pixels.strip.metadata import Metadata

#: What a picture is shown by. Everything else tells about it: text, time, EXIF, density, previews, private chunks.
_SHOWN: Final = frozenset(b"IHDR PLTE IDAT IEND tRNS gAMA cHRM sRGB cICP mDCV cLLI acTL fcTL fdAT".split())
_PIXELS: Final = frozenset((b"IDAT", b"fdAT"))
#: An iTXt's keyword of XMP, not packed, in no language.
_XMP_HEAD: Final = b"XML:com.adobe.xmp\0\0\0\0\0"


def strip_png(
    data: memoryview, rights: Rights | None = None, *, keep_look: bool = False, allow_cut: bool = False
) -> bytes:
    """Keep the chunks that a picture is shown by, byte for byte, and drop all others.

    Parameters
    ----------
    data
        The whole file; what follows its end is dropped.
    rights
        Written before the pixels.
    keep_look
        True keeps what the pixels look wrong without too: the colour profile, and of EXIF the orientation.
    allow_cut
        True takes a file that breaks off behind the begin of its first IDAT chunk, as far as it goes.

    Raises
    ------
    NotStrippable
        The file ends before its IEND chunk.
    """
    kept: list[bytes | memoryview] = [png_chunks.SIGNATURE]
    has_pixels, at = False, len(png_chunks.SIGNATURE)
    orientation = _find_orientation(data) if keep_look else 1
    for chunk in png_chunks.walk(data):
        if chunk.kind == b"IHDR":
            kept.append(chunk.whole)
            kept.extend(_statements(rights, orientation))
        elif chunk.kind in _SHOWN or (keep_look and chunk.kind == b"iCCP"):
            kept.append(chunk.whole)
        if chunk.kind == b"IEND":
            return b"".join(kept)
        at += len(chunk.whole)
        has_pixels |= chunk.kind in _PIXELS
    rest = _cut_pixels(data, at)
    if allow_cut and (has_pixels or rest):
        return b"".join((*kept, rest))
    raise NotStrippable("the PNG has no end")


def find_metadata(data: memoryview) -> Metadata:
    """Return the first EXIF and XMP; what is broken, or would take long to read, counts as not there."""
    found = read_metadata(data)
    return Metadata(exif=found.exif or b"", xmp=found.xmp or b"")


def _cut_pixels(data: memoryview, at: int) -> memoryview:
    """Return what there is of the chunk at `at`, if it has pixels and the file ends in it."""
    is_cut = at + png_chunks.FRAMING_BYTES + int.from_bytes(data[at : at + 4], "big") > len(data)
    return data[at:] if is_cut and bytes(data[at + 4 : at + 8]) in _PIXELS else data[:0]


def _find_orientation(data: memoryview) -> int:
    blocks = (bytes(chunk.body) for chunk in png_chunks.walk(data) if chunk.kind == b"eXIf")
    return next(map(exif.read_orientation, blocks), 1)


def _statements(rights: Rights | None, orientation: int) -> Iterator[bytes]:
    """Yield the chunks of EXIF and XMP that say what is to stay."""
    if rights is not None:
        yield png_chunks.build(b"eXIf", rights.exif_block(orientation))
        if packet := rights.xmp_packet():
            yield png_chunks.build(b"iTXt", _XMP_HEAD + packet)
    elif orientation != 1:
        yield png_chunks.build(b"eXIf", exif.build(orientation))
