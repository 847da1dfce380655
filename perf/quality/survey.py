"""Measures every image of a set by every method, in several processes."""

import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, as_completed
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from perf.quality.accuracy import choose_fixed_quality
from perf.quality.images import NotCompared
from perf.quality.measure import (
    Method,
    Row,
    Settings,
    measure_bisection,
    measure_curve,
    measure_fixed,
    measure_smart,
)
from pixels.formats import FormatName

Found = TypeVar("Found")


class Task(NamedTuple):
    """One image to bring into one format."""

    name: str
    path: Path
    format: FormatName


class Survey:
    """Runs the methods over a set of images and gathers what they find.

    Attributes
    ----------
    rows
        What was measured, in no order.
    skipped
        The files that cannot be compared, each with the reason.
    fixed_qualities
        The best fixed quality of each format.
    """

    def __init__(self, pool: Executor, settings: Settings, tasks: list[Task]) -> None:
        self._pool = pool
        self._settings = settings
        self._tasks = tasks
        self.rows: list[Row] = []
        self.skipped: dict[str, str] = {}
        self.fixed_qualities: dict[FormatName, int] = {}

    def measure(self, method: Method) -> None:
        """Bring each image to the target by `method`; progress goes to standard error."""
        if method == "smart":
            self._gather(measure_smart, self._tasks)
        elif method == "bisection":
            self._gather(measure_bisection, self._tasks)
        else:
            for wanted in dict.fromkeys(task.format for task in self._tasks):
                self._measure_fixed(wanted)

    def _measure_fixed(self, wanted: FormatName) -> None:
        tasks = [task for task in self._tasks if task.format == wanted]
        curves = list(self._run(measure_curve, tasks))
        if curves:
            quality = self.fixed_qualities[wanted] = choose_fixed_quality(curves, self._settings.target)
            self._gather(measure_fixed, tasks, quality)

    def _gather(self, work: Callable[..., Row], tasks: list[Task], *more: Any) -> None:
        for row in self._run(work, tasks, *more):
            self.rows.append(row)
            _tell(row)

    def _run(self, work: Callable[..., Found], tasks: list[Task], *more: Any) -> Iterator[Found]:
        futures: list[tuple[Future[Found], Task]] = [
            (self._pool.submit(work, self._settings, *task, *more), task)
            for task in tasks
            if task.name not in self.skipped
        ]
        names = {future: task.name for future, task in futures}
        for future in as_completed(names):
            try:
                yield future.result()
            except NotCompared as reason:
                self.skipped[names[future]] = str(reason)


def _tell(row: Row) -> None:
    claimed = "" if row.claimed is None else f" (claimed {row.claimed:.3f})"
    spent = "" if row.cpu_ms is None else f" {row.cpu_ms:.0f} ms"
    plain = "" if row.plain_cpu_ms is None else f", plain {row.plain_cpu_ms:.0f} ms"
    kept = ", source kept" if row.source_kept else ""
    line = f"{row.method:9} {row.format} {row.image}: q{row.quality} {row.distance:.3f}{claimed}{spent}{plain}{kept}"
    print(line, file=sys.stderr, flush=True)  # noqa: T201 - a long run shows that it lives
