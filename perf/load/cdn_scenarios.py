"""What a CDN origin is measured by: what it keeps, what it has to make, and the one beside the other."""

import os
from collections import Counter
from collections.abc import Iterator
from typing import Final

from perf.load.findings import MOST_SLOWER, bounded, count_failures, divide, median, p99
from perf.load.loops import Open
from perf.load.result import Finding
from perf.load.run import FIRST, STORM, Phase, Run
from perf.load.sweep import sweep
from perf.strangers import keep_busy

#: Each `X-Cache` and `X-Variant` that the origin tells.
_CACHE: Final = ("hit", "stale", "join", "miss")
_VARIANTS: Final = ("final", "interim", "original")


def hits(run: Run) -> Iterator[Finding]:
    """A sweep over what is kept already."""
    run.fill()
    yield from sweep(run)
    streams = [stream for phase in run.phases for stream in phase.streams]
    accepted = sum(stream.accepted.count for stream in streams if stream.accepted)
    seen = sum((Counter(stream.cache) for stream in streams), Counter[str]())
    statuses = sum((Counter(stream.counts) for stream in streams), Counter[str]())
    for name in _CACHE:
        yield Finding(text=f"X-Cache: {name}", value=divide(seen[name], accepted), unit="of the accepted")
    yield Finding(text="unchanged, 304", value=divide(statuses["304"], accepted), unit="of the accepted")
    yield Finding(text="first bytes only, 206", value=divide(statuses["206"], accepted), unit="of the accepted")


def misses(run: Run) -> Iterator[Finding]:
    """A sweep over URLs that nobody has asked for before."""
    yield from sweep(run)
    for phase in run.phases:
        [stream] = phase.streams
        answered = sum(stream.counts.values())
        for name in _VARIANTS:
            share = divide(stream.variants.get(name, 0), answered)
            yield Finding(text=f"X-Variant: {name}, {phase.name}", value=share, unit="of the answers")


def storm(run: Run) -> Iterator[Finding]:
    """Hits at a steady rate: alone, beside programs that only spin, beside a storm of new URLs, and afterwards."""
    kept = run.stream(Open(run.settings.hits_per_s, run.settings.arrivals))
    run.fill()
    run.warm_up()
    phases = [alone := run.send("hits alone", kept)]
    busy = None
    if run.is_here:
        with keep_busy(os.cpu_count() or 1):
            busy = run.send("hits beside busy strangers", kept)
        phases.append(busy)
    stormy = run.send("hits beside a storm", kept, run.storm())
    quiet_at = run.settle()
    phases += [stormy, after := run.send("hits afterwards", kept)]

    slower = divide(p99(stormy, FIRST), p99(alone, FIRST))
    yield bounded("p99 of the hits beside the storm, over alone", slower, "x", MOST_SLOWER)
    slower = divide(median(stormy, FIRST), median(alone, FIRST))
    yield Finding(text="their median beside the storm, over alone", value=slower, unit="x")
    slower = divide(p99(busy, FIRST), p99(alone, FIRST)) if busy else None
    yield Finding(text="their p99 beside programs that only want the processors, over alone", value=slower, unit="x")
    slower = divide(p99(after, FIRST), p99(alone, FIRST))
    yield Finding(text="their p99 after the storm, over alone", value=slower, unit="x")
    cache = stormy.samples[FIRST].cache
    made = divide(cache.total() - cache["hit"], cache.total())
    yield Finding(text="hits beside the storm that were none", value=made, unit="of the accepted")
    missing = sum(int((~phase.samples[FIRST].are("accepted")).sum()) for phase in phases)
    yield bounded("hits that were refused, rejected or failed", float(missing), "", 0.0)
    yield from _tell_storm(stormy)
    quiet_s = None if quiet_at is None else max(0.0, quiet_at - stormy.begun_at - run.settings.duration_s)
    yield Finding(text="until all was quiet after the storm's last URL was asked for", value=quiet_s, unit="s")
    yield count_failures(*phases)


def _tell_storm(stormy: Phase) -> Iterator[Finding]:
    samples = stormy.samples[STORM]
    yield Finding(text="URLs of the storm", value=len(samples), unit="")
    for name in _VARIANTS:
        yield Finding(text=f"of these, answered with X-Variant: {name}", value=samples.variants[name], unit="")
    refused = int(samples.are("refused").sum())
    yield Finding(text="of these, refused", value=refused, unit="")
    others = len(samples) - samples.variants.total() - refused
    yield Finding(text="of these, neither", value=others, unit="")
