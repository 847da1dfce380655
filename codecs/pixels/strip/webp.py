"""Cuts metadata out of a WebP, animated or not (RFC 9649, section 2)."""

from typing import Final

from pixels.strip.errors import NotStrippable

#: The chunks that a picture is shown by.
_SHOWN: Final = frozenset((b"VP8X", b"VP8 ", b"VP8L", b"ALPH", b"ANIM", b"ANMF"))
#: Flags of VP8X that say a profile, EXIF or XMP is there.
_METADATA_FLAGS: Final = 0x20 | 0x08 | 0x04


def strip_webp(data: memoryview) -> bytes:
    """Keep the chunks that a picture is shown by, and clear the flags of those that go.

    Raises
    ------
    NotStrippable
        A chunk is cut or empty.
    """
    end = min(len(data), 8 + int.from_bytes(data[4:8], "little"))
    kept: list[bytes | memoryview] = []
    at = 12
    while at + 8 <= end:
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        after = at + 8 + size + size % 2
        # Some writers leave out the last chunk's padding byte.
        if at + 8 + size > end or not size:
            raise NotStrippable("a WebP chunk is cut or empty")
        kind = bytes(data[at : at + 4])
        if kind in _SHOWN:
            kept.append(_without_flags(data[at:after]) if kind == b"VP8X" else data[at:after])
        at = after
    body = b"".join(kept)
    return b"".join((b"RIFF", (len(body) + 4).to_bytes(4, "little"), b"WEBP", body))


def _without_flags(chunk: memoryview) -> bytes:
    return bytes(chunk[:8]) + bytes((chunk[8] & ~_METADATA_FLAGS,)) + bytes(chunk[9:])
