"""Blobs as files in a folder, which several processes and hosts may share; their links lead to the service itself."""

import asyncio
import hashlib
import io
import os
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Final, TypeVar

from app.adapters.durable_folder import DurableFolder
from app.adapters.signed_links import SignedLinks
from app.ports.blobs import BlobLink, BlobsUnavailable, GrantedLink

_T = TypeVar("_T")

_CHUNK_BYTES: Final = 256 * 1024
#: File calls under way at once: each that syncs waits for the disk.
_MOST_THREADS: Final = 8
_ANSWER_S: Final = 1.0


class FilesystemBlobs:
    """`Blobs` and `ServedBlobs` in a folder. Making one blocks: do it before requests come.

    Parameters
    ----------
    path
        The folder. Where it cannot be made now, it is tried again with every blob.
    links
        Makes and checks the links to its blobs.
    timeout_s
        For one call of the disk.
    """

    def __init__(self, path: Path, links: SignedLinks, *, timeout_s: float = 30.0) -> None:
        self._folder = DurableFolder(path)
        self._links = links
        self._timeout_s = timeout_s
        # Of its own: the loop's other threads may all be waiting for DNS.
        self._threads = ThreadPoolExecutor(_MOST_THREADS, thread_name_prefix="blobs")
        with suppress(OSError):
            self._folder.make()
            self._folder.sweep()

    async def put(self, name: str, data: bytes | memoryview) -> None:
        """Write a blob; see `Blobs.put`."""
        given_up = threading.Event()
        try:
            await self._in_thread(lambda: self._folder.write(name, data, given_up))
        except BaseException:
            given_up.set()
            raise

    async def put_many(self, blobs: Mapping[str, bytes]) -> None:
        """Write blobs in one thread's turn; see `Blobs.put_many`."""

        def write_all() -> None:
            for name, data in blobs.items():
                self._folder.write_unsynced(name, data)

        await self._in_thread(write_all)

    async def read(self, name: str) -> AsyncIterator[bytes]:
        """Stream a blob; see `Blobs.read`."""
        blob = await self._open(name, begin_bytes=_CHUNK_BYTES)
        try:
            for start in range(0, blob.size, _CHUNK_BYTES):
                yield await blob.read(start, min(_CHUNK_BYTES, blob.size - start))
        finally:
            blob.close()

    async def copy(self, source: str, name: str) -> None:
        """Give a blob's bytes another name; see `Blobs.copy`."""
        await self._in_thread(lambda: self._folder.copy(source, name))

    async def delete(self, name: str) -> None:
        """Remove a blob or all in a folder; see `Blobs.delete`."""
        await self._in_thread(lambda: self._folder.remove(name))

    async def link(self, name: str, link: BlobLink, *, valid_s: int) -> str:
        """Make a relative, signed URL; see `Blobs.link`."""
        return self._links.make(name, link, valid_s=valid_s)

    def check_link(self, name: str, query: str) -> GrantedLink:
        """Tell what a link allows; see `ServedBlobs.check_link`."""
        return self._links.check(name, query)

    async def open(self, name: str) -> "_OpenFile":
        """Open a blob; see `ServedBlobs.open`."""
        return await self._open(name)

    async def _open(self, name: str, begin_bytes: int = 0) -> "_OpenFile":
        opening = self._threads.submit(lambda: _OpenFile(self._folder.open(name), self._in_thread, begin_bytes))
        try:
            return await self._finish(opening)
        except BaseException:
            # One that is opened all the same has nobody left to close it.
            opening.add_done_callback(_close_result)
            raise

    async def answers(self) -> bool:
        """Whether the folder is there and can be written to; see `Blobs.answers`."""
        try:
            async with asyncio.timeout(_ANSWER_S):
                return await self._in_thread(self._folder.is_writable)
        except (TimeoutError, BlobsUnavailable):
            return False

    async def close(self) -> None:
        """Let the threads end; what they are at is finished."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _in_thread(self, work: Callable[[], _T]) -> _T:
        return await self._finish(self._threads.submit(work))

    async def _finish(self, work: Future[_T]) -> _T:
        try:
            async with asyncio.timeout(self._timeout_s):
                return await asyncio.wrap_future(work)
        except TimeoutError:
            raise BlobsUnavailable(f"The disk did not answer within {self._timeout_s:g} s") from None
        except OSError as error:
            raise BlobsUnavailable(error.strerror or repr(error)) from error


class _OpenFile:
    """`OpenBlob` of a file: its name may go, its bytes never change.

    Parameters
    ----------
    begin_bytes
        Read so much already: to wake a thread once more costs more than to read a small file.
    """

    def __init__(
        self, file: io.FileIO, in_thread: Callable[[Callable[[], bytes]], Awaitable[bytes]], begin_bytes: int
    ) -> None:
        self._file = file
        self._in_thread = in_thread
        facts = os.fstat(file.fileno())
        self.size = facts.st_size
        # The clock of files ticks in milliseconds: two versions in one tick are still two inodes.
        version = f"{facts.st_ino} {facts.st_mtime_ns} {facts.st_size}"
        self.etag = f'"{hashlib.sha256(version.encode()).hexdigest()[:24]}"'
        self._begin = os.pread(file.fileno(), begin_bytes, 0) if begin_bytes else b""

    async def read(self, start: int, count: int) -> bytes:
        """Return bytes; see `OpenBlob.read`."""
        if start + count <= len(self._begin):
            return self._begin[start : start + count]
        data = await self._in_thread(lambda: os.pread(self._file.fileno(), count, start))
        if len(data) != count:
            raise BlobsUnavailable("A file was cut short")
        return data

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _close_result(opening: Future[_OpenFile]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        opening.result().close()
