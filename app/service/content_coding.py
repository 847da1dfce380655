"""Content codings of fetched bodies (RFC 9110, section 8.4.1), undone piece by piece so that a bomb is seen in time."""

import zlib
from collections.abc import Iterator, Sequence
from typing import Final, Protocol

#: The most that one piece has after decoding; gzip makes up to 1032 bytes out of one.
PIECE_BYTES: Final = 64 * 1024
_GZIP: Final = zlib.MAX_WBITS | 16
_ZLIB: Final = zlib.MAX_WBITS
_DEFLATE: Final = -zlib.MAX_WBITS
#: The compression method in the low half of zlib's first byte, RFC 1950, section 2.2.
_METHOD: Final = 0x0F
_METHOD_DEFLATE: Final = 8


class BadCoding(Exception):
    """The body has a coding that is not known, or is not what its coding says; the text is fit for a customer."""


class Decoder(Protocol):
    """Undoes the coding of one body."""

    def decode(self, data: bytes) -> Iterator[bytes]:
        """Give what the next bytes hold, in pieces. Raises BadCoding."""
        ...

    def finish(self) -> None:
        """Tell that the body has ended. Raises BadCoding where it was cut short."""
        ...


def decoder_for(codings: Sequence[str]) -> Decoder:
    """Choose the decoder of a body by its ``Content-Encoding`` headers: none, or one of gzip, deflate and identity.

    Raises
    ------
    BadCoding
        It is coded otherwise, or more than once.
    """
    match [name.strip().lower() for value in codings for name in value.split(",") if name.strip()]:
        case [] | ["identity"]:
            return _Identity()
        case ["gzip" | "x-gzip"]:
            return _Inflater(_GZIP)
        case ["deflate"]:
            return _Inflater(None)
        case _:
            raise BadCoding("The body has a content encoding other than gzip or deflate.")


class _Identity:
    def decode(self, data: bytes) -> Iterator[bytes]:
        yield data

    def finish(self) -> None:
        pass


class _Inflater:
    def __init__(self, window_bits: int | None) -> None:
        self._window_bits = window_bits
        self._inflate: zlib._Decompress | None = None

    def decode(self, data: bytes) -> Iterator[bytes]:
        if self._inflate is None:
            self._inflate = zlib.decompressobj(self._window_bits or _deflate_window_bits(data))
        while True:
            try:
                piece = self._inflate.decompress(data, PIECE_BYTES)
            except zlib.error as error:
                raise BadCoding("The body is not compressed in the way that it says.") from error
            if self._inflate.unused_data:
                raise BadCoding("The body goes on behind its compressed data.")
            if piece:
                yield piece
            data = self._inflate.unconsumed_tail
            # A full piece may have left some of what it was made from inside, with no input left over.
            if self._inflate.eof or not (data or len(piece) == PIECE_BYTES):
                return

    def finish(self) -> None:
        if self._inflate is not None and not self._inflate.eof:
            raise BadCoding("The compressed body is cut short.")


def _deflate_window_bits(data: bytes) -> int:
    """Tell zlib's format, which "deflate" means, from the bare stream that some servers send."""
    return _ZLIB if data[0] & _METHOD == _METHOD_DEFLATE else _DEFLATE
