"""Encode processes of a running service: when they work, and how to hold them up."""

import os
import re
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.whole.jobs import is_soon
from tests.whole.service import START_S, Service


def ready_pids(service: Service) -> list[int]:
    """The API's encode processes, once every one of them can take a job: a service is ready with the first."""
    end = time.monotonic() + START_S
    while not (pids := service.encode_pids()) or not all(map(_is_locked_down, pids)):
        if time.monotonic() > end:
            pytest.fail("the encode processes did not get ready")
        time.sleep(0.05)
    return pids


@contextmanager
def encode_begun(service: Service) -> Iterator[None]:
    """Wait, on leaving, until an encode process is at work at what was sent meanwhile."""
    idle = {pid: _ticks(pid) for pid in ready_pids(service)}
    yield
    assert is_soon(lambda: any(_ticks(pid) > before + 2 for pid, before in idle.items())), "no encode began"


@contextmanager
def held_up(service: Service) -> Iterator[None]:
    """Let the encode processes stand still meanwhile: what they are given is done after the end of the context."""
    pids = ready_pids(service)
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


def _is_locked_down(pid: int) -> bool:
    """Whether an encode process has the filter that it gets just before it says that it is ready."""
    ours, theirs = _filters(os.getpid()), _filters(pid)
    # Old kernels do not tell.
    return ours is None or (theirs is not None and theirs > ours)


def _filters(pid: int) -> int | None:
    with suppress(OSError):
        found = re.search(r"Seccomp_filters:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
        return int(found[1]) if found else None
    return None


def _ticks(pid: int) -> int:
    """The processor's time that a process has used, in hundredths of a second."""
    with suppress(OSError):
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11])
    return 0
