"""What a process and all that it started cost: CPU time and memory."""

import contextlib
import os
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Final, Self

_SAMPLE_S: Final = 0.25
#: A service that nobody asks anything has less than this share of a core, in windows of so long.
_IDLE_SHARE: Final = 0.1
_IDLE_WINDOW_S: Final = 0.5
#: The kernel's number for the clock of a process is made of these and its id (include/linux/posix-timers.h).
_CLOCK_BITS: Final = 3
_SCHEDULED_TIME: Final = 2
_TICKS_A_SECOND: Final = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")


def tree(root: int) -> set[int]:
    """The process `root` and its descendants that are alive."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue  # it ended meanwhile
    found = {root}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def cpu_s(root: int) -> float:
    """Seconds that `root` and its living descendants have spent on a processor, to the nanosecond.

    AV1's encoders start threads for each image, and these end with it: what is summed up from the threads that live
    misses most of their time. The clock of a process has that of all threads it ever had.
    """
    return sum_cpu_s(tree(root))


def sum_cpu_s(pids: Iterable[int]) -> float:
    """Seconds that these processes have spent on a processor, as `cpu_s` counts; one that has ended counts nothing."""
    return sum(_cpu_s_each(pids).values())


def machine_busy_s() -> float:
    """Seconds that the cores of this machine have been busy with anything, or were taken by its host, since it started.

    What is left of a difference after one's own processes is what others had.
    """
    user, nice, system, _, _, interrupts, soft, stolen = map(int, Path("/proc/stat").read_text().split()[1:9])
    return (user + nice + system + interrupts + soft + stolen) / _TICKS_A_SECOND


def wait_until_idle(root: int, *, most_s: float) -> float | None:
    """Wait until `root` and its descendants take hardly any time on a processor, for half a second.

    Returns
    -------
    When that began, on the monotonic clock; None where it did not within `most_s`.
    """
    begun = before = time.monotonic()
    spent_s = cpu_s(root)
    while before - begun < most_s:
        time.sleep(_IDLE_WINDOW_S)
        now, spent_now_s = time.monotonic(), cpu_s(root)
        # Less than nothing: a process has ended, which is no idling.
        if 0 <= spent_now_s - spent_s < _IDLE_SHARE * (now - before):
            return before
        before, spent_s = now, spent_now_s
    return None


def rss_bytes(root: int) -> int:
    """Memory of `root` and its living descendants that is in RAM: the sum of what each has resident.

    A page that several processes share counts for each of them, so this is more than they take from the machine.
    """
    return sum(resident_each(tree(root)).values())


def resident_each(pids: Iterable[int]) -> dict[int, int]:
    """Bytes that each of these processes has in RAM; those that have ended are left out."""
    found = {}
    for pid in pids:
        with contextlib.suppress(OSError):
            found[pid] = int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE_BYTES
    return found


def _cpu_s_each(pids: Iterable[int]) -> dict[int, float]:
    found = {}
    for pid in pids:
        with contextlib.suppress(OSError):  # it ended meanwhile
            found[pid] = time.clock_gettime((~pid << _CLOCK_BITS) | _SCHEDULED_TIME)
    return found


class Watch:
    """CPU time and peak memory of a process tree between entering and leaving.

    Both are looked at four times a second: memory that comes and goes in between is not seen, and what a process that
    ends meanwhile spent after the last look is lost.

    Attributes
    ----------
    cpu_s
        Seconds on a processor.
    peak_rss_bytes
        The most that was seen, as `rss_bytes` counts.
    took_s, machine_s
        Seconds between entering and leaving, and those that the machine's cores were busy meanwhile, with whatever.
    """

    def __init__(self, root: int) -> None:
        self._root = root
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look_on, daemon=True)
        self.peak_rss_bytes = 0
        self.took_s = self.machine_s = 0.0

    @property
    def cpu_s(self) -> float:
        """See the class."""
        return sum(spent_s - self._before_s.get(pid, 0.0) for pid, spent_s in self._latest_s.items())

    def __enter__(self) -> Self:
        self._begun_s, self._machine_before_s = time.monotonic(), machine_busy_s()
        self._before_s = _cpu_s_each(tree(self._root))
        self._latest_s = dict(self._before_s)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()
        self.took_s, self.machine_s = time.monotonic() - self._begun_s, machine_busy_s() - self._machine_before_s

    def _look_on(self) -> None:
        is_over = False
        while True:
            pids = tree(self._root)
            self._latest_s.update(_cpu_s_each(pids))
            self.peak_rss_bytes = max(self.peak_rss_bytes, sum(resident_each(pids).values()))
            if is_over:
                return
            is_over = self._over.wait(_SAMPLE_S)
