"""Cuts metadata out of a WebP, animated or not (RFC 9649, section 2)."""

from typing import Final

from pixels.rights import Rights
from pixels.strip.errors import NotStrippable

#: The chunks that a picture is shown by.
_SHOWN: Final = frozenset((b"VP8X", b"VP8 ", b"VP8L", b"ALPH", b"ANIM", b"ANMF"))
#: Flags of VP8X that say a profile, EXIF or XMP is there.
_METADATA_FLAGS: Final = 0x20 | 0x08 | 0x04
_FLAGS: Final = {b"EXIF": 0x08, b"XMP ": 0x04}


def strip_webp(data: memoryview, rights: Rights | None = None) -> bytes:
    """Keep the chunks that a picture is shown by, put `rights` behind them, and let the flags say so.

    Raises
    ------
    NotStrippable
        A chunk is cut or empty, or `rights` have no place: a file of the simple form.
    """
    added = [] if rights is None else _chunks_of(rights)
    if added and bytes(data[12:16]) != b"VP8X":
        raise NotStrippable("the WebP has no place for metadata")
    flags = sum(_FLAGS[bytes(chunk[:4])] for chunk in added)
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
            kept.append(_with_flags(data[at:after], flags) if kind == b"VP8X" else data[at:after])
        at = after
    body = b"".join((*kept, *added))
    return b"".join((b"RIFF", (len(body) + 4).to_bytes(4, "little"), b"WEBP", body))


def _with_flags(chunk: memoryview, flags: int) -> bytes:
    return bytes(chunk[:8]) + bytes((chunk[8] & ~_METADATA_FLAGS | flags,)) + bytes(chunk[9:])


def _chunks_of(rights: Rights) -> list[bytes]:
    bodies = ((b"EXIF", rights.exif_block()), (b"XMP ", rights.xmp_packet()))
    return [kind + len(body).to_bytes(4, "little") + body + bytes(len(body) % 2) for kind, body in bodies if body]
