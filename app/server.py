"""Runs the HTTP server: Granian processes that do I/O only, each with its share of the encode processes."""

import math

from granian import Granian
from granian.constants import Interfaces, Loops
from granian.http import HTTP1Settings
from granian.log import LogLevels

from app.settings import Settings
from app.wiring import api_workers

#: Beyond the drain: what Granian may need to close connections before it kills a process.
_KILL_SLACK_S = 2
#: What is read ahead of a request's body. Granian holds it about three times: with its own 400 kB, a hundred uploads at
#: once cost 135 MB here.
_READ_AHEAD_BYTES = 128 * 1024


def run_api(settings: Settings) -> None:
    """Serve HTTP until SIGTERM or Ctrl-C; requests under way are answered first."""
    Granian(
        "app.main:create",
        factory=True,
        interface=Interfaces.ASGI,
        address=settings.host,
        port=settings.port,
        workers=api_workers(settings),
        loop=Loops.auto,
        websockets=False,
        http1_settings=HTTP1Settings(max_buffer_size=_READ_AHEAD_BYTES),
        respawn_failed_workers=True,
        workers_kill_timeout=math.ceil(settings.drain_s) + _KILL_SLACK_S,
        log_access=False,
        log_level=LogLevels.warning,
    ).serve()
