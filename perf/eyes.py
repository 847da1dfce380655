"""What metrics cost on the plain JPEG request, beside a service that counts nothing: `python -m perf.eyes`.

Two services take the same requests in turn, in one run; the ratio is CPU of the one that counts over CPU of the other,
pair by pair. The one that counts is asked for its metrics every 15 s. Below that stands what counting one request
takes by itself: it is steady where the ratio drowns in what else the machine does. Traces are off in both.
"""

import argparse
import os
import socket
import statistics
import time
import urllib.request
from collections.abc import Callable
from typing import Final

from app.adapters.metric_families import Snapshot, render, take_families
from app.adapters.prometheus_meter import PrometheusMeter
from app.ports.meter import UNCOUNTED, Meter
from app.ports.tracer import UNTRACED
from perf.bare import photograph
from perf.machine import describe_commit, describe_machine
from perf.running import NO_REUSE, RunningService

_FIELDS: Final = {"quality": "75"}
_CLIENTS: Final = 4
_SCRAPE_S: Final = 15.0
#: Of the microbenchmark; the median of so many batches of as many calls.
_BATCHES, _CALLS = 41, 2000


def count_one(meter: Meter) -> None:
    """Count what one plain JPEG request makes, and do what it does for traces that are off."""
    meter.count_request("/api/v1/compress", 200, took_s=0.02, bytes_in=168_500, bytes_out=150_000, refusal=None)
    stages: Final = {"queue": 0.2, "handover": 0.5, "decode": 3.0, "search": 0.0, "encode": 9.0}
    meter.count_encode(
        "jpeg",
        stages_ms=stages,  # type: ignore[arg-type]  # its keys are literals
        source_bytes=168_000,
        result_bytes=150_000,
        distance=None,
    )
    UNTRACED.add_stages(stages, "jpeg")  # type: ignore[arg-type]


def measure_us(call: Callable[[], object], calls: int = _CALLS) -> float:
    """Median CPU time of a call."""
    batches = []
    for _ in range(_BATCHES):
        begun = time.thread_time()
        for _ in range(calls):
            call()
        batches.append(1e6 * (time.thread_time() - begun) / calls)
    return statistics.median(batches)


class Prometheus:
    """Asks a service for its metrics every 15 s."""

    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}/metrics"
        self._next = 0.0

    def ask(self) -> None:
        """Ask, if it is time."""
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + _SCRAPE_S
            with urllib.request.urlopen(self._url) as reply:  # noqa: S310  # our own
                reply.read()


def measure_round(service: RunningService, source: bytes, requests: int, ask: Callable[[], None]) -> float:
    """CPU milliseconds of the service for a request."""
    begun = service.cpu_s()
    service.compress_many(source, _FIELDS, requests=requests, clients=_CLIENTS)
    ask()
    return 1e3 * (service.cpu_s() - begun) / requests


def main() -> None:
    """Measure both and print them."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rounds", type=int, default=60)
    arguments.add_argument("--requests", type=int, default=32, help="a round")
    given = arguments.parse_args()
    _tell(f"{describe_machine()}, commit {describe_commit()}, load {os.getloadavg()[0]:.1f}\n")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    source = photograph(1000, 667)
    counting, plain = RunningService({**NO_REUSE, "METRICS_PORT": str(port)}), RunningService()
    prometheus = Prometheus(port)
    ratios, plain_ms = [], []
    with counting, plain:
        for turn in range(given.rounds + 1):
            both = [(counting, prometheus.ask), (plain, lambda: None)]
            used = {
                service: measure_round(service, source, given.requests, ask)
                for service, ask in (both if turn % 2 else reversed(both))
            }
            if turn:  # the first warms up
                ratios.append(used[counting] / used[plain])
                plain_ms.append(used[plain])
    low, middle, high = statistics.quantiles(ratios, n=4)
    request_ms = statistics.median(plain_ms)
    _tell(f"JPEG 1000x667 q75, {given.rounds} rounds of {given.requests}: {request_ms:.2f} ms CPU a request")
    _tell(f"counting / not: {middle:.3f}, quartiles {low:.3f}-{high:.3f}")
    meter = PrometheusMeter()
    for name, one in (("counted", meter), ("not counted", UNCOUNTED)):
        took_us = measure_us(lambda one=one: count_one(one))  # type: ignore[misc]  # bound now, not at the call
        _tell(f"a request {name}: {took_us:.1f} us, {took_us / request_ms / 10:.3f} % of it")

    def read() -> None:
        render([Snapshot("api", 1, take_families(meter.registry.collect()))], "")

    _tell(f"a page of one process: {measure_us(read, 20) / 1e3:.1f} ms, asked for every {_SCRAPE_S:g} s")


def _tell(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - a command's answer


if __name__ == "__main__":
    main()
