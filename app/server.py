"""Runs the HTTP server: Granian processes that do I/O only, each with its share of the encode processes."""

import contextlib
import math
import os
import resource
import signal
import socket
from functools import partial
from typing import Any, Final

from granian import Granian
from granian.constants import HTTPModes, Interfaces, Loops
from granian.http import HTTP1Settings
from granian.log import LogLevels

from app.death_pact import end_with
from app.settings import Settings
from app.wiring import api_workers

#: Beyond the drain: what Granian may need to close connections before it kills a process.
_KILL_SLACK_S = 2
#: What is read ahead of a request's body. Granian holds it about three times: with its own 400 kB, a hundred uploads at
#: once cost 135 MB here.
_READ_AHEAD_BYTES = 128 * 1024
#: Connections that one process accepts; further ones wait in the kernel, probes of health too. Granian's own number is
#: what the kernel keeps waiting, 1,024: so many clients that say nothing would stop everything.
_MOST_CONNECTIONS: Final = 8192
#: Of a process for its parts: encode processes, connections to Redis and the store, files that are written.
_OTHER_DESCRIPTORS: Final = 256
#: An answer of which a client takes nothing for so long is given up, with the connection.
STALL_S: Final = 30.0


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
        # Granian gives a silent HTTP/2 connection, and one that has not said yet what it speaks, no end.
        http=HTTPModes.http1,
        websockets=False,
        http1_settings=HTTP1Settings(max_buffer_size=_READ_AHEAD_BYTES),
        backpressure=connections_within(raise_descriptor_limit(), settings.max_uploads),
        respawn_failed_workers=True,
        workers_kill_timeout=math.ceil(settings.drain_s) + _KILL_SLACK_S,
        log_access=False,
        log_level=LogLevels.warning,
    ).serve(spawn_target=partial(_serve_in_process, os.getpid()))


def raise_descriptor_limit() -> int:
    """Let this process, and those that it starts, open as many files as the system lets them; tell how many.

    Shells and service managers give 1,024 by custom, for the sake of programs that use select(2), and leave the rest to
    whoever needs it: a process with all its uploads under way does. Granian 2.8 does the same when it is imported, and
    promises it nowhere.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # macOS calls its hard limit infinite and takes no such number.
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        soft = hard
    return soft


def connections_within(descriptors: int, max_uploads: int) -> int:
    """Tell how many connections one process may have, so that none of them finds no descriptor for its work."""
    if descriptors == resource.RLIM_INFINITY:
        return _MOST_CONNECTIONS
    left = descriptors - _OTHER_DESCRIPTORS
    # One that uploads holds three: itself, its memory file and the map's copy of that. One that downloads holds two.
    most = max(left // 3, (left - max_uploads) // 2)
    return max(1, min(_MOST_CONNECTIONS, most))


def _serve_in_process(
    starter: int, worker_id: int, process_name: str | None, load: Any, listeners: tuple[Any, Any], *rest: Any
) -> None:
    """Be one of Granian's processes, which ends with Granian, on a socket whose connections do not wait for ever.

    No part of Granian, nor of hyper below it, bounds how long an answer may lie unread: the kernel does, for every
    connection that is accepted from a socket with this option.
    """
    end_with(starter, signal.SIGTERM)
    (spec, holder), shared = listeners
    if spec is not None and hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux
        holder, spec = spec.build(), None
        with socket.socket(fileno=os.dup(holder.get_fd())) as listening:
            listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(STALL_S * 1e3))
    Granian._spawn_asgi_lifespan_worker(worker_id, process_name, load, ((spec, holder), shared), *rest)
