"""Judges by its structure what decoding an AVIF would cost (AV1 specification, 5.3-5.9; AVIF 1.1, section 2)."""

from typing import Final

from pixels.errors import DecodeFailed
from pixels.strip.avif_items import read_items
from pixels.strip.errors import NotStrippable

_CODED: Final = b"av01"
#: obu_type of a frame header and of a frame, 5.9 and 5.10.
_FRAMES: Final = frozenset((3, 6))
_HAS_EXTENSION: Final = 0x04
_HAS_SIZE: Final = 0x02
#: A still has one frame; a layered one has one for each layer, of which there are four at most in practice.
MAX_FRAMES: Final = 8


def check_frames(data: memoryview) -> None:
    """Refuse an AVIF with a picture of many frames: a decoder works on all of them, though only one is shown.

    Raises
    ------
    DecodeFailed
        There are many, or the file's pictures cannot be told apart.
    """
    try:
        streams = read_items(data, _CODED)
    except NotStrippable as reason:
        raise DecodeFailed(f"The AVIF image could not be decoded: {reason}.") from reason
    if any(_count_frames(stream) > MAX_FRAMES for stream in streams):
        raise DecodeFailed("The AVIF image could not be decoded: a still picture has very many frames.")


def _count_frames(stream: bytes) -> int:
    """Count the frames of a bitstream, up to the first unit that is cut."""
    found = at = 0
    while at < len(stream) and found <= MAX_FRAMES:
        head = stream[at]
        at += 2 if head & _HAS_EXTENSION else 1
        found += head >> 3 & 15 in _FRAMES
        if not head & _HAS_SIZE:  # it goes on to the end
            break
        size, at = _read_leb128(stream, at)
        at += size
    return found


def _read_leb128(stream: bytes, at: int) -> tuple[int, int]:
    """Read a number of up to eight groups of seven bits (4.10.5): the number, and where it ends."""
    value = 0
    for place in range(8):
        if at >= len(stream):
            break
        value |= (stream[at] & 0x7F) << 7 * place
        at += 1
        if not stream[at - 1] & 0x80:
            break
    return value, at
