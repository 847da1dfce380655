"""Keeps EXIF away from libvips that would take its reader without end: see `exif.is_tame`.

What is not tame counts as not there. In a PNG `png_metadata` sees to that, because its text has to be kept away too.
"""

import re
from collections.abc import Callable, Iterator
from typing import Final

from pixels import exif, jpeg_segments, webp_chunks
from pixels.formats import FormatName
from pixels.strip.avif_items import read_items
from pixels.strip.errors import NotStrippable

_EXIF_FLAG: Final = 0x08
_VP8X_FLAGS_AT: Final = 20
#: An item's entry in a HEIF file that says "Exif" (ISO/IEC 14496-12, 8.11.6): version and flags, id, protection, type.
_EXIF_ITEM: Final = re.compile(rb"infe[\x02\x03].{3}(?:.{4}|.{6})(Exif)", re.DOTALL)


def without_wild_exif(data: memoryview, name: FormatName) -> memoryview:
    """Return `data`, or a copy of the same length whose EXIF is hidden, where that is not tame."""
    hide = _HIDERS.get(name)
    hidden = list(hide(data)) if hide else []
    if not hidden:
        return data
    copy = bytearray(data)
    for at, new in hidden:
        copy[at : at + len(new)] = new
    return memoryview(copy).toreadonly()


def _hide_in_jpeg(data: memoryview) -> Iterator[tuple[int, bytes]]:
    """Yield where to write what. Readers take the first segment of EXIF that comes before the pixels."""
    for segment in jpeg_segments.walk(data):
        if segment.marker == jpeg_segments.SOS:
            return
        body = data[segment.start : segment.end]
        is_exif = segment.marker == jpeg_segments.APP1 and bytes(body[: len(exif.PREFIX)]) == exif.PREFIX
        if is_exif and not exif.is_tame(body):
            yield segment.start, bytes(len(exif.PREFIX))


def _hide_in_webp(data: memoryview) -> Iterator[tuple[int, bytes]]:
    for at, kind, body in webp_chunks.walk(data):
        if kind == b"EXIF" and not exif.is_tame(body):
            yield at, b"gone"
            yield _VP8X_FLAGS_AT, bytes((data[_VP8X_FLAGS_AT] & ~_EXIF_FLAG,))


def _hide_in_avif(data: memoryview) -> Iterator[tuple[int, bytes]]:
    items = list(_EXIF_ITEM.finditer(data))
    if not items:
        return
    try:
        # An item begins with how far before the TIFF header is (ISO/IEC 23008-12, A.2.1).
        tame = all(exif.is_tame(item[4 + int.from_bytes(item[:4], "big") :]) for item in read_items(data, b"Exif"))
    except NotStrippable:
        tame = False
    if not tame:
        yield from ((item.start(1), b"gone") for item in items)


_HIDERS: Final[dict[FormatName, Callable[[memoryview], Iterator[tuple[int, bytes]]]]] = {
    "jpeg": _hide_in_jpeg,
    "webp": _hide_in_webp,
    "avif": _hide_in_avif,
}
