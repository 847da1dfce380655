"""Turns samples into figures, and says when they are not the service's."""

import math
from collections.abc import Sequence
from typing import Final

import numpy as np

from perf.load.fleet import Sent, Stream
from perf.load.loops import Closed, Load
from perf.load.result import Cost, Latency, PhaseResult, StreamResult
from perf.load.samples import Floats, Samples
from perf.processes import Watch

#: Bounds of a histogram's buckets grow by this factor; fine enough to draw, coarse enough to keep.
_BUCKET: Final = 1.05
_LEAST_MS: Final = 0.1
#: The generator's own delay must stay under this share of the least p99 that it reports, or under the time.
_MOST_LAG_SHARE: Final = 0.1
_MOST_LAG_MS: Final = 5.0
#: A process that is busier than this reads answers late, however punctually it sends.
_MOST_BUSY_SHARE: Final = 0.85
#: Where others have more of the machine that is measured, its figures are theirs too.
_MOST_OTHERS_CORES: Final = 0.2


def summarise_phase(
    name: str,
    streams: Sequence[Stream],
    sent: dict[str, list[Sent]],
    *,
    duration_s: float,
    watch: Watch | None,
) -> PhaseResult:
    """Put together what all processes saw in one phase, and what it cost."""
    every = [one for shares in sent.values() for one in shares]
    merged = {stream.name: merge(sent[stream.name]) for stream in streams}
    results = [summarise(stream.name, stream.load, merged[stream.name], duration_s) for stream in streams]
    busiest = max((one.busy_share for one in every), default=0.0)
    doubts = [f"{result.name}: {doubt}" for result in results if (doubt := _doubt_lag(result))]
    if busiest > _MOST_BUSY_SHARE:
        doubts.append(f"a generating process was busy for {busiest:.0%} of the time")
    generator_cpu_s = sum(one.cpu_s for one in every)
    cost = others_cores = None
    if watch is not None:
        others_cores = round(max(0.0, watch.machine_s - watch.cpu_s - generator_cpu_s) / watch.took_s, 2)
        if others_cores > _MOST_OTHERS_CORES:
            doubts.append(f"other programs had {others_cores:.1f} cores of this machine")
        accepted = sum(result.accepted.count for result in results if result.accepted)
        each_ms = round(1e3 * watch.cpu_s / accepted, 3) if accepted else None
        cost = Cost(cpu_s=round(watch.cpu_s, 3), cpu_ms_per_accepted=each_ms, peak_rss_bytes=watch.peak_rss_bytes)
    return PhaseResult(
        name=name,
        duration_s=duration_s,
        streams=results,
        service=cost,
        generator_cpu_s=round(generator_cpu_s, 3),
        generator_busy_share=round(busiest, 3),
        doubts=doubts,
        others_cores=others_cores,
    )


def merge(shares: Sequence[Sent]) -> Samples:
    """Return what several processes saw of one stream as one."""
    whole = Samples()
    for share in shares:
        whole.extend(share.samples)
    return whole


def summarise(name: str, load: Load, samples: Samples, duration_s: float) -> StreamResult:
    """Return the figures of one stream in one phase."""
    accepted, refused, rejected = (samples.are(kind) for kind in ("accepted", "refused", "rejected"))
    latency_s, head_s, lag_s = (samples.column(column) for column in ("latency_s", "head_s", "lag_s"))
    ended_s = samples.column("due_s") + latency_s
    good = int(accepted.sum())
    return StreamResult(
        name=name,
        load=_describe(load),
        offered_per_s=round(len(samples) / duration_s, 3),
        accepted_per_s=round(int((accepted & (ended_s <= duration_s)).sum()) / duration_s, 3),
        counts=samples.count(),
        accepted=measure(latency_s[accepted]),
        refused=measure(head_s[refused]),
        rejected=measure(head_s[rejected]),
        lag_p99_ms=round(1e3 * float(np.percentile(lag_s, 99)), 3) if lag_s.size else 0.0,
        picture_bytes=int(np.array(samples.sent_bytes, dtype=np.int64)[accepted].sum()) if good else 0,
        result_bytes=sum(samples.received_bytes),
        cache=dict(samples.cache),
        variants=dict(samples.variants),
        stages_ms={stage: round(total / good, 3) for stage, total in samples.stages_ms.items()} if good else {},
        timeline=_count_by_second(ended_s, accepted, refused, duration_s),
    )


def measure(times_s: Floats) -> Latency | None:
    """Return the percentiles of some times: each is one that a request really took. None where there is none."""
    if not times_s.size:
        return None
    ms = np.sort(times_s) * 1e3

    def place(per_mille: int) -> float:
        return round(float(ms[max(0, -(-per_mille * ms.size // 1000) - 1)]), 3)

    places = np.ceil(np.log(np.maximum(ms, _LEAST_MS) / _LEAST_MS) / math.log(_BUCKET)).astype(int)
    numbers, counts = np.unique(places, return_counts=True)
    return Latency(
        count=int(ms.size),
        mean_ms=round(float(ms.mean()), 3),
        p50_ms=place(500),
        p90_ms=place(900),
        p99_ms=place(990),
        p999_ms=place(999),
        max_ms=place(1000),
        histogram=[
            (round(_LEAST_MS * _BUCKET ** int(number), 3), int(count))
            for number, count in zip(numbers, counts, strict=True)
        ],
    )


def _count_by_second(
    ended_s: Floats, accepted: np.ndarray, refused: np.ndarray, duration_s: float
) -> list[tuple[int, int, int]]:
    edges = np.arange(math.ceil(duration_s) + 1)
    kinds = (accepted, refused, ~(accepted | refused))
    columns = [np.histogram(ended_s[kind], edges)[0] for kind in kinds]
    return [(int(good), int(away), int(other)) for good, away, other in zip(*columns, strict=True)]


def _doubt_lag(result: StreamResult) -> str:
    p99_ms = min((latency.p99_ms for latency in (result.accepted, result.refused) if latency), default=0.0)
    if result.lag_p99_ms <= max(_MOST_LAG_MS, _MOST_LAG_SHARE * p99_ms):
        return ""
    return f"the generator was {result.lag_p99_ms:.0f} ms behind its schedule (p99)"


def _describe(load: Load) -> str:
    if isinstance(load, Closed):
        return f"closed, {load.clients} {'client' if load.clients == 1 else 'clients'}"
    return f"open, {load.rate_per_s:.4g}/s {load.arrivals}"
