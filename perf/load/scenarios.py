"""The stories that are told with phases, and the figures that each is about."""

from collections.abc import Callable, Iterator
from typing import Final

import msgspec
import numpy as np

from perf.load import cdn_scenarios
from perf.load.findings import MOST_SLOWER, bounded, count_failures, divide, median, p99
from perf.load.mixes import MIXES
from perf.load.result import Finding
from perf.load.run import FIRST, OTHER, Run
from perf.load.samples import RUDE, Floats, Samples
from perf.load.sweep import ONE_CLIENT, sweep
from perf.load.visits import CDN_MIXES

#: What is promised: perf/LOAD.md lists the bounds.
_MOST_REFUSAL_MS: Final = 100.0
_MOST_RECOVERY_S: Final = 5.0
#: With more of its requests refused, an account has no p99 to speak of.
_MOST_REFUSED: Final = 0.01
#: Full speed is this share of what was accepted before, over windows of so long.
_FULL_SHARE: Final = 0.9
_WINDOW_S: Final = 2.0
_STEP_S: Final = 0.1


class Scenario(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked unless another mix is named, and the phases.

    Attributes
    ----------
    needs_other
        A key of another account.
    streams
        At most so many run at the same time.
    """

    mix: str
    about: str
    tell: Callable[[Run], Iterator[Finding]]
    needs_other: bool = False
    streams: int = 1


def overload(run: Run) -> Iterator[Finding]:
    """Unloaded, at capacity, a flood of several times that, and afterwards."""
    run.warm_up()
    unloaded = run.send("unloaded", run.stream(ONE_CLIENT))
    capacity = run.send("at capacity", run.at_capacity())
    flood = run.send("flood", run.flood(capacity))
    after = run.send("after", run.at_capacity())
    yield Finding(text="accepted at capacity", value=capacity.accepted_per_s, unit="/s")
    kept = divide(flood.accepted_per_s, capacity.accepted_per_s)
    yield Finding(text="accepted during the flood, over the capacity", value=kept, unit="x")
    slower = divide(p99(flood, FIRST), p99(unloaded, FIRST))
    yield bounded("p99 of what was accepted during the flood, over unloaded", slower, "x", MOST_SLOWER)
    refused = flood.result.streams[0].refused
    yield bounded("p99 of refusals", refused.p99_ms if refused else None, "ms", _MOST_REFUSAL_MS)
    rude = flood.samples[FIRST].count().get(RUDE, 0)
    yield bounded("refusals without Retry-After", float(rude), "", 0.0)
    recovered_s = measure_recovery(capacity.samples[FIRST], after.samples[FIRST], run.settings.duration_s)
    if recovered_s is not None:
        recovered_s += after.begun_at - flood.begun_at - run.settings.duration_s
    recovery = bounded("until full speed after the flood", recovered_s, "s", _MOST_RECOVERY_S)
    # Not seen in the whole phase is too late.
    yield msgspec.structs.replace(recovery, holds=bool(recovery.holds))
    yield count_failures(unloaded, capacity, flood, after)


def fairness(run: Run) -> Iterator[Finding]:
    """Another account sends one request after another, alone and beside a flood."""
    run.warm_up()
    capacity = run.send("at capacity", run.at_capacity())
    alone = run.send("other account alone", run.other_stream(ONE_CLIENT))
    flooded = run.send("beside a flood", run.flood(capacity), run.other_stream(ONE_CLIENT))
    after = run.send("other account alone again", run.other_stream(ONE_CLIENT))
    slower = divide(p99(flooded, OTHER), p99(alone, OTHER))
    yield bounded("p99 of the other account beside the flood, over alone", slower, "x", MOST_SLOWER)
    slower = divide(median(flooded, OTHER), median(alone, OTHER))
    yield Finding(text="its median beside the flood, over alone", value=slower, unit="x")
    samples = flooded.samples[OTHER]
    refused = divide(float(samples.are("refused").sum()), float(len(samples)))
    yield bounded("its requests that were refused beside the flood", refused, "of all", _MOST_REFUSED)
    kept = divide(flooded.accepted_per_s, capacity.accepted_per_s)
    yield Finding(text="accepted of the flood, over the capacity", value=kept, unit="x")
    yield count_failures(capacity, alone, flooded, after)


def measure_recovery(before: Samples, after: Samples, duration_s: float) -> float | None:
    """Return when the service was at full speed again, in seconds from the begin of `after`; None: not in its time.

    That is when the first window of 2 s (of a quarter of the phase, if it is short) begins in which 0.9 of the results
    came that come in the median window of `before`.
    """
    window_s = min(_WINDOW_S, duration_s / 4)
    starts = np.arange(0, duration_s - window_s + _STEP_S / 2, _STEP_S)

    def count(samples: Samples) -> Floats:
        ended_s = np.sort((samples.column("due_s") + samples.column("latency_s"))[samples.are("accepted")])
        return (np.searchsorted(ended_s, starts + window_s) - np.searchsorted(ended_s, starts)).astype(np.float64)

    reached = np.flatnonzero(count(after) >= _FULL_SHARE * np.median(count(before)))
    return round(float(starts[reached[0]]), 3) if reached.size else None


SCENARIOS: Final[dict[str, Scenario]] = {
    **{name: Scenario(mix=name, about=mix.about, tell=sweep) for name, mix in MIXES.items()},
    "overload": Scenario(
        mix="web-photos", about="unloaded, at capacity, a flood of several times that, and after it", tell=overload
    ),
    "fairness": Scenario(
        mix="web-photos",
        about="one account floods while another sends one request after another",
        tell=fairness,
        needs_other=True,
        streams=2,
    ),
    "cdn-hits": Scenario(mix="cdn-hits", about=CDN_MIXES["cdn-hits"].about, tell=cdn_scenarios.hits),
    "cdn-misses": Scenario(mix="cdn-misses", about=CDN_MIXES["cdn-misses"].about, tell=cdn_scenarios.misses),
    "cdn-storm": Scenario(
        mix="cdn-hits",
        about="requests for kept variants, alone and beside a storm of URLs that nobody has asked for, and after it",
        tell=cdn_scenarios.storm,
        streams=2,
    ),
}
