"""Ports of this machine for the servers that tests start."""

import os
import random
import socket
from itertools import chain, cycle
from typing import Final

#: Below the ports that Linux and macOS give to whoever names none: nobody is given one of ours between the moment in
#: which it is found free and the one in which its server takes it.
_FIRST: Final = 10_000
#: Workers of pytest-xdist have ranges of their own.
_RANGE: Final = 2_000
_MOST_WORKERS: Final = 11
_worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % _MOST_WORKERS
_range = range(_FIRST + _worker * _RANGE, _FIRST + (_worker + 1) * _RANGE)
#: From anywhere in the range, for the sake of other sessions on this machine.
_begin = random.choice(_range)  # noqa: S311 - no secret
_ports = cycle(chain(range(_begin, _range.stop), range(_range.start, _begin)))


def free_port() -> int:
    """A port of the loopback where nobody listens, and which nobody else is given for long."""
    for port in _ports:
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
    raise AssertionError
