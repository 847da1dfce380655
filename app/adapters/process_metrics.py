"""All metrics of one process: what its meter counted, and what is read off its parts when somebody asks.

The latter cost nothing until then, and are exact at that moment.
"""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from app.adapters.breaker import Breaker
from app.adapters.metric_families import Family, take_families
from app.adapters.prometheus_meter import PrometheusMeter
from app.adapters.redis_jobs import RedisJobs
from app.adapters.redis_limiter import RedisLimiter
from app.ports.jobs import JobsUnavailable, Lane, LaneState
from app.service.encoders import Encoders
from app.service.results import Results

#: A Redis that is slow must not keep the rest from those who look why.
_LANES_S: Final = 1.0


@dataclass(frozen=True)
class ProcessMetrics:
    """What a process looks at; an API has a limiter and results, a worker has not.

    Parameters
    ----------
    breakers
        By the name of the client of Redis that each belongs to.
    """

    meter: PrometheusMeter
    encoders: Encoders
    jobs: RedisJobs
    breakers: Mapping[str, Breaker]
    limiter: RedisLimiter | None = None
    results: Results | None = None

    async def read(self) -> list[Family]:
        """Look at everything; the lanes, for which Redis is asked, have no samples where it does not answer."""
        lanes: Mapping[Lane, LaneState] = {}
        with suppress(JobsUnavailable, TimeoutError):
            async with asyncio.timeout(_LANES_S):
                lanes = await self.jobs.lanes()
        return take_families(
            (*self.meter.registry.collect(), *self._of_encoders(), *self._of_redis(), *_of_lanes(lanes))
        )

    def _of_encoders(self) -> Iterator[Metric]:
        slots, memory = self.encoders.slots, self.encoders.memory
        yield _gauge("slots_busy", "Encode processes that have a picture.", slots.lent)
        yield _gauge("slots_idle", "Encode processes that are ready and have none.", slots.idle)
        yield _gauge("slots_waiting", "Pictures that wait for an encode process.", slots.waiting)
        yield _gauge("overloaded", "1 while so much is refused that hardly anybody may wait.", slots.is_overloaded)
        yield _counter("encode_process_restarts", "Encode processes that were replaced.", self.encoders.restarts)
        yield _gauge(
            "memory_budget_bytes", "What may be lent to pictures that need more than their share.", memory.total_bytes
        )
        yield _gauge("memory_lent_bytes", "What of it is lent.", memory.total_bytes - memory.free_bytes)
        yield _gauge("memory_waiting", "Pictures that wait for memory.", memory.waiting)

    def _of_redis(self) -> Iterator[Metric]:
        opened = CounterMetricFamily(
            "compressorize_redis_breaker_opened", "Times that Redis was left alone after failures.", labels=["client"]
        )
        is_open = GaugeMetricFamily(
            "compressorize_redis_breaker_open", "1 while Redis is left alone after failures.", labels=["client"]
        )
        for client, breaker in self.breakers.items():
            opened.add_metric([client], breaker.opened)
            is_open.add_metric([client], breaker.is_open)
        yield from (opened, is_open)
        yield _counter("jobs_poisoned", "Jobs that were failed because their workers died.", self.jobs.poisoned)
        if self.limiter is not None:
            yield _counter(
                "rate_limit_local", "Requests whose limit was decided without Redis.", self.limiter.decided_locally
            )
        if self.results is not None:
            yield _counter("results_lost", "Results of answers that could not be kept.", self.results.lost)


def _of_lanes(lanes: Mapping[Lane, LaneState]) -> Iterator[Metric]:
    depth = GaugeMetricFamily("compressorize_queue_depth", "Jobs in a lane that wait or run.", labels=["lane"])
    running = GaugeMetricFamily("compressorize_queue_running", "Of these, jobs that run.", labels=["lane"])
    held = GaugeMetricFamily("compressorize_queue_held", "Jobs held back beside the lane.", labels=["lane"])
    oldest = GaugeMetricFamily(
        "compressorize_queue_oldest_seconds", "How long the oldest waiting job has been in its lane.", labels=["lane"]
    )
    for lane, state in lanes.items():
        depth.add_metric([lane], state.depth)
        running.add_metric([lane], state.running)
        held.add_metric([lane], state.held)
        oldest.add_metric([lane], state.oldest_s)
    yield from (depth, running, held, oldest)


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"compressorize_{name}", text, value=value)


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(f"compressorize_{name}", text, value=value)
