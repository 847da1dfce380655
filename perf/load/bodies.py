"""Multipart bodies that are built once and sent often, with another comment in the picture each time."""

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec
from aiohttp.abc import AbstractStreamWriter
from aiohttp.payload import Payload

from perf.load.mixes import Fields, UploadMix, choose_forever
from perf.load.pictures import Picture
from perf.load.unique import NONCE_BYTES, find_gap

_BOUNDARY: Final = "------------------------5aKx8TqW2mZr7LcV9dYbNe"
CONTENT_TYPE: Final = f"multipart/form-data; boundary={_BOUNDARY}"
#: Neighbours are joined up to this size: fewer writes, and little that is kept twice.
_JOIN_BYTES: Final = 32 * 1024
#: A transport is handed so much at a time, so that one large body does not hold up the others.
_WRITE_BYTES: Final = 256 * 1024
_FIELD: Final = '--{}\r\nContent-Disposition: form-data; name="{}"\r\n\r\n{}\r\n'
_FILE: Final = (
    '--{}\r\nContent-Disposition: form-data; name="file"; filename="picture"\r\n'
    "Content-Type: application/octet-stream\r\n\r\n"
)


class Body:
    """The form of one picture and one set of parameters.

    Parameters
    ----------
    is_unique
        Each time the picture is another file with the same pixels. What is hostile stays as it is.

    Attributes
    ----------
    size
        Bytes of the whole.
    picture_bytes
        Of the picture in it.
    """

    def __init__(self, picture: Picture, fields: Fields, *, is_unique: bool) -> None:
        head = "".join(_FIELD.format(_BOUNDARY, name, value) for name, value in fields.items()) + _FILE.format(
            _BOUNDARY
        )
        tail = f"\r\n--{_BOUNDARY}--\r\n".encode()
        self._gap = find_gap(picture.data, picture.format) if is_unique and picture.format else None
        if self._gap is None:
            self._before, self._after = _join([head.encode(), picture.data, tail]), []
        else:
            self._before, self._after = _join([head.encode(), self._gap.before]), _join([self._gap.after, tail])
        comment = b"" if self._gap is None else self._gap.fill(bytes(NONCE_BYTES))
        self.size = sum(len(piece) for piece in (*self._before, comment, *self._after))
        self.picture_bytes = self.size - len(head) - len(tail)

    def render(self, nonce: bytes) -> Iterator[bytes | memoryview]:
        """Yield its pieces in order, with `nonce` in the picture's comment if it is to be unique."""
        yield from self._before
        if self._gap is not None:
            yield self._gap.fill(nonce)
        yield from self._after


class Uploads(msgspec.Struct, frozen=True):
    """What a stream of uploads sends.

    Attributes
    ----------
    is_unique
        Each upload is another file with the same pixels.
    """

    mix: UploadMix
    is_unique: bool

    def prepare(self, pictures: Sequence[Picture], seed: str) -> Iterator[Body]:
        """Build all bodies at once; return them without end, in an order that the seed gives."""
        mix = self.mix
        hostile = [place for place, picture in enumerate(pictures) if picture.format is None]
        bodies = {
            (place, variant): Body(pictures[place], fields, is_unique=self.is_unique)
            for place in mix.choose(pictures) + (hostile if mix.hostile_share else [])
            for variant, fields in enumerate(mix.variants)
        }
        return (bodies[choice] for choice in choose_forever(mix, pictures, seed))


class Upload(Payload):
    """One sending of a body, as aiohttp wants it: without copying the picture."""

    _autoclose = True

    def __init__(self, body: Body, nonce: bytes) -> None:
        super().__init__(body, content_type=CONTENT_TYPE)
        self._size = body.size
        self._nonce = nonce

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """Return the body as text, which it is not; aiohttp wants the method."""
        return b"".join(self._value.render(self._nonce)).decode(encoding, errors)

    async def write(self, writer: AbstractStreamWriter) -> None:
        """Write all of it, at the pace at which it is taken."""
        for piece in self._value.render(self._nonce):
            view = memoryview(piece)
            for at in range(0, len(view), _WRITE_BYTES):
                await writer.write(view[at : at + _WRITE_BYTES])


def _join(pieces: list[bytes | memoryview]) -> list[bytes | memoryview]:
    joined: list[bytes | memoryview] = []
    for piece in pieces:
        if joined and len(joined[-1]) + len(piece) <= _JOIN_BYTES:
            joined[-1] = b"".join((joined[-1], piece))
        elif len(piece):
            joined.append(piece)
    return joined
