"""The one thing that has to be known of EXIF: its orientation (Exif 3.0, 4.6.5; TIFF 6.0, section 2)."""

import struct
from typing import Final

_ORIENTATION_TAG: Final = 0x0112
_SHORT: Final = 3
_ENTRY_BYTES: Final = 12


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
