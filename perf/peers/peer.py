"""What every peer has in common: it is installed, started, asked for a picture, asked for many, and stopped."""

import contextlib
import os
import signal
import socket
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any, ClassVar, Final, Literal, NamedTuple

import msgspec

from perf.peers.clients import Link, Request, fetch, send_all
from perf.processes import cpu_s

Format = Literal["jpeg", "webp", "avif"]
CLIENTS: Final = 8
#: As many workers as there are cores, wherever a peer has such a setting.
WORKERS: Final = os.cpu_count() or 1
_START_S: Final = 60.0
_STOP_S: Final = 15.0


class NotInstalled(Exception):
    """A peer cannot be had on this machine; the message says why in one line."""


class Picture(NamedTuple):
    """One picture to compress.

    Attributes
    ----------
    name
        Of the file that serves it to peers that read a folder, too.
    data
        A JPEG.
    image
        Its pixels, which results are compared with.
    """

    name: str
    data: bytes
    image: Any


class Task(msgspec.Struct, frozen=True):
    """What to make of a picture.

    Attributes
    ----------
    quality
        In the sense of the peer's own users; None lets ours choose it.
    box
        The result fits into a square of so many pixels; None leaves the size.
    mozjpeg
        Sharp's option of this name.
    """

    format: Format
    quality: int | None
    box: int | None = None
    mozjpeg: bool = False


class Turn(NamedTuple):
    """What a number of pictures took."""

    images: int
    wall_s: float
    cpu_s: float

    @property
    def images_per_s(self) -> float:
        """Of all processes together."""
        return self.images / self.wall_s

    @property
    def cpu_ms(self) -> float:
        """CPU time of one image."""
        return 1e3 * self.cpu_s / self.images


Job = tuple[Picture, Task]


class Peer(ABC):
    """A way to compress pictures.

    Attributes
    ----------
    title
        Names it in tables.
    setup
        How it is run, for the page.
    encoder
        Peers with the same make the same bytes of the same task.
    """

    title: ClassVar[str]
    setup: ClassVar[str]
    encoder: ClassVar[str]

    @abstractmethod
    def install(self) -> str:
        """Install it unless it is, and tell its versions.

        Raises
        ------
        NotInstalled
            Saying why.
        """

    @abstractmethod
    def run(self, folder: Path) -> AbstractContextManager[object]:
        """Run it for as long as the context lasts; `folder` has a file for each picture."""

    @abstractmethod
    def fetch(self, picture: Picture, task: Task) -> bytes:
        """Return the result of one task.

        Raises
        ------
        RuntimeError
            It made none.
        """

    @abstractmethod
    def work(self, jobs: Sequence[Job]) -> Turn:
        """Do all of `jobs`, as many at a time as it can.

        Raises
        ------
        RuntimeError
            One of them came to nothing.
        """


class Server(Peer):
    """A peer that is asked over HTTP, by `CLIENTS` clients at a time on connections that are kept alive."""

    port: int
    pid: int

    @abstractmethod
    def ask(self, picture: Picture, task: Task) -> Request:
        """Make the request for one task."""

    def fetch(self, picture: Picture, task: Task) -> bytes:
        """Return the answer to one request."""
        return fetch(Link(self.port), self.ask(picture, task))

    def work(self, jobs: Sequence[Job]) -> Turn:
        """Send a request for each job; CPU is that of the server's processes alone."""
        requests = [self.ask(*job) for job in jobs]
        cpu_before_s, begun = cpu_s(self.pid), time.perf_counter()
        send_all(self.port, requests, clients=CLIENTS)
        wall_s = time.perf_counter() - begun
        return Turn(len(jobs), wall_s, cpu_s(self.pid) - cpu_before_s)

    @contextlib.contextmanager
    def serve(
        self, command: Sequence[str | Path], environment: Mapping[str, str], cwd: Path, ready: str
    ) -> Iterator[None]:
        """Run `command` until the context ends; the word `PORT` in it becomes a free port, at which `ready` answers.

        Raises
        ------
        RuntimeError
            It did not start.
        """
        self.port = find_free_port()
        words = [str(word).replace("PORT", str(self.port)) for word in command]
        with tempfile.TemporaryFile() as log:
            process = subprocess.Popen(
                words,
                env={**os.environ, **environment},
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
            self.pid = process.pid
            try:
                self._wait_until_ready(process, ready)
                yield
            finally:
                _stop(process)

    def _wait_until_ready(self, process: subprocess.Popen[bytes], path: str) -> None:
        end = time.monotonic() + _START_S
        while not self._answers(path):
            if process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"{self.title} did not start")
            time.sleep(0.1)

    def _answers(self, path: str) -> bool:
        link = HTTPConnection("127.0.0.1", self.port, timeout=2)
        try:
            link.request("GET", path)
            return link.getresponse().status < 500
        except (OSError, HTTPException):
            return False
        finally:
            link.close()


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End a process that leads a group, and what is left of the group: thumbor's workers outlive their parent."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_STOP_S)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def find_free_port() -> int:
    """Return a port of the loopback address that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
