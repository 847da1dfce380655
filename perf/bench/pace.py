"""Times a work in turn with a fixed one, so that the speed of the machine cancels out."""

import itertools
import math
import random
import statistics
import time
import zlib
from collections.abc import Callable
from typing import Any, Final

import numpy as np

#: A round is at least so long, so that what surrounds it does not count.
_LEAST_ROUND_S: Final = 0.004
#: Rounds of a benchmark: as many as fit into its time, within bounds that still give quartiles.
_LEAST_ROUNDS: Final = 9
_MOST_ROUNDS: Final = 60

Clock = Callable[[], float]
Work = Callable[[], Any]


def _do_nothing() -> None:
    pass


class Calibration:
    """About 5 ms of what the service does all day, in code that this project does not change.

    A third each of the interpreter, of NumPy on a plane that leaves the inner caches, and of a C library that follows
    its data.
    """

    def __init__(self) -> None:
        rng = np.random.default_rng(7)
        self._plane = rng.random((400, 640), dtype=np.float32)
        self._out = np.empty_like(self._plane)
        self._text = rng.integers(0, 24, 60_000, dtype=np.uint8).tobytes()
        # Not cryptographic: it has to be repeatable.
        self._words = [f"word-{random.Random(7).randrange(900)}-{number % 90}" for number in range(9_000)]  # noqa: S311

    def run(self) -> None:
        """Do it once."""
        counts: dict[str, int] = {}
        for word in self._words:
            counts[word.upper()] = counts.get(word, 0) + len(word)
        for _ in range(4):
            np.multiply(self._plane, self._plane, out=self._out)
            np.sqrt(self._out, out=self._out)
            self._out[1:] += self._plane[:-1]
        zlib.compress(self._text, 3)


class Pace:
    """Measures one benchmark, as the fixture `pace` of the suites.

    Parameters
    ----------
    benchmark
        pytest-benchmark's fixture, which times the rounds by the wall and keeps what is found here beside it.
    budget_s
        Seconds that the rounds may take together, with the calibration.
    """

    def __init__(self, benchmark: Any, calibration: Calibration, *, budget_s: float) -> None:
        self._benchmark = benchmark
        self._calibration = calibration
        self._budget_s = budget_s

    def __call__(
        self,
        work: Work,
        *,
        operations: int = 1,
        prepare: Work = _do_nothing,
        clock: Clock = time.process_time,
    ) -> None:
        """Run rounds of `work`, each between two calibrations, and keep the ratios of their CPU time.

        Parameters
        ----------
        work
            Done once before it is timed, for what is made at a first use.
        operations
            How many a call of it does.
        prepare
            Done before each call and not timed.
        clock
            Seconds of CPU of whoever does the work; for this process, of all its threads.
        """
        repeats, rounds = self._plan(work, prepare)
        spent_s: list[float] = []
        paces_s = [self._calibrate()]

        def run_round() -> None:
            total_s = 0.0
            for _ in range(repeats):
                prepare()
                begun_s = clock()
                work()
                total_s += clock() - begun_s
            spent_s.append(total_s / repeats / operations)

        def calibrate() -> None:
            paces_s.append(self._calibrate())

        self._benchmark.pedantic(run_round, setup=_do_nothing, teardown=calibrate, rounds=rounds)
        between = [(before + after) / 2 for before, after in itertools.pairwise(paces_s)]
        ratios = [spent / pace for spent, pace in zip(spent_s, between, strict=True)]
        low, middle, high = statistics.quantiles(ratios, n=4)
        self._benchmark.extra_info.update(
            cpu_ms=1e3 * statistics.median(spent_s),
            cost=middle,
            low=low,
            high=high,
            calibration_ms=1e3 * statistics.median(paces_s),
        )

    def _plan(self, work: Work, prepare: Work) -> tuple[int, int]:
        """Return how often a round repeats the work, and the number of rounds."""
        prepare()
        work()
        begun_s = time.perf_counter()
        prepare()
        prepared_s = time.perf_counter()
        work()
        whole_s, work_s = time.perf_counter() - begun_s, time.perf_counter() - prepared_s
        repeats = max(1, math.ceil(_LEAST_ROUND_S / work_s))
        fitting = self._budget_s / (repeats * whole_s + self._calibrate())
        return repeats, max(_LEAST_ROUNDS, min(_MOST_ROUNDS, int(fitting)))

    def _calibrate(self) -> float:
        begun_s = time.process_time()
        self._calibration.run()
        return time.process_time() - begun_s
