"""Networks of our own on this machine, each with nothing in it but what a test puts there.

Threads of the test process enter a network namespace: a socket belongs to the one in which it was made, and a process
to that of the thread that started it.
"""

import ctypes
import os
import shutil
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import pytest

T = TypeVar("T")

_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


class Namespace:
    """A network namespace with a loopback; skips the test where none can be made."""

    def __init__(self) -> None:
        if shutil.which("ip") is None:
            pytest.skip("the program ip (iproute2) is not installed")
        with ThreadPoolExecutor(1) as maker:
            self._descriptor = maker.submit(_make).result()
        self._threads = ThreadPoolExecutor(16, initializer=self._enter)
        self.ip("link set lo up")

    @property
    def path(self) -> Path:
        """What other programs know it by, while this process lives."""
        return Path(f"/proc/{os.getpid()}/fd/{self._descriptor}")

    def run(self, work: Callable[[], T]) -> T:
        """Do something in the namespace, short or long."""
        return self._threads.submit(work).result()

    def ip(self, command: str) -> None:
        """Run the program `ip` in it."""
        self.run(lambda: subprocess.run(["ip", *command.split()], check=True, timeout=30))

    def pids(self) -> set[int]:
        """Every process that lives in it; this one, some of whose threads do, is none."""
        found, wanted = set(), os.fstat(self._descriptor).st_ino
        for entry in Path("/proc").iterdir():
            with suppress(OSError):
                if entry.name.isdigit() and (entry / "ns/net").stat().st_ino == wanted:
                    found.add(int(entry.name))
        return found - {os.getpid()}

    def close(self) -> None:
        self._threads.shutdown()
        os.close(self._descriptor)

    def _enter(self) -> None:
        if _libc.setns(self._descriptor, _CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "the namespace cannot be entered")


def _make() -> int:
    if _libc.unshare(_CLONE_NEWNET):
        pytest.skip("only root may make a network namespace")
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
