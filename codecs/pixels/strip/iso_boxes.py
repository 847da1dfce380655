"""Reads and writes the boxes of ISO base media files (ISO/IEC 14496-12, section 4)."""

from collections.abc import Iterator
from typing import Final

from pixels.strip.errors import NotStrippable

#: The entries of a grid of some thousand tiles are as many.
_MAX_BOXES: Final = 20_000


class Box:
    """One box of a file: its four letters, and the bytes inside."""

    __slots__ = ("body", "kind", "whole")

    def __init__(self, kind: bytes, whole: memoryview, header_bytes: int) -> None:
        self.kind = kind
        self.whole = whole
        self.body = whole[header_bytes:]

    @property
    def version(self) -> int:
        """The version of a full box."""
        return self.body[0]


class Cursor:
    """Reads big-endian numbers one after the other; beyond the end it raises `NotStrippable`."""

    __slots__ = ("_at", "_data")

    def __init__(self, data: memoryview, at: int = 0) -> None:
        self._data = data
        self._at = at

    def number(self, size: int) -> int:
        """Read an unsigned number of `size` bytes (0 reads nothing and is 0)."""
        end = self._at + size
        if end > len(self._data):
            raise NotStrippable("a box is cut")
        value = int.from_bytes(self._data[self._at : end], "big")
        self._at = end
        return value

    def rest(self) -> memoryview:
        """Return what has not been read yet."""
        return self._data[self._at :]


def walk_boxes(data: memoryview) -> Iterator[Box]:
    """Yield the boxes that `data` consists of, in order.

    Raises
    ------
    NotStrippable
        A box is cut, or shorter than its own header; or there are very many.
    """
    at = 0
    for _ in range(_MAX_BOXES):
        if at == len(data):
            return
        cursor = Cursor(data, at)
        size, kind, header_bytes = cursor.number(4), cursor.number(4).to_bytes(4, "big"), 8
        if size == 1:
            size, header_bytes = cursor.number(8), 16
        elif size == 0:
            size = len(data) - at
        if size < header_bytes or at + size > len(data):
            raise NotStrippable("a box is cut")
        yield Box(kind, data[at : at + size], header_bytes)
        at += size
    raise NotStrippable("there are very many boxes")


def build_box(kind: bytes, *parts: bytes | memoryview) -> bytes:
    """Build one box around `parts`."""
    body = b"".join(parts)
    return (len(body) + 8).to_bytes(4, "big") + kind + body


def build_full_box(kind: bytes, version: int, flags: int, *parts: bytes | memoryview) -> bytes:
    """Build a box that begins with a version and flags."""
    return build_box(kind, (version << 24 | flags).to_bytes(4, "big"), *parts)
