"""Walks the segments that a JPEG is made of (ITU-T T.81, annex B), and judges by them what decoding would cost."""

import re
from collections.abc import Iterator
from typing import Final

import msgspec

from pixels.errors import DecodeFailed

SOS: Final = 0xDA
APP1: Final = 0xE1
_EOI: Final = 0xD9
#: As libjpeg finds the next marker: whatever is no 0xff is passed over, and so are fill bytes and stuffed zeros.
_MARKER: Final = re.compile(rb"\xff([^\x00\xff])")
#: Markers that stand alone: TEM, the restarts, SOI.
_BARE: Final = frozenset((0x01, *range(0xD0, 0xD9)))
#: Frames whose entropy coding is Huffman's: a block takes a bit at least.
_HUFFMAN_FRAMES: Final = frozenset((0xC0, 0xC1, 0xC2))
_FRAMES: Final = frozenset((*range(0xC0, 0xD0),)) - {0xC4, 0xC8, 0xCC}
_BLOCK_SIDE: Final = 8
#: A scan walks over all blocks, however few bytes it has. Encoders write some ten.
MAX_SCANS: Final = 100
MAX_SCANNED_PIXELS: Final = 1_250_000_000


class Segment(msgspec.Struct, frozen=True):
    """One segment: its marker's code, and where its body lies in the file."""

    marker: int
    start: int
    end: int


def walk(data: bytes | memoryview) -> Iterator[Segment]:
    """Yield the segments that have a body, in file order, to the end of the image or of the file."""
    at = 2
    while (found := _MARKER.search(data, at)) is not None:
        marker, start = found[1][0], found.end() + 2
        if marker == _EOI:
            return
        if marker in _BARE:
            at = found.end()
            continue
        at = max(start, found.end() + int.from_bytes(data[found.end() : start], "big"))
        yield Segment(marker, start, min(at, len(data)))


def check_cost(data: memoryview, width: int, height: int) -> None:
    """Refuse a JPEG of few bytes that takes long to decode.

    Parameters
    ----------
    data
        The whole file.
    width, height
        What its header says, in pixels.

    Raises
    ------
    DecodeFailed
        The file is too short for the size that it claims, or has more scans than a picture of that size may have.
    """
    frame = next((segment.marker for segment in walk(data) if segment.marker in _FRAMES or segment.marker == SOS), SOS)
    blocks = -(-width // _BLOCK_SIDE) * -(-height // _BLOCK_SIDE)
    if frame in _HUFFMAN_FRAMES and len(data) * 8 < blocks:
        raise DecodeFailed("The JPEG image could not be decoded: most of it is missing.")
    most = min(MAX_SCANS, max(1, MAX_SCANNED_PIXELS // (width * height)))
    # Mostly one search settles it: metadata may hold this marker too, so only then they are counted one by one.
    if bytes(data).count(bytes((0xFF, SOS))) <= most:
        return
    if sum(segment.marker == SOS for segment in walk(data)) > most:
        raise DecodeFailed("The JPEG image could not be decoded: it is cut into very many scans.")
