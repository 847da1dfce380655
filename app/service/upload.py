"""One source on its way in: counted, hashed, recognised by its first bytes, and kept.

While it is small it stays in shared memory, where an encode process reads it. Once it is too large to be answered at
once, the same memory becomes the buffer through which it goes on to the store, part by part.
"""

import hashlib
import math
from collections.abc import Iterator
from contextlib import contextmanager

from app.errors import ServiceError
from app.service.buffers import BufferPool, SharedBuffer
from app.service.source_parts import SourceParts
from pixels.sniff import HEAD_BYTES, sniff


class Upload:
    """Takes a source's bytes as they arrive.

    Parameters
    ----------
    pool
        Its buffers hold `sync_max_bytes` and whatever may come between two calls of `flush`.
    parts
        Takes a source of `sync_max_bytes` and more.

    Attributes
    ----------
    size
        Bytes of the source that have come, whether they were kept or not.
    is_supported
        None until the first bytes tell.
    """

    def __init__(self, pool: BufferPool, parts: SourceParts, *, sync_max_bytes: int, max_bytes: int) -> None:
        self.parts = parts
        self.size = 0
        self.is_supported: bool | None = None
        self._pool = pool
        self._sync_max_bytes = sync_max_bytes
        self._max_bytes = max_bytes
        self._buffer: SharedBuffer | None = None
        self._hash = hashlib.sha256()

    @property
    def is_large(self) -> bool:
        """Whether it becomes a job."""
        return self.size >= self._sync_max_bytes

    @property
    def digest(self) -> str:
        """SHA-256 of the bytes, in hex."""
        return self._hash.hexdigest()

    @contextmanager
    def handed_over(self) -> Iterator[SharedBuffer]:
        """Take a small source, whole, after `check`: from here on `release` leaves it alone.

        Whoever encodes it may do so for others too, and go on when this upload's own request has ended.
        """
        buffer = self._buffer
        if buffer is None or self.is_large:
            raise ValueError("the source was not kept in memory, or has been released")
        self._buffer = None
        try:
            yield buffer
        finally:
            self._pool.take_back(buffer)

    def begin(self) -> None:
        """Get memory for the source.

        Raises
        ------
        ServiceError
            503 `overloaded`: too many uploads are under way.
        """
        self._buffer = self._pool.lend()
        if self._buffer is None:
            raise ServiceError("overloaded", "Too many uploads at once. Try again.", headers={"Retry-After": "1"})

    def write(self, data: memoryview) -> None:
        """Take the next bytes; they are dropped once the source cannot be compressed anyway."""
        self.size += len(data)
        if self._buffer is None:
            return
        if self.size > self._max_bytes:
            self.release()
            return
        self._hash.update(data)
        self._buffer.write(data)
        if self.is_supported is None and self.size >= HEAD_BYTES:
            self.end()

    async def flush(self) -> None:
        """Send what has come of a large source on to the store, once it is worth a part.

        Raises
        ------
        ServiceError
            503 `unavailable`: the store or the queue does not answer.
        """
        if self._buffer is not None and self._buffer.size >= self._sync_max_bytes:
            await self._send(self._buffer)

    def end(self) -> None:
        """Judge the source's type by its first bytes: all there are, or enough of them."""
        if self._buffer is not None and self.is_supported is None:
            self.is_supported = sniff(self._buffer.head(HEAD_BYTES)) is not None
            if not self.is_supported:
                self.release()

    def check(self) -> None:
        """Tell whether the source, now whole, can be compressed.

        Raises
        ------
        ServiceError
            415: it is none of the four formats. 413: it is larger than what is taken.
        """
        if self.is_supported is False:
            raise ServiceError("unsupported_format", "The file is not a JPEG, PNG, WebP or AVIF image.")
        if self.size > self._max_bytes:
            raise too_large(self._max_bytes)

    async def finish(self) -> None:
        """Send the rest of a large source to the store, and give the memory back.

        Raises
        ------
        ServiceError
            503 `unavailable`: the store or the queue does not answer.
        """
        if self._buffer is not None and self._buffer.size:
            await self._send(self._buffer)
        self.release()

    def release(self) -> None:
        """Give the memory back; to be called whatever happens, and as often as one likes."""
        if self._buffer is not None:
            self._pool.take_back(self._buffer)
            self._buffer = None

    async def discard(self) -> None:
        """Give the memory back and remove what is in the store."""
        self.release()
        await self.parts.discard()

    async def _send(self, buffer: SharedBuffer) -> None:
        await self.parts.put(buffer.view())
        buffer.size = 0


def too_large(max_bytes: int) -> ServiceError:
    """413 for a file of more than `max_bytes`."""
    return ServiceError("file_too_large", f"The file is too large: at most {_megabytes(max_bytes)} MB are taken.")


def _megabytes(count: int) -> str:
    return f"{math.floor(count / 1024 / 1024 * 100) / 100:g}"
