"""Cuts metadata out of a JPEG (ITU-T T.81, annex B; JFIF 1.02)."""

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from pixels import exif
from pixels.rights import Rights
from pixels.strip.errors import NotStrippable
from pixels.strip.metadata import Metadata

_EOI, _SOS, _APP0, _APP1, _APP2, _APP13, _APP14, _APP15 = 0xD9, 0xDA, 0xE0, 0xE1, 0xE2, 0xED, 0xEE, 0xEF
_COM: Final = 0xFE
_SCAN: Final = -1
#: What a segment with XMP begins with (ISO 16684-3, 1.1.3).
_XMP_NAME: Final = b"http://ns.adobe.com/xap/1.0/\0"
_IPTC_NAME: Final = b"Photoshop 3.0\0"
#: What a segment with a part of the colour profile begins with (ICC.1:2022, B.4).
_ICC_NAME: Final = b"ICC_PROFILE\0"
#: The end of entropy-coded data: a marker that is neither a stuffed zero, nor a restart, nor a fill byte.
_NEXT_MARKER: Final = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
#: A marker, before which fill bytes may come (T.81, B.1.1.2).
_MARKER: Final = re.compile(rb"\xff+([^\x00\xff])", re.DOTALL)
#: Marker and length.
_HEAD_BYTES: Final = 4
#: JFIF without the thumbnail that may follow: identifier, version, density, and two zero sides.
_JFIF_BYTES: Final = 14
#: Real files have some dozens.
_MAX_SEGMENTS: Final = 20_000


class _Segment(NamedTuple):
    """One segment, from its marker on; or the entropy-coded data that follows a SOS, whose `marker` is `_SCAN`."""

    marker: int
    whole: memoryview

    def starts_with(self, name: bytes) -> bool:
        return self.whole[_HEAD_BYTES : _HEAD_BYTES + len(name)] == name


def strip_jpeg(
    data: memoryview, rights: Rights | None = None, *, keep_look: bool = False, allow_cut: bool = False
) -> bytes:
    """Keep what decodes the first image: JFIF's and Adobe's markers, tables, frames, scans; and put `rights` in.

    Gone are every other application segment, comments, JFIF's thumbnails, and whatever follows the end of the image
    (the second pictures and gain maps of a multi-picture file).

    Parameters
    ----------
    keep_look
        True keeps what the pixels look wrong without too: the colour profile, and of EXIF the orientation.
    allow_cut
        True takes a file that breaks off behind the begin of its first scan, as far as it goes. What follows something
        that is no segment goes: nobody can tell what it is.

    Raises
    ------
    NotStrippable
        A marker is missing, a segment is cut, or there are very many.
    """
    kept: list[bytes | memoryview] = [data[:2]]
    awaited = list(_statements(rights, find_metadata(data).orientation if keep_look else 1))
    has_scan = False
    try:
        for segment in _walk(data):
            # JFIF's own segment comes first.
            if awaited and segment.marker != _APP0:
                kept.extend(b"\xff\xe1" + (len(body) + 2).to_bytes(2, "big") + body for body in awaited)
                awaited = []
            kept.append(_shown(segment, keep_look=keep_look))
            has_scan |= segment.marker == _SCAN
    except NotStrippable:
        if not (allow_cut and has_scan):
            raise
    return b"".join(kept)


def find_metadata(data: memoryview) -> Metadata:
    """Return the blocks that come before the pixels, of each kind the first.

    Raises
    ------
    NotStrippable
        A marker is missing before the pixels, or a segment is cut.
    """
    found: dict[str, bytes] = {}
    for segment in _walk(data):
        if segment.marker == _SOS:
            break
        for name, marker, start in (
            ("exif", _APP1, exif.PREFIX),
            ("xmp", _APP1, _XMP_NAME),
            ("iptc", _APP13, _IPTC_NAME),
        ):
            if segment.marker == marker and segment.starts_with(start) and name not in found:
                body = bytes(segment.whole[_HEAD_BYTES:])
                found[name] = body if name == "iptc" else body[len(start) :]
    return Metadata(**found)


def _walk(data: memoryview) -> Iterator[_Segment]:
    """Yield the segments of the first image, its end among them."""
    at = 2
    for _ in range(_MAX_SEGMENTS):
        found = _MARKER.match(data, at)
        if found is None:
            raise NotStrippable("a JPEG marker is missing")
        at, marker = found.start(1) - 1, found[1][0]
        if marker == _EOI:
            yield _Segment(marker, data[at : at + 2])
            return
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        if end > len(data) or end < at + _HEAD_BYTES:
            raise NotStrippable("a JPEG segment is cut")
        yield _Segment(marker, data[at:end])
        at = end
        if marker == _SOS:
            behind = _NEXT_MARKER.search(data, end)
            at = len(data) if behind is None else behind.start()
            yield _Segment(_SCAN, data[end:at])
    raise NotStrippable("the JPEG is cut into very many segments")


def _statements(rights: Rights | None, orientation: int) -> Iterator[bytes]:
    """Yield the bodies of the segments of EXIF and XMP that say what is to stay."""
    if rights is not None:
        yield exif.PREFIX + rights.exif_block(orientation)
        if packet := rights.xmp_packet():
            yield _XMP_NAME + packet
    elif orientation != 1:
        yield exif.PREFIX + exif.build(orientation)


def _shown(segment: _Segment, *, keep_look: bool) -> bytes | memoryview:
    """Return what stays of a segment."""
    marker, whole = segment.marker, segment.whole
    if marker == _APP0 and segment.starts_with(b"JFIF\0"):
        bare = bytes(whole[: _HEAD_BYTES + _JFIF_BYTES - 2]) + b"\0\0"
        return bare[:2] + (_JFIF_BYTES + 2).to_bytes(2, "big") + bare[4:]
    is_shown = (marker == _APP14 and segment.starts_with(b"Adobe")) or (
        keep_look and marker == _APP2 and segment.starts_with(_ICC_NAME)
    )
    is_told = _APP0 <= marker <= _APP15 or marker == _COM
    return whole if is_shown or not is_told else b""
