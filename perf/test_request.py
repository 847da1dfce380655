"""Service CPU per request against the same libvips calls without HTTP: `make bench-beside`.

In each round the same picture goes first through `pixels.pipeline` in bare processes, as many as encode processes, and
then through a running service by 8 concurrent clients. The ratio raw/service is 1 where HTTP, keys, limits and the
hand-over between processes cost nothing. The clients' own CPU is not counted.
"""

import multiprocessing
import multiprocessing.pool
import os
import statistics
from collections.abc import Iterator
from typing import Any

import pytest

from perf.bare import compress_raw, photograph, prepare
from perf.running import RunningService
from pixels.options import Options

CLIENTS = 8
PROCESSES = os.cpu_count() or 1
#: Size, what is asked, requests a round, and rounds: many short ones, because the machine's speed drifts.
WORKS: dict[str, tuple[tuple[int, int], dict[str, Any], int, int]] = {
    "JPEG 1000x667 q75": ((1000, 667), {"quality": 75}, 80, 41),
    "JPEG 1600x1067 to WebP q75": ((1600, 1067), {"quality": 75, "format": "webp"}, 16, 11),
    "JPEG 1000x667 to AVIF q60": ((1000, 667), {"quality": 60, "format": "avif"}, 16, 11),
}


@pytest.fixture(scope="module")
def service() -> Iterator[RunningService]:
    with RunningService() as running:
        yield running


@pytest.fixture(scope="module")
def bare() -> Iterator[multiprocessing.pool.Pool]:
    with multiprocessing.get_context("forkserver").Pool(PROCESSES, prepare) as pool:
        yield pool


@pytest.mark.parametrize("name", WORKS)
def test_request(benchmark: Any, service: RunningService, bare: multiprocessing.pool.Pool, name: str) -> None:
    (width, height), fields, requests, rounds = WORKS[name]
    source, options = photograph(width, height), Options(**fields)
    ratios, raws, served = [], [], []

    def run_round() -> None:
        each = requests // PROCESSES
        raw_s = sum(bare.starmap(compress_raw, [(source, options, each)] * PROCESSES, chunksize=1))
        begun = service.cpu_s()
        service.compress_many(source, fields, requests=requests, clients=CLIENTS)
        service_s = service.cpu_s() - begun
        raws.append(1e3 * raw_s / (each * PROCESSES))
        served.append(1e3 * service_s / requests)
        ratios.append(raws[-1] / served[-1])

    benchmark.pedantic(run_round, rounds=rounds, iterations=1, warmup_rounds=1)
    benchmark.extra_info |= {
        "raw_cpu_ms": round(statistics.median(raws[1:]), 2),
        "service_cpu_ms": round(statistics.median(served[1:]), 2),
        "raw_over_service": round(statistics.median(ratios[1:]), 3),
        "quartiles": [round(quartile, 3) for quartile in statistics.quantiles(ratios[1:], n=4)],
    }
