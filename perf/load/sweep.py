"""The scenario that most mixes are asked in: from one client to more than the service can do."""

from collections.abc import Iterator
from typing import Final

from perf.load.findings import bounded, count_failures, divide, median, p99
from perf.load.loops import Closed, Open
from perf.load.result import Finding
from perf.load.run import FIRST, Run, read_rate

ONE_CLIENT: Final = Closed(1)
_MOST_QUEUEING: Final = 3.0
_NEAR_CAPACITY: Final = "0.8x"


def sweep(run: Run) -> Iterator[Finding]:
    """One client, as many as keep the service busy, and then open loops at rates around that capacity."""
    run.warm_up()
    alone = run.send("one client", run.stream(ONE_CLIENT))
    capacity = run.send("at capacity", run.at_capacity())
    yield Finding(text="accepted at capacity", value=capacity.accepted_per_s, unit="/s")
    offered = {
        text: run.send(
            f"open loop, {text}",
            run.stream(Open(read_rate(text, run.count_capacity(capacity)), run.settings.arrivals)),
        )
        for text in run.settings.rates
    }
    if _NEAR_CAPACITY in offered:
        ratio = divide(p99(offered[_NEAR_CAPACITY], FIRST), median(alone, FIRST))
        text = "p99 of what was accepted at 0.8 of the capacity, over one client's median"
        yield bounded(text, ratio, "x", _MOST_QUEUEING)
    cache = capacity.samples[FIRST].cache
    if cache["hit"]:
        yield Finding(text="answered from kept results", value=cache["hit"] / cache.total(), unit="of the accepted")
    yield count_failures(alone, capacity, *offered.values())
