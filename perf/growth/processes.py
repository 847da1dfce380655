"""Images a second of two cores and encode processes over one of each, by services that are asked in turn.

The service of one process, and whoever asks it, is held to one core: it would else have the second one for its event
loop, and what two cores give would be told too small.
"""

import os
import statistics
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Final

from perf.bare import photograph
from perf.growth.result import Curve, Finding, Growth, Point
from perf.processes import machine_busy_s
from perf.running import NO_REUSE, RunningService

#: The picture's sides, the form's fields, and requests of a turn for each process: a second or two, because the moments
#: in which nobody else wants the cores may be short.
WORKS: Final[dict[str, tuple[tuple[int, int], dict[str, str], int]]] = {
    "JPEG q75, 0.7 MP": ((1000, 667), {"quality": "75"}, 60),
    "JPEG smart, 0.7 MP": ((1000, 667), {}, 6),
    "WebP q75, 0.7 MP": ((1000, 667), {"format": "webp", "quality": "75"}, 9),
    "AVIF q60, 0.7 MP": ((1000, 667), {"format": "avif", "quality": "60"}, 3),
    "JPEG q75, 6 MP": ((3000, 2000), {"quality": "75"}, 9),
}
#: Enough that every process has its next request waiting.
_CLIENTS_A_PROCESS: Final = 3
_COUNTS: Final = (1, 2)
_LEAST_GAIN: Final = 1.85
#: A turn in which others had more than this of one core says more about them.
_MOST_FOREIGN: Final = 0.15


def measure(rounds: int) -> Growth:
    """Let a service of one process and one of two do the same, in turn; the ratio is of neighbouring turns."""
    gains: dict[str, list[float]] = {title: [] for title in WORKS}
    speeds: dict[tuple[str, int], list[float]] = {(title, count): [] for title in WORKS for count in _COUNTS}
    cpu_ratios: dict[str, list[float]] = {title: [] for title in WORKS}
    disturbed = 0
    with ExitStack() as stack:
        services = {}
        for count in _COUNTS:
            with hold_to(count):  # what it starts is held as well
                settings = NO_REUSE | {"ENCODE_PROCESSES": str(count)}
                services[count] = stack.enter_context(RunningService(settings))
        for number in range(rounds + 1):
            for title, (sides, fields, requests) in WORKS.items():
                source = photograph(*sides)
                turns = {
                    count: _ask(services[count], source, fields, requests=requests, processes=count)
                    for count in (_COUNTS if number % 2 else reversed(_COUNTS))
                }
                if number == 0:
                    continue  # it warms up
                cpu_ratios[title].append(turns[1][2] / turns[2][2])
                if max(foreign for _, foreign, _ in turns.values()) > _MOST_FOREIGN:
                    disturbed += 1
                    continue
                gains[title].append(turns[2][0] / turns[1][0])
                for count, (speed, _, _) in turns.items():
                    speeds[title, count].append(speed)
    quiet = [title for title in WORKS if gains[title]]
    return Growth.now(
        "processes",
        at="cores, and encode processes",
        value="images/s",
        curves=[Curve(title, [Point.of(count, speeds[title, count]) for count in _COUNTS]) for title in quiet],
        findings=[
            Finding(f"{title}: images/s of two over one", round(statistics.median(gains[title]), 3), _LEAST_GAIN, True)
            for title in quiet
        ],
        notes=[
            *(
                f"{title}: {min(gains[title]):.2f}-{max(gains[title]):.2f} in {len(gains[title])} rounds"
                if gains[title]
                else f"{title}: no round was left alone by other processes"
                for title in WORKS
            ),
            *(
                f"{title}: CPU a request of one over two {statistics.median(ratios):.2f} "
                f"({min(ratios):.2f}-{max(ratios):.2f}), all rounds"
                for title, ratios in cpu_ratios.items()
            ),
            f"{disturbed} of {rounds * len(WORKS)} rounds left out: others had more than {_MOST_FOREIGN:.0%} of a core",
        ],
    )


def _ask(
    service: RunningService, source: bytes, fields: dict[str, str], *, requests: int, processes: int
) -> tuple[float, float, float]:
    """Return images a second, the cores that neither the service nor we had, and the service's CPU a request."""
    with hold_to(processes):
        return _ask_held(service, source, fields, requests=requests, processes=processes)


@contextmanager
def hold_to(cores: int) -> Iterator[None]:
    """Let this thread, and the threads and processes that it starts meanwhile, have only so many cores."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(allowed)[:cores])
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)


def _ask_held(
    service: RunningService, source: bytes, fields: dict[str, str], *, requests: int, processes: int
) -> tuple[float, float, float]:
    total, clients = requests * processes, _CLIENTS_A_PROCESS * processes
    total -= total % clients
    begun_s, ours_s, busy_s = time.perf_counter(), time.process_time(), machine_busy_s()
    service_s = service.cpu_s()
    service.compress_many(source, fields, requests=total, clients=clients)
    took_s = time.perf_counter() - begun_s
    service_s = service.cpu_s() - service_s
    foreign_s = machine_busy_s() - busy_s - service_s - (time.process_time() - ours_s)
    return total / took_s, foreign_s / took_s, service_s / total
