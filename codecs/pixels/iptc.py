"""Reads who made a picture out of IPTC-IIM 4.2, as Photoshop keeps it in a JPEG (image resource 1028)."""

import struct
from collections.abc import Iterator
from typing import Final

_PHOTOSHOP: Final = b"Photoshop 3.0\0"
_RESOURCE: Final = b"8BIM"
_IIM_RESOURCE: Final = 1028
_TAG_MARK: Final = 0x1C
_APPLICATION_RECORD: Final = 2
_DATASETS: Final = {80: "artist", 110: "credit", 116: "copyright"}
#: A length with this bit is of the extended kind, for what is larger than any statement.
_EXTENDED: Final = 0x8000


def read_rights(block: bytes) -> dict[str, str]:
    """Return the statements that there are: `artist`, `copyright`, `credit`; of several artists, all."""
    found: dict[str, list[str]] = {}
    for resource in _walk_resources(block):
        for dataset, value in _walk_datasets(resource):
            if dataset in _DATASETS:
                found.setdefault(_DATASETS[dataset], []).append(_decode(value))
    return {name: "; ".join(texts) for name, texts in found.items()}


def _walk_resources(block: bytes) -> Iterator[bytes]:
    """Yield the IIM blocks; libvips gives the whole segment, other readers the block itself."""
    if not block.startswith(_PHOTOSHOP):
        yield block
        return
    at = len(_PHOTOSHOP)
    while block[at : at + 4] == _RESOURCE and at + 12 <= len(block):
        (kind,) = struct.unpack_from(">H", block, at + 4)
        # A Pascal string, padded to an even length with its own byte of length.
        named = at + 6 + (block[at + 6] + 2) // 2 * 2
        if named + 4 > len(block):
            return
        (size,) = struct.unpack_from(">I", block, named)
        if kind == _IIM_RESOURCE:
            yield block[named + 4 : named + 4 + size]
        at = named + 4 + size + size % 2


def _walk_datasets(block: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + 5 <= len(block) and block[at] == _TAG_MARK:
        record, dataset, size = struct.unpack_from(">BBH", block, at + 1)
        if size & _EXTENDED:
            return
        if record == _APPLICATION_RECORD:
            yield dataset, block[at + 5 : at + 5 + size]
        at += 5 + size


def _decode(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")
