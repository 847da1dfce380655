"""Makes each upload a file of its own that decodes to the same pixels, so that no cache can answer for the encoder."""

import os
import zlib
from typing import Final, NamedTuple

from pixels.formats import FormatName

#: Hexadecimal, and even: a WebP chunk needs no padding.
NONCE_BYTES: Final = 32
_JPEG_APP: Final = range(0xE0, 0xF0)
_PNG_HEAD_BYTES: Final = 33
_PNG_KEYWORD: Final = b"Comment\0"


class Gap(NamedTuple):
    """Where a comment goes into a file: `before` + `fill(nonce)` + `after` is the file with it.

    `before` already tells the length of the whole, where the format wants to know it.
    """

    before: bytes
    after: memoryview
    prefix: bytes
    has_checksum: bool = False

    def fill(self, nonce: bytes) -> bytes:
        """Return the segment, chunk or box that holds `nonce`, which is `NONCE_BYTES` long."""
        comment = self.prefix + nonce
        # A PNG's checksum is taken over the type and the data, not the length.
        return comment + zlib.crc32(comment[4:]).to_bytes(4, "big") if self.has_checksum else comment


def find_gap(data: bytes, kind: FormatName) -> Gap:
    """Find where a file that is whole can take a comment.

    JPEG: a COM segment behind the APP segments. PNG: a tEXt chunk behind the header. WebP: an unknown chunk at the end.
    AVIF: a `free` box at the end, where it moves nothing that offsets point to.
    """
    view = memoryview(data)
    match kind:
        case "jpeg":
            at = 2
            while data[at] == 0xFF and data[at + 1] in _JPEG_APP:
                at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
            return Gap(data[:at], view[at:], b"\xff\xfe" + (2 + NONCE_BYTES).to_bytes(2, "big"))
        case "png":
            size = len(_PNG_KEYWORD) + NONCE_BYTES
            prefix = size.to_bytes(4, "big") + b"tEXt" + _PNG_KEYWORD
            return Gap(data[:_PNG_HEAD_BYTES], view[_PNG_HEAD_BYTES:], prefix, has_checksum=True)
        case "webp":
            # What lies behind the end that the RIFF header names is none of the file.
            end = 8 + int.from_bytes(data[4:8], "little")
            whole = (end - 8 + 8 + NONCE_BYTES).to_bytes(4, "little")
            prefix = b"LOAD" + NONCE_BYTES.to_bytes(4, "little")
            return Gap(b"RIFF" + whole + data[8:end], view[len(data) :], prefix)
        case "avif":
            return Gap(data, view[len(data) :], (8 + NONCE_BYTES).to_bytes(4, "big") + b"free")


class Nonces:
    """Numbers that no other process and no other run has; random also where everything else is seeded."""

    def __init__(self) -> None:
        self._run = os.urandom(8).hex()
        self._count = 0

    def draw(self) -> bytes:
        """Return the next one."""
        self._count += 1
        return f"{self._run}{self._count:016x}".encode()
