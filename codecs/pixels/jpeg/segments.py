"""Writes the segments of a JPEG, and puts metadata into one that has none."""

from typing import Any, Final

_START: Final = b"\xff\xd8"
_APP0, _APP15, _COM = 0xE0, 0xEF, 0xFE


def write_segment(marker: int, body: bytes) -> bytes:
    """Return a segment of a marker's code and a body of at most 65,533 bytes (T.81, B.1.1.4)."""
    return bytes((0xFF, marker)) + (len(body) + 2).to_bytes(2, "big") + body


def insert_metadata(data: bytes, image: Any, keep: int) -> bytes:
    """Return `data` with the metadata of `image`, as libvips writes it, after the JFIF header.

    Parameters
    ----------
    data
        A JPEG whose only application segment is JFIF's.
    image
        What was encoded: its EXIF, XMP, IPTC and ICC are taken.
    keep
        libvips' flags of the metadata to write; 0 leaves `data` as it is.
    """
    if not keep:
        return data
    # A black picture of the same size, because EXIF states the size.
    donor = memoryview(image.linear(0, 0, uchar=True).jpegsave_buffer(Q=1, keep=keep))
    start, end = _application_segments(donor)
    _, place = _application_segments(data)
    return b"".join((data[:place], donor[start:end], memoryview(data)[place:]))


def _application_segments(data: bytes | memoryview) -> tuple[int, int]:
    """Find the segments between a JFIF header, if there is one, and the tables: their start and end."""
    start = at = len(_START)
    while _APP0 <= data[at + 1] <= _APP15 or data[at + 1] == _COM:
        segment_end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        if data[at + 1] == _APP0:
            start = segment_end
        at = segment_end
    return start, at
