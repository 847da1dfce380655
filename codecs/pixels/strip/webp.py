"""Cuts metadata out of a WebP, animated or not (RFC 9649, section 2)."""

from collections.abc import Iterator
from typing import Final

from pixels import exif
from pixels.rights import Rights
from pixels.strip.errors import NotStrippable
from pixels.strip.metadata import Metadata

#: The chunks that a picture is shown by.
_SHOWN: Final = frozenset((b"VP8X", b"VP8 ", b"VP8L", b"ALPH", b"ANIM", b"ANMF"))
_PROFILE: Final = b"ICCP"
#: Flags of VP8X that say a profile, EXIF or XMP is there.
_FLAGS: Final = {_PROFILE: 0x20, b"EXIF": 0x08, b"XMP ": 0x04}
#: Where the first chunk begins, and its kind stands.
_FIRST_CHUNK_AT: Final = 12
#: Long animations have some thousands.
_MAX_CHUNKS: Final = 20_000


def strip_webp(data: memoryview, rights: Rights | None = None, *, keep_look: bool = False) -> bytes:
    """Keep the chunks that a picture is shown by, put `rights` behind them, and let the flags say so.

    Parameters
    ----------
    keep_look
        True keeps what the pixels look wrong without too: the colour profile, and of EXIF the orientation.

    Raises
    ------
    NotStrippable
        A chunk is cut or empty, there are very many, or `rights` have no place: a file of the simple form.
    """
    has_place = bytes(data[_FIRST_CHUNK_AT : _FIRST_CHUNK_AT + 4]) == b"VP8X"
    if rights is not None and not has_place:
        raise NotStrippable("the WebP has no place for metadata")
    orientation = find_metadata(data).orientation if keep_look and has_place else 1
    added = dict(_statements(rights, orientation))
    is_kept = _SHOWN | {_PROFILE} if keep_look and has_place else _SHOWN
    kept = [(kind, chunk) for kind, chunk in _walk(data) if kind in is_kept]
    flags = sum(_FLAGS[kind] for kind in _FLAGS.keys() & ({kind for kind, _ in kept} | added.keys()))
    shown = b"".join(_with_flags(chunk, flags) if kind == b"VP8X" else chunk for kind, chunk in kept)
    told = [kind + len(block).to_bytes(4, "little") + block + bytes(len(block) % 2) for kind, block in added.items()]
    body = b"".join((shown, bytes(len(shown) % 2 if told else 0), *told))
    return b"".join((b"RIFF", (len(body) + 4).to_bytes(4, "little"), b"WEBP", body))


def find_metadata(data: memoryview) -> Metadata:
    """Return the first EXIF and XMP.

    Raises
    ------
    NotStrippable
        A chunk is cut or empty, or there are very many.
    """
    found: dict[bytes, bytes] = {}
    for kind, chunk in _walk(data):
        if kind in {b"EXIF", b"XMP "}:
            found.setdefault(kind, bytes(chunk[8 : 8 + int.from_bytes(chunk[4:8], "little")]))
    return Metadata(exif=found.get(b"EXIF", b"").removeprefix(exif.PREFIX), xmp=found.get(b"XMP ", b""))


def _walk(data: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    """Yield each chunk's kind and its bytes, head and padding included."""
    end = min(len(data), 8 + int.from_bytes(data[4:8], "little"))
    at = _FIRST_CHUNK_AT
    for _ in range(_MAX_CHUNKS):
        if at + 8 > end:
            return
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        # Some writers leave out the last chunk's padding byte.
        if at + 8 + size > end or not size:
            raise NotStrippable("a WebP chunk is cut or empty")
        after = at + 8 + size + size % 2
        yield bytes(data[at : at + 4]), data[at:after]
        at = after
    raise NotStrippable("the WebP is cut into very many chunks")


def _with_flags(chunk: memoryview, flags: int) -> bytes:
    return bytes(chunk[:8]) + bytes((chunk[8] & ~sum(_FLAGS.values()) | flags,)) + bytes(chunk[9:])


def _statements(rights: Rights | None, orientation: int) -> Iterator[tuple[bytes, bytes]]:
    """Yield the chunks of EXIF and XMP that say what is to stay."""
    if rights is not None:
        yield b"EXIF", rights.exif_block(orientation)
        if packet := rights.xmp_packet():
            yield b"XMP ", packet
    elif orientation != 1:
        yield b"EXIF", exif.build(orientation)
