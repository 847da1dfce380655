"""`compressorize serve`: everything on one machine. Starts the parts, and ends them in order."""

import contextlib
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from types import FrameType
from typing import NoReturn, Self

from app.adapters.embedded import EmbeddedValkey
from app.death_pact import death_pact
from app.settings import Settings

#: Beyond the drain: what a child may need to answer, log and exit before it is killed.
_STOP_SLACK_S = 3.0
_POLL_S = 0.2
#: A worker that cannot start is not tried in a tight loop.
_RESTART_PAUSE_S = 2.0
#: glibc keeps an arena a thread and gives little back; two were the smallest that cost no speed.
_CHILD_ENVIRONMENT = {"MALLOC_ARENA_MAX": "2", "VIPS_CONCURRENCY": "1"}


class Stop(Exception):
    """SIGTERM or Ctrl-C came."""


def serve(settings: Settings, announce: Callable[[], None]) -> int:
    """Run Valkey (unless a Redis is set), the API and a worker until SIGTERM or Ctrl-C.

    Once they answer, `announce` is called.

    Returns
    -------
    int
        The exit code: 0 after a stop that was asked for, otherwise the API's own.

    Raises
    ------
    EmbeddedError
        The private Valkey does not start.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _stop)
    try:
        with contextlib.ExitStack() as parts:
            valkey = None
            if not settings.redis_url:
                valkey = parts.enter_context(EmbeddedValkey(settings.data_dir, settings.valkey_socket))
            stop_after_s = settings.drain_s + _STOP_SLACK_S
            worker = parts.enter_context(_Worker(stop_after_s))
            api = parts.enter_context(_child("api", stop_after_s=stop_after_s))
            try:
                announced = False
                while api.poll() is None:
                    if valkey is not None:
                        valkey.start()  # nothing while it runs; one that died comes back with its data
                    worker.start()
                    if not announced and _is_ready(settings):
                        announced = True
                        announce()
                    time.sleep(_POLL_S)
                return api.returncode
            finally:
                worker.terminate()  # it drains while the API does
    except Stop:
        return 0


class _Worker:
    """The worker process: started again when it dies, and stopped like the rest on leaving."""

    def __init__(self, stop_after_s: float) -> None:
        self._stop_after_s = stop_after_s
        self._process: subprocess.Popen[bytes] | None = None
        self._retry_at = 0.0

    def start(self) -> None:
        """Start it unless it runs, or died a moment ago."""
        if (self._process is None or self._process.poll() is not None) and time.monotonic() >= self._retry_at:
            self._retry_at = time.monotonic() + _RESTART_PAUSE_S
            self._process = _spawn("worker")

    def terminate(self) -> None:
        """Tell it to stop; leaving waits until it has."""
        if self._process is not None:
            self._process.terminate()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            _stop_child(self._process, self._stop_after_s)


@contextlib.contextmanager
def _child(*arguments: str, stop_after_s: float) -> Iterator[subprocess.Popen[bytes]]:
    """Run one of our own commands; on leaving, let it drain, then make sure that it is gone."""
    process = _spawn(*arguments)
    try:
        yield process
    finally:
        _stop_child(process, stop_after_s)


def _spawn(*arguments: str) -> subprocess.Popen[bytes]:
    # -P: a folder named `app` where the user stands must not be taken for ours.
    command = [sys.executable, "-P", "-m", "app", *arguments]
    return subprocess.Popen(  # noqa: S603  # our own command
        command,
        env={**os.environ, **_CHILD_ENVIRONMENT},
        preexec_fn=death_pact(signal.SIGTERM),  # noqa: PLW1509  # it only calls into the C library
    )


def _stop_child(process: subprocess.Popen[bytes], stop_after_s: float) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)  # a second Ctrl-C must not leave a part behind
    process.terminate()
    try:
        process.wait(stop_after_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _is_ready(settings: Settings) -> bool:
    host = "127.0.0.1" if settings.host in {"0.0.0.0", "::"} else settings.host  # noqa: S104  # compared, not bound
    host = f"[{host}]" if ":" in host else host
    try:
        with urllib.request.urlopen(f"http://{host}:{settings.port}/health/ready", timeout=1) as reply:
            return bool(reply.status == 200)  # HTTP's own number
    except (urllib.error.URLError, OSError):
        return False


def _stop(_: int, __: FrameType | None) -> NoReturn:
    raise Stop
