"""The figures that scenarios are about, made from their phases."""

from typing import Final

from perf.load.result import Finding, Latency
from perf.load.run import Phase
from perf.load.samples import judge

#: How much longer what is not to blame may take beside what is too much.
MOST_SLOWER: Final = 2.0


def p99(phase: Phase, stream: str) -> float | None:
    """Return the p99 of what a stream had accepted in a phase, in milliseconds; None where it had nothing."""
    latency = _accepted(phase, stream)
    return latency.p99_ms if latency else None


def median(phase: Phase, stream: str) -> float | None:
    """Return the median, as `p99` does."""
    latency = _accepted(phase, stream)
    return latency.p50_ms if latency else None


def divide(value: float | None, base: float | None) -> float | None:
    """Return a ratio; None where one is missing or there is nothing to divide by."""
    return round(value / base, 3) if value is not None and base else None


def bounded(text: str, value: float | None, unit: str, bound: float) -> Finding:
    """Return a figure that is to be `bound` at most."""
    return Finding(text=text, value=value, unit=unit, bound=bound, holds=None if value is None else value <= bound)


def count_failures(*phases: Phase) -> Finding:
    """Return how many requests failed, of which there must be none."""
    counts = [samples.count() for phase in phases for samples in phase.samples.values()]
    failed = sum(number for count in counts for label, number in count.items() if judge(label) == "failed")
    return bounded("requests that failed", float(failed), "", 0.0)


def _accepted(phase: Phase, stream: str) -> Latency | None:
    return next(one.accepted for one in phase.result.streams if one.name == stream)
