"""Walks the chunks that a WebP is made of (RFC 9649, section 2.3)."""

from collections.abc import Iterator
from typing import Final, TypeVar

_Data = TypeVar("_Data", bytes, memoryview)
_FIRST_CHUNK_AT: Final = 12
_HEAD_BYTES: Final = 8


def walk(data: _Data) -> Iterator[tuple[int, bytes, _Data]]:
    """Yield where each chunk begins, its kind and its body; of one that is cut, what is there."""
    at = _FIRST_CHUNK_AT
    while at + _HEAD_BYTES <= len(data):
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        yield at, bytes(data[at : at + 4]), data[at + _HEAD_BYTES : at + _HEAD_BYTES + size]
        at += _HEAD_BYTES + size + size % 2


def count_frames(data: memoryview, most: int) -> int:
    """Count the frames of an animated WebP up to one more than `most`, without opening it.

    libwebp walks its list of frames anew for each of them: a hundred thousand keep it busy for a minute.
    """
    found = 0
    for _, kind, _ in walk(data):
        found += kind == b"ANMF"
        if found > most:
            break
    return found
