"""What has to be known of EXIF: orientation, rights, and whether it is safe (Exif 3.0, 4.6; TIFF 6.0, section 2)."""

import struct
from collections.abc import Iterator
from typing import Final

_ORIENTATION_TAG: Final = 0x0112
_ARTIST_TAG: Final = 0x013B
_COPYRIGHT_TAG: Final = 0x8298
_RIGHTS_TAGS: Final = {_ARTIST_TAG: "artist", _COPYRIGHT_TAG: "copyright"}
_ASCII: Final = 2
_SHORT: Final = 3
#: ASCII, and since Exif 3.0 UTF-8.
_TEXT_KINDS: Final = frozenset((_ASCII, 129))
#: A value of so many bytes or fewer stands in its entry.
_INLINE_BYTES: Final = 4
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


def read_rights(block: bytes) -> dict[str, str]:
    """Return the statements that there are, `artist` and `copyright`, of a block with or without `PREFIX`."""
    tiff = bytes(block).removeprefix(PREFIX)
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    found: dict[str, str] = {}
    if order is None:
        return found
    try:
        (start,) = struct.unpack_from(order + "I", tiff, 4)
        (count,) = struct.unpack_from(order + "H", tiff, start)
        for entry in range(start + 2, start + 2 + count * _ENTRY_BYTES, _ENTRY_BYTES):
            tag, kind, size, value = struct.unpack_from(order + "HHII", tiff, entry)
            name = _RIGHTS_TAGS.get(tag)
            # The first counts; and no more are decoded, because they may all be the same long text.
            if name is not None and name not in found and kind in _TEXT_KINDS:
                at = entry + 8 if size <= _INLINE_BYTES else value
                found[name] = _decode(tiff[at : at + size])
    except struct.error:
        pass  # of a cut block, what came before counts
    return found


def build(orientation: int, artist: str = "", copyright_: str = "") -> bytes:
    """Build the smallest EXIF block that states these, from its TIFF header on; 1 and empty texts are left out."""
    entries = [(_ORIENTATION_TAG, _SHORT, 1, struct.pack(">HH", orientation, 0))] if orientation != 1 else []
    for tag, text in ((_ARTIST_TAG, artist), (_COPYRIGHT_TAG, copyright_)):
        if text:
            value = text.encode() + b"\0"
            entries.append((tag, _ASCII, len(value), value))
    at = _HEADER_BYTES + 2 + len(entries) * _ENTRY_BYTES + 4
    directory, values = struct.pack(">H", len(entries)), b""
    for tag, kind, count, value in entries:
        place = value.ljust(_INLINE_BYTES, b"\0")
        if len(value) > _INLINE_BYTES:
            place = struct.pack(">I", at + len(values))
            values += value + b"\0" * (len(value) % 2)
        directory += struct.pack(">HHI", tag, kind, count) + place
    return b"MM\0*" + struct.pack(">I", _HEADER_BYTES) + directory + bytes(4) + values


def _decode(value: bytes) -> str:
    """Read a text: UTF-8 as most write it, else Latin-1. The parts of a copyright are divided by zeros."""
    parts = filter(None, (part.strip(b" ") for part in value.split(b"\0")))
    try:
        return b"; ".join(parts).decode()
    except UnicodeDecodeError:
        return b"; ".join(filter(None, value.split(b"\0"))).decode("latin-1")
