"""Worker processes as the pods of a Deployment: so many are wanted, and each has a share of a core.

The share is a CPU quota of the kernel (a control group of its own for each pod): without one, two pods would use up a
machine of two cores, and more of them would change nothing.
"""

import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final, Self

import orjson

from perf.processes import tree

#: Where the kernel has control groups for CPU time: version 1, and version 2.
_GROUPS: Final = (Path("/sys/fs/cgroup/cpu"), Path("/sys/fs/cgroup"))
_PERIOD_US: Final = 20_000
_STOP_WITHIN_S: Final = 60.0
_EMPTY_WITHIN_S: Final = 10.0
_numbers = itertools.count()


class NoQuota(Exception):
    """The kernel lets this process make no control group with a CPU quota."""


class _Quota:
    """A share of the machine's CPU time."""

    def __init__(self, name: str, cores: float) -> None:
        parent = next((path for path in _GROUPS if (path / "cgroup.procs").exists()), None)
        if parent is None:
            raise NoQuota("there are no control groups")
        self._folder = parent / name
        quota_us = round(cores * _PERIOD_US)
        try:
            self._folder.mkdir()
            if (self._folder / "cpu.cfs_quota_us").exists():
                (self._folder / "cpu.cfs_period_us").write_text(str(_PERIOD_US))
                (self._folder / "cpu.cfs_quota_us").write_text(str(quota_us))
            else:
                (self._folder / "cpu.max").write_text(f"{quota_us} {_PERIOD_US}")
        except OSError as error:
            raise NoQuota(f"a CPU quota needs root and the kernel's cpu controller: {error}") from None

    def take(self, pid: int) -> None:
        """Hold a process, and all that it has started, to it."""
        for each in tree(pid):
            with suppress(ProcessLookupError):
                (self._folder / "cgroup.procs").write_text(str(each))

    def close(self) -> None:
        """Remove it, once the kernel has let the last of its processes go."""
        end = time.monotonic() + _EMPTY_WITHIN_S
        while True:
            try:
                return self._folder.rmdir()
            except OSError:
                if time.monotonic() > end:
                    raise
            time.sleep(0.05)


class Pod:
    """One `compressorize worker`. Its start is not held to its share: that is an image's and a node's matter."""

    def __init__(self, name: str, cores: float, environment: Mapping[str, str], folder: Path) -> None:
        self._log = folder / f"{name}.log"
        self._quota = _Quota(f"compressorize-{os.getpid()}-{next(_numbers)}", cores)
        self.is_ready = False
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "app", "worker"], env=dict(environment), stdout=log, stderr=log
            )

    def look(self) -> None:
        """Notice that it has got ready, and hold it to its share from then on."""
        if not self.is_ready and '"worker ready"' in self._log.read_text():
            self.is_ready = True
            self._quota.take(self._process.pid)

    def terminate(self) -> None:
        """Tell it to end, as Kubernetes does."""
        self._process.send_signal(signal.SIGTERM)

    def close(self) -> None:
        """Wait for its end; a pod that has none is killed and tells so."""
        try:
            self._process.wait(_STOP_WITHIN_S)
        finally:
            self._process.kill()
            self._process.wait()
            self._quota.close()

    def events(self, name: str) -> list[dict[str, object]]:
        """The lines of its log about one kind of event."""
        lines = [orjson.loads(line) for line in self._log.read_text().splitlines() if line.startswith("{")]
        return [line for line in lines if line["event"] == name]


class Pods:
    """As many pods as are wanted; the youngest go first, as those of a ReplicaSet do."""

    def __init__(self, environment: Mapping[str, str], folder: Path, *, cores: float) -> None:
        self._environment, self._folder, self._cores = environment, folder, cores
        self._wanted: list[Pod] = []
        self._all: list[Pod] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """End all of them."""
        for pod in self._wanted:
            pod.terminate()
        for pod in self._all:
            pod.close()

    @property
    def wanted(self) -> int:
        """How many there shall be."""
        return len(self._wanted)

    @property
    def ready(self) -> int:
        """How many of these have started."""
        return sum(pod.is_ready for pod in self._wanted)

    def scale(self, count: int) -> None:
        """Start or end so many that `count` remain; both take their time."""
        while len(self._wanted) < count:
            name = f"pod-{len(self._all)}"
            self._all.append(Pod(name, self._cores, self._environment, self._folder))
            self._wanted.append(self._all[-1])
        while len(self._wanted) > count:
            self._wanted.pop().terminate()

    def look(self) -> None:
        """Notice which have got ready."""
        for pod in self._wanted:
            pod.look()

    def wait_until_ready(self, within_s: float) -> None:
        """Wait for all that are wanted.

        Raises
        ------
        TimeoutError
            They did not get ready.
        """
        end = time.monotonic() + within_s
        while self.ready < self.wanted:
            if time.monotonic() > end:
                raise TimeoutError("workers did not get ready")
            time.sleep(0.1)
            self.look()

    def events(self, name: str) -> list[dict[str, object]]:
        """The lines of all logs, of pods that have ended too, about one kind of event."""
        return [event for pod in self._all for event in pod.events(name)]
