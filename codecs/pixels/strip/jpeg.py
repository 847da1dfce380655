"""Cuts metadata out of a JPEG (ITU-T T.81, annex B; JFIF 1.02)."""

import re
from typing import Final

from pixels import exif
from pixels.rights import Rights
from pixels.strip.errors import NotStrippable

_SOI, _EOI, _SOS, _APP0, _APP14, _APP15, _COM = 0xD8, 0xD9, 0xDA, 0xE0, 0xEE, 0xEF, 0xFE
_APP1: Final = b"\xff\xe1"
#: What a segment with XMP begins with (ISO 16684-3, 1.1.3).
_XMP_NAME: Final = b"http://ns.adobe.com/xap/1.0/\0"
#: The end of entropy-coded data: a marker that is neither a stuffed zero, nor a restart, nor a fill byte.
_NEXT_MARKER: Final = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
#: JFIF without the thumbnail that may follow: identifier, version, density, and two zero sides.
_JFIF_BYTES: Final = 14
#: Real files have some dozens.
_MAX_SEGMENTS: Final = 20_000


def strip_jpeg(data: memoryview, rights: Rights | None = None) -> bytes:
    """Keep what decodes the first image: JFIF's and Adobe's markers, tables, frames, scans; and put `rights` in.

    Gone are every other application segment, comments, JFIF's thumbnails, and whatever follows the end of the image
    (the second pictures and gain maps of a multi-picture file).

    Raises
    ------
    NotStrippable
        A marker is missing, a segment is cut, or there are very many.
    """
    kept: list[bytes | memoryview] = [data[:2]]
    at = 2
    awaited = [] if rights is None else [exif.PREFIX + rights.exif_block(), *_xmp_bodies(rights)]
    for _ in range(_MAX_SEGMENTS):
        at, marker = _marker(data, at)
        # JFIF's own segment comes first.
        if awaited and marker != _APP0:
            kept.extend(_APP1 + (len(body) + 2).to_bytes(2, "big") + body for body in awaited)
            awaited = []
        if marker == _EOI:
            kept.append(b"\xff\xd9")
            return b"".join(kept)
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        if end > len(data) or end < at + 4:
            raise NotStrippable("a JPEG segment is cut")
        kept.append(_segment(data[at:end], marker))
        if marker == _SOS:
            scan_end = _NEXT_MARKER.search(data, end)
            if scan_end is None:
                raise NotStrippable("the JPEG has no end")
            kept.append(data[end : scan_end.start()])
            end = scan_end.start()
        at = end
    raise NotStrippable("the JPEG is cut into very many segments")


def _xmp_bodies(rights: Rights) -> list[bytes]:
    packet = rights.xmp_packet()
    return [_XMP_NAME + packet] if packet else []


def _marker(data: memoryview, at: int) -> tuple[int, int]:
    """Find the marker at `at`, where fill bytes may come first (T.81, B.1.1.2): its offset and its code."""
    while bytes(data[at : at + 2]) == b"\xff\xff":
        at += 1
    if at + 2 > len(data) or data[at] != 0xFF:
        raise NotStrippable("a JPEG marker is missing")
    return at, data[at + 1]


def _segment(segment: memoryview, marker: int) -> bytes | memoryview:
    identifier = bytes(segment[4:9])
    if marker == _APP0 and identifier == b"JFIF\0":
        whole = bytes(segment[: 4 + _JFIF_BYTES - 2]) + b"\0\0"
        return whole[:2] + (_JFIF_BYTES + 2).to_bytes(2, "big") + whole[4:]
    if marker == _APP14 and identifier == b"Adobe":
        return segment
    return b"" if _APP0 <= marker <= _APP15 or marker == _COM else segment
