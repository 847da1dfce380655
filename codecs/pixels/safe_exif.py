"""Keeps EXIF away from libvips that would take its reader without end: see `exif.is_tame`.

What is not tame counts as not there. In a PNG `png_metadata` sees to that, because its text has to be kept away too.
"""

import re
from collections.abc import Callable, Iterator
from typing import Final

from pixels import exif, jpeg_segments
from pixels.formats import FormatName
from pixels.strip.avif import read_items
from pixels.strip.errors import NotStrippable

_EXIF_FLAG: Final = 0x08
_VP8X_FLAGS_AT: Final = 20
#: An item's entry in a HEIF file that says "Exif" (ISO/IEC 14496-12, 8.11.6): version and flags, id, protection, type.
_EXIF_ITEM: Final = re.compile(rb"infe[\x02\x03].{3}(?:.{4}|.{6})(Exif)", re.DOTALL)


def without_wild_exif(data: memoryview, name: FormatName) -> memoryview:
    """Return `data`, or a copy of the same length whose EXIF is hidden, where that is not tame."""
    hide = _HIDERS.get(name)
    hidden = list(hide(bytes(data))) if hide else []
    if not hidden:
        return data
    copy = bytearray(data)
    for at, new in hidden:
        copy[at : at + len(new)] = new
    return memoryview(copy).toreadonly()


def _hide_in_jpeg(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield where to write what. Readers take the first segment of EXIF that comes before the pixels."""
    for segment in jpeg_segments.walk(data):
        if segment.marker == jpeg_segments.SOS:
            return
        is_exif = segment.marker == jpeg_segments.APP1 and data.startswith(exif.PREFIX, segment.start)
        if is_exif and not exif.is_tame(data[segment.start : segment.end]):
            yield segment.start, bytes(len(exif.PREFIX))


def _hide_in_webp(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 12
    while at + 8 <= len(data):
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        if data[at : at + 4] == b"EXIF" and not exif.is_tame(data[at + 8 : at + 8 + size]):
            yield at, b"gone"
            yield _VP8X_FLAGS_AT, bytes((data[_VP8X_FLAGS_AT] & ~_EXIF_FLAG,))
        at += 8 + size + size % 2


def _hide_in_avif(data: bytes) -> Iterator[tuple[int, bytes]]:
    items = list(_EXIF_ITEM.finditer(data))
    if not items:
        return
    try:
        # An item begins with how far before the TIFF header is (ISO/IEC 23008-12, A.2.1).
        tame = all(
            exif.is_tame(item[4 + int.from_bytes(item[:4], "big") :]) for item in read_items(memoryview(data), b"Exif")
        )
    except NotStrippable:
        tame = False
    if not tame:
        yield from ((item.start(1), b"gone") for item in items)


_HIDERS: Final[dict[FormatName, Callable[[bytes], Iterator[tuple[int, bytes]]]]] = {
    "jpeg": _hide_in_jpeg,
    "webp": _hide_in_webp,
    "avif": _hide_in_avif,
}
