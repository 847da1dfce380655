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
from typing import NoReturn

from app.adapters.embedded import EmbeddedValkey
from app.death_pact import death_pact
from app.settings import Settings

#: Beyond the drain: what a child may need to answer, log and exit before it is killed.
_STOP_SLACK_S = 3.0
_POLL_S = 0.2
#: glibc keeps an arena a thread and gives little back; two were the smallest that cost no speed.
_CHILD_ENVIRONMENT = {"MALLOC_ARENA_MAX": "2", "VIPS_CONCURRENCY": "1"}


class Stop(Exception):
    """SIGTERM or Ctrl-C came."""


def serve(settings: Settings, announce: Callable[[], None]) -> int:
    """Run Valkey (unless a Redis is set) and the API until SIGTERM or Ctrl-C; `announce` is called once they answer.

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
            api = parts.enter_context(_child("api", stop_after_s=settings.drain_s + _STOP_SLACK_S))
            announced = False
            while api.poll() is None:
                if valkey is not None:
                    valkey.start()  # nothing while it runs; one that died comes back with its data
                if not announced and _is_ready(settings):
                    announced = True
                    announce()
                time.sleep(_POLL_S)
            return api.returncode
    except Stop:
        return 0


@contextlib.contextmanager
def _child(*arguments: str, stop_after_s: float) -> Iterator[subprocess.Popen[bytes]]:
    """Run one of our own commands; on leaving, let it drain, then make sure that it is gone."""
    # -P: a folder named `app` where the user stands must not be taken for ours.
    command = [sys.executable, "-P", "-m", "app", *arguments]
    process = subprocess.Popen(  # noqa: S603  # our own command
        command,
        env={**os.environ, **_CHILD_ENVIRONMENT},
        preexec_fn=death_pact(signal.SIGTERM),  # noqa: PLW1509  # it only calls into the C library
    )
    try:
        yield process
    finally:
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
