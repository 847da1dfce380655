"""Where bytes are kept: sources of jobs under way, and results for 24 h."""

from collections.abc import AsyncIterator, Mapping
from typing import Final, Protocol

import msgspec

#: Where the service itself serves blobs, for a store that has no server of its own.
FILES_PATH: Final = "/api/v1/files/"


class BlobLink(msgspec.Struct, frozen=True):
    """How a client downloads a blob.

    Attributes
    ----------
    content_type
        Of the answer.
    filename
        What a browser saves it as; ASCII letters, digits, ``.``, ``-`` and ``_``.
    """

    content_type: str
    filename: str

    @property
    def disposition(self) -> str:
        """The answer's `Content-Disposition`."""
        return f'attachment; filename="{self.filename}"'


class GrantedLink(msgspec.Struct, frozen=True):
    """What a link that was found genuine allows until `expires`, in Unix seconds."""

    link: BlobLink
    expires: int


class BlobMissing(Exception):
    """There is no blob of that name."""


class BlobsUnavailable(Exception):
    """The place where bytes are kept does not answer, is full or refuses; nothing half-written is left."""


class LinkRefused(Exception):
    """The link was changed, or its time is over; the text says which, in words for the client."""


class Blobs(Protocol):
    """Keeps blobs by name: ASCII letters, digits, ``-``, ``_`` and ``.``, in parts divided by ``/``.

    A part is neither ``.`` nor ``..``. A name that is a blob's is not also the beginning, up to a ``/``, of another's.
    Every method may raise BlobsUnavailable, and ValueError for what is no name.
    """

    async def put(self, name: str, data: bytes | memoryview) -> None:
        """Write a blob, all of it or nothing; one of that name is replaced. On return it survives a power cut.

        `data` must stay as it is until this returns or raises. One that raises or is cancelled may have been written
        after all, or be written a moment later; whole, or not at all.
        """
        ...

    async def put_many(self, blobs: Mapping[str, bytes]) -> None:
        """Write blobs at the least cost, each whole or not at all; on return they survive a kill of this process.

        Where it raises, some may have been written.
        """
        ...

    def read(self, name: str) -> AsyncIterator[bytes]:
        """Stream a blob in chunks of at most 1 MiB. Raises BlobMissing before the first."""
        ...

    async def copy(self, source: str, name: str) -> None:
        """Make `name`, another than `source`, a blob with the bytes of `source`. Raises BlobMissing."""
        ...

    async def delete(self, name: str) -> None:
        """Remove every blob whose name is `name` or begins with `name` and ``/``; absent ones are no error."""
        ...

    async def link(self, name: str, link: BlobLink, *, valid_s: int) -> str:
        """Make a URL from which anybody can GET the blob for `valid_s` seconds; relative where the service serves it.

        It does not look whether the blob is there.
        """
        ...

    async def answers(self) -> bool:
        """Whether the place can be reached now, as far as that shows without writing; never raises."""
        ...

    async def close(self) -> None:
        """Give connections back."""
        ...


class OpenBlob(Protocol):
    """A blob as it was when it was opened, though it be replaced or removed meanwhile. Close it.

    Attributes
    ----------
    size
        Bytes.
    etag
        A strong entity tag, its quotes included.
    """

    size: int
    etag: str

    async def read(self, start: int, count: int) -> bytes:
        """Return the `count` bytes from `start` on, all within `size`. Raises BlobsUnavailable."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


class ServedBlobs(Protocol):
    """What a store has besides `Blobs` where its links lead to `FILES_PATH`."""

    def check_link(self, name: str, query: str) -> GrantedLink:
        """Tell what the link to `name`, whatever that is, with this query allows now. Raises LinkRefused."""
        ...

    async def open(self, name: str) -> OpenBlob:
        """Open a blob whose link was checked. Raises BlobMissing, BlobsUnavailable."""
        ...
