"""Walks and writes the chunks that a PNG is made of (PNG specification, third edition, section 5)."""

import zlib
from collections.abc import Iterator
from typing import Final

import msgspec

SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
#: Length, type and CRC: what a chunk costs beside its body.
FRAMING_BYTES: Final = 12
#: The most chunks that are looked at. Files of 25 MB have some thousands; one made of empty chunks would have millions.
MAX_CHUNKS: Final = 100_000


class Chunk(msgspec.Struct, frozen=True):
    """One chunk: `kind` its four letters, `whole` its bytes from the length to the CRC."""

    kind: bytes
    whole: memoryview

    @property
    def body(self) -> memoryview:
        """The bytes between type and CRC."""
        return self.whole[8:-4]

    def is_intact(self) -> bool:
        """Tell whether the stored CRC is that of type and body."""
        return zlib.crc32(self.whole[4:-4]) == int.from_bytes(self.whole[-4:], "big")


def walk(data: memoryview) -> Iterator[Chunk]:
    """Yield the chunks in file order, up to IEND, to the first that is cut, or to `MAX_CHUNKS`.

    `data` begins with the signature; what follows IEND is no part of the picture and is not yielded.
    """
    at = len(SIGNATURE)
    for _ in range(MAX_CHUNKS):
        if at + FRAMING_BYTES > len(data):
            return
        end = at + FRAMING_BYTES + int.from_bytes(data[at : at + 4], "big")
        if end > len(data):
            return
        chunk = Chunk(bytes(data[at + 4 : at + 8]), data[at:end])
        yield chunk
        if chunk.kind == b"IEND":
            return
        at = end


def build(kind: bytes, body: bytes | memoryview) -> bytes:
    """Build one chunk, length and CRC included."""
    crc = zlib.crc32(body, zlib.crc32(kind))
    return b"".join((len(body).to_bytes(4, "big"), kind, body, crc.to_bytes(4, "big")))
