"""The memory that an upload is written into as it arrives and an encode process then maps as its source.

Faulting in fresh pages costs more than copying into them (350 us against 15 for 229 kB on the machine where
this was measured, beside an encode of 8 ms), so buffers are kept and used again. Each is a memory file of its
own, and a process is handed just the one that holds its job: it never sees another upload under way.
"""

import contextlib
import mmap
import os
import tempfile
from types import TracebackType
from typing import Self


class SharedBuffer:
    """Anonymous memory with a file descriptor, so that another process can map it.

    Attributes
    ----------
    capacity
        Bytes that fit.
    size
        Bytes written so far.
    touched
        Bytes that take memory: the most that was ever written.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.size = self.touched = 0
        self.descriptor = anonymous_file("compressorize-upload", capacity)
        self._map = mmap.mmap(self.descriptor, capacity)

    def write(self, chunk: memoryview) -> None:
        """Append `chunk`.

        Raises
        ------
        ValueError
            It does not fit.
        """
        end = self.size + len(chunk)
        if end > self.capacity:
            raise ValueError(f"{end} bytes do not fit in {self.capacity}")
        self._map[self.size : end] = chunk
        self.size = end
        self.touched = max(self.touched, end)

    def head(self, count: int) -> bytes:
        """The first `count` bytes, or as many as there are."""
        return self._map[: min(count, self.size)]

    def view(self) -> memoryview:
        """What was written, where it lies; it changes when the buffer is lent again."""
        return memoryview(self._map)[: self.size]

    def close(self) -> None:
        """Give the memory back."""
        # A thread that was told to stop may still hold a view: then the memory goes with that.
        with contextlib.suppress(BufferError):
            self._map.close()
        os.close(self.descriptor)


class BufferPool:
    """Lends buffers of one capacity, at most `most` at a time, and keeps up to `kept` of them warm.

    Parameters
    ----------
    kept_bytes
        One that takes more memory is not kept; None: any is.
    """

    def __init__(self, capacity: int, *, most: int, kept: int, kept_bytes: int | None = None) -> None:
        self._capacity = capacity
        self._most = most
        self._kept = kept
        self._kept_bytes = capacity if kept_bytes is None else kept_bytes
        self._idle: list[SharedBuffer] = []
        self.lent = 0

    def lend(self) -> SharedBuffer | None:
        """Lend an empty buffer; None when `most` are out."""
        if self.lent >= self._most:
            return None
        buffer = self._idle.pop() if self._idle else SharedBuffer(self._capacity)
        buffer.size = 0
        self.lent += 1
        return buffer

    def take_back(self, buffer: SharedBuffer) -> None:
        """End a loan; the last one used is lent first, while its pages are in the cache."""
        self.lent -= 1
        if len(self._idle) < self._kept and buffer.touched <= self._kept_bytes:
            self._idle.append(buffer)
        else:
            buffer.close()

    def close(self) -> None:
        """Give the idle memory back."""
        while self._idle:
            self._idle.pop().close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def anonymous_file(name: str, size: int) -> int:
    """Make a file of `size` bytes that has no path; the caller closes the descriptor."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create(name, os.MFD_CLOEXEC)
    else:  # macOS has no memfd: an unlinked file is the nearest that can be passed to another process
        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
    try:
        os.ftruncate(descriptor, size)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor
