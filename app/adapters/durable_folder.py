"""Files that are whole or absent, and survive a power cut once they are there. Blocking: to be called in threads.

A file is written under ``~drafts`` and moved to its name when it is on the disk. ``~`` is in no blob's name.
"""

import errno
import io
import os
import secrets
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import accumulate, count
from pathlib import Path
from typing import BinaryIO, Final

from app.adapters.blob_names import check_name
from app.ports.blobs import BlobMissing

_DRAFTS: Final = "~drafts"
_FOLDER_MODE: Final = 0o700
#: A draft this old was left by a process that was killed.
_DRAFT_MAX_AGE_S: Final = 3600
#: Files may be removed, with their folder, just when another is about to be moved into it.
_MOVE_ATTEMPTS: Final = 5
#: File systems without hard links, and files that have as many as theirs allows.
_CANNOT_LINK: Final = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})
_COPY_BYTES: Final = 1024 * 1024


class DurableFolder:
    """Files under `path` by name (see `check_name`), for the owner alone. Several processes may share it.

    Every method may raise OSError, and ValueError for what is no name.
    """

    def __init__(self, path: Path) -> None:
        self._path = path.absolute()
        self._drafts = self._path / _DRAFTS
        # Unlike those of other processes and hosts.
        self._drafts_begin, self._drafts_made = secrets.token_hex(12), count()

    def make(self) -> None:
        """Make the folder where it is absent."""
        self._path.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
        self._drafts.mkdir(mode=_FOLDER_MODE, exist_ok=True)

    def sweep(self) -> None:
        """Remove what processes that were killed left behind."""
        oldest = time.time() - _DRAFT_MAX_AGE_S
        for draft in self._drafts.iterdir():
            # Processes that start together sweep together.
            with suppress(FileNotFoundError):
                # Not by its last change: a link has that of the old file.
                if draft.stat().st_ctime < oldest:
                    draft.unlink()

    def is_writable(self) -> bool:
        """Make the folder where it is absent; whether a file could be written, as far as permissions tell."""
        self.make()
        return os.access(self._drafts, os.W_OK | os.X_OK)

    def open(self, name: str) -> io.FileIO:
        """Open a file to read it. Raises BlobMissing."""
        with self._missing(name):
            return io.FileIO(self._to(name))

    def write(self, name: str, data: bytes | memoryview, given_up: threading.Event) -> None:
        """Write a file, or replace it; where `given_up` is set before it is complete, do nothing."""
        path = self._to(name)
        with self._draft() as draft:
            with _create(draft) as file:
                file.write(data)
                # Whoever gives up may fill the buffer with other bytes at once.
                if given_up.is_set():
                    return
                _sync(file)
            self._move(draft, path)

    def write_unsynced(self, name: str, data: bytes) -> None:
        """Write a file, or replace it; its name may outlive a power cut, and its bytes not.

        In as few calls of the system as can be. Around each of them a thread gives up the interpreter and has to get
        it back from a busy event loop, which cost a request more than the writing itself.
        """
        path, draft = self._to(name), self._new_draft()
        try:
            descriptor = _open_new(draft)
        except FileNotFoundError:
            self.make()
            descriptor = _open_new(draft)
        try:
            try:
                _write_all(descriptor, data)
            finally:
                os.close(descriptor)
            self._rename(draft, path)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise

    def copy(self, source: str, name: str) -> None:
        """Give a file a second name, or replace what has it. Raises BlobMissing."""
        origin, path = self._to(source), self._to(name)
        # Where both are one file already, renaming does nothing and the draft stays, to be removed here.
        with self._draft() as draft:
            with self._missing(source):
                try:
                    draft.hardlink_to(origin)
                except OSError as error:
                    if error.errno not in _CANNOT_LINK:
                        raise
                    with origin.open("rb") as old, _create(draft) as file:
                        shutil.copyfileobj(old, file, _COPY_BYTES)
                        _sync(file)
            self._move(draft, path)

    def remove(self, name: str) -> None:
        """Remove a file, or a folder with all that is in it, and folders above it that are empty then."""
        path = self._to(name)
        _remove(path)
        folder = path.parent
        with suppress(OSError):
            while folder != self._path:
                folder.rmdir()
                folder = folder.parent
        _sync_folder(folder)

    def _to(self, name: str) -> Path:
        return self._path / check_name(name)

    @contextmanager
    def _missing(self, name: str) -> Iterator[None]:
        try:
            yield
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            # Without its drafts the folder is not ours: its disk may come back, and its files with it.
            if not self._drafts.is_dir():
                raise
            raise BlobMissing(name) from None

    @contextmanager
    def _draft(self) -> Iterator[Path]:
        self.make()
        draft = self._new_draft()
        try:
            yield draft
        finally:
            draft.unlink(missing_ok=True)

    def _new_draft(self) -> Path:
        return self._drafts / f"{self._drafts_begin}.{next(self._drafts_made)}"

    def _move(self, draft: Path, path: Path) -> None:
        self._rename(draft, path)
        # Old ones too: whoever made one may not have come to this line yet.
        for folder in reversed(self._folders_of(path)):
            _sync_folder(folder)

    def _rename(self, draft: Path, path: Path) -> None:
        for attempt in range(1, _MOVE_ATTEMPTS + 1):
            try:
                try:
                    # Mostly a job's own, one below ours, and new.
                    path.parent.mkdir(mode=_FOLDER_MODE)
                except FileExistsError:
                    pass
                except FileNotFoundError:
                    for folder in self._folders_of(path)[1:]:
                        folder.mkdir(mode=_FOLDER_MODE, exist_ok=True)
                draft.replace(path)
                return
            except FileNotFoundError:
                if attempt == _MOVE_ATTEMPTS:
                    raise

    def _folders_of(self, path: Path) -> list[Path]:
        below = path.parent.relative_to(self._path).parts
        return list(accumulate(below, Path.__truediv__, initial=self._path))


def _open_new(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)


def _create(path: Path) -> BinaryIO:
    return os.fdopen(_open_new(path), "wb")


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _sync(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    # One that is gone took the names in it along.
    with suppress(FileNotFoundError):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _remove(path: Path) -> None:
    # What another removes meanwhile is gone, as it should be.
    with suppress(FileNotFoundError):
        if path.is_dir() and not path.is_symlink():
            for entry in path.iterdir():
                _remove(entry)
            path.rmdir()
        else:
            path.unlink()
