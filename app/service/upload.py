"""One uploaded file: counted, recognised by its first bytes, and kept in shared memory while it is small."""

import math

from app.errors import ServiceError
from app.service.buffers import BufferPool, SharedBuffer
from pixels.sniff import HEAD_BYTES, sniff


class Upload:
    """Takes a file's bytes as they arrive.

    Attributes
    ----------
    size
        Bytes of the file that have come, whether they were kept or not.
    is_supported
        None until the first bytes tell.
    """

    def __init__(self, pool: BufferPool, *, keep_bytes: int) -> None:
        self._pool = pool
        self._keep_bytes = keep_bytes
        self._buffer: SharedBuffer | None = None
        self._head = b""
        self.size = 0
        self.is_supported: bool | None = None

    def begin(self) -> None:
        """Get memory for the file.

        Raises
        ------
        ServiceError
            503 `overloaded`: too many uploads are under way.
        """
        self._buffer = self._pool.lend()
        if self._buffer is None:
            raise ServiceError("overloaded", "Too many uploads at once. Try again.", headers={"Retry-After": "1"})

    def write(self, data: memoryview) -> None:
        """Take the next bytes; they are dropped once the file cannot be compressed anyway."""
        self.size += len(data)
        if self._buffer is None:
            return
        if self.size > self._keep_bytes:
            self.release()
            return
        self._buffer.write(data)
        if self.is_supported is None and self.size >= HEAD_BYTES:
            self.end()

    def end(self) -> None:
        """Judge the file's type by its first bytes: all there are, or enough of them."""
        if self._buffer is not None and self.is_supported is None:
            self.is_supported = sniff(self._buffer.head(HEAD_BYTES)) is not None
            if not self.is_supported:
                self.release()

    def check(self) -> None:
        """Tell whether the file, now whole, can be compressed.

        Raises
        ------
        ServiceError
            415: it is none of the four formats. 413: it is larger than what is kept.
        """
        if self.is_supported is False:
            raise ServiceError("unsupported_format", "The file is not a JPEG, PNG, WebP or AVIF image.")
        if self._buffer is None:
            raise too_large(self._keep_bytes)

    @property
    def source(self) -> SharedBuffer:
        """The whole file, after `check`."""
        if self._buffer is None:
            raise ValueError("the file was not kept, or has been released")
        return self._buffer

    def release(self) -> None:
        """Give the memory back; to be called whatever happens, and as often as one likes."""
        if self._buffer is not None:
            self._pool.take_back(self._buffer)
            self._buffer = None


def too_large(max_bytes: int) -> ServiceError:
    """413 for a file of more than `max_bytes`."""
    return ServiceError("file_too_large", f"The file is too large: at most {_megabytes(max_bytes)} MB are taken.")


def _megabytes(count: int) -> str:
    return f"{math.floor(count / 1024 / 1024 * 100) / 100:g}"
