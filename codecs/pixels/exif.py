"""What has to be known of EXIF: its orientation, and whether it is safe (Exif 3.0, 4.6; TIFF 6.0, section 2)."""

import struct
from collections.abc import Iterator
from typing import Final

_ORIENTATION_TAG: Final = 0x0112
_SHORT: Final = 3
_ENTRY_BYTES: Final = 12
_HEADER_BYTES: Final = 8
#: What JPEG puts before the TIFF header, and some writers of other formats, too.
PREFIX: Final = b"Exif\0\0"
#: Entries that lead to another directory: of the camera, of the place, of interoperability.
_POINTER_TAGS: Final = frozenset((0x8769, 0x8825, 0xA005))


def is_tame(block: bytes | memoryview) -> bool:
    """Tell whether an EXIF block can be read in a time that its length bounds.

    libexif follows a pointer as often as it meets one, so directories that lead to each other or to themselves cost
    time without end: a block of 240 bytes keeps it busy for seconds. A well-made block has each kind of pointer
    once. `block` begins with its TIFF header, or with `PREFIX` before it; what begins otherwise is not tame.
    """
    tiff = bytes(block).removeprefix(PREFIX)
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(tiff[:4])
    if order is None or len(tiff) < _HEADER_BYTES:
        return False
    seen: set[int] = set()
    # The thumbnail's directory follows the first; no other has a follower that is read.
    first = int(struct.unpack_from(order + "I", tiff, 4)[0])
    waiting = [first, *_next_directory(tiff, order, first)]
    while waiting:
        for tag, value in _walk_directory(tiff, order, waiting.pop()):
            if tag not in _POINTER_TAGS:
                continue
            if tag in seen:
                return False
            seen.add(tag)
            waiting.append(value)
    return True


def _walk_directory(tiff: bytes, order: str, start: int) -> Iterator[tuple[int, int]]:
    """Yield each entry's tag and its value as a number; what lies behind the end is not there."""
    if start + 2 > len(tiff):
        return
    (count,) = struct.unpack_from(order + "H", tiff, start)
    end = min(start + 2 + count * _ENTRY_BYTES, len(tiff))
    for entry in range(start + 2, end - _ENTRY_BYTES + 1, _ENTRY_BYTES):
        tag, _, _, value = struct.unpack_from(order + "HHII", tiff, entry)
        yield tag, value


def _next_directory(tiff: bytes, order: str, start: int) -> tuple[int, ...]:
    if start + 2 > len(tiff):
        return ()
    at = start + 2 + int(struct.unpack_from(order + "H", tiff, start)[0]) * _ENTRY_BYTES
    return struct.unpack_from(order + "I", tiff, at) if at + 4 <= len(tiff) else ()


def read_orientation(tiff: bytes) -> int:
    """Read the orientation, 1-8, of an EXIF block that begins with its TIFF header; 1 where it states no valid one."""
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    if order is None:
        return 1
    try:
        (start,) = struct.unpack_from(order + "I", tiff, 4)
        (count,) = struct.unpack_from(order + "H", tiff, start)
        for entry in range(start + 2, start + 2 + count * _ENTRY_BYTES, _ENTRY_BYTES):
            tag, kind, _, value = struct.unpack_from(order + "HHIH", tiff, entry)
            if tag == _ORIENTATION_TAG and kind == _SHORT and 1 <= value <= 8:
                return int(value)
    except struct.error:
        pass  # a cut block states none
    return 1


def build_orientation(orientation: int) -> bytes:
    """Build the smallest EXIF block that states an orientation: a TIFF header and one entry."""
    return struct.pack(">2sHIHHHIHHI", b"MM", 42, 8, 1, _ORIENTATION_TAG, _SHORT, 1, orientation, 0, 0)
