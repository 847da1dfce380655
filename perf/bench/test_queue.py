"""What a job costs on its way through the queue and back, by the CPU of both sides."""

import asyncio
import statistics
import time
from typing import Any

import msgspec

from perf.bench.pace import Pace
from perf.bench.server import OUTCOME, Server

JOBS = 120
WORKERS = 4


def test_submit_claim_finish(pace: Pace, server: Server, benchmark: Any) -> None:
    """All are submitted at once, and four workers claim and finish them; and how many that is a second."""
    took_s: list[float] = []

    async def work() -> None:
        for _ in range(JOBS // WORKERS):
            assert await server.jobs.finish(await server.claim(), OUTCOME, took_s=1)

    async def run_jobs() -> None:
        begun_s = time.perf_counter()
        await asyncio.gather(*(server.jobs.submit(server.make_job()) for _ in range(JOBS)))
        await asyncio.gather(*(work() for _ in range(WORKERS)))
        took_s.append(time.perf_counter() - begun_s)

    pace(lambda: server.run(run_jobs()), operations=JOBS, prepare=server.empty, clock=server.all_cpu_s)
    benchmark.extra_info["note"] = f"{JOBS / statistics.median(took_s):.0f} jobs/s"


def test_record_of_an_answer(pace: Pace, server: Server) -> None:
    """What each answered request leaves in the Valkey: the record of a finished job."""

    async def keep() -> None:
        for _ in range(JOBS):
            now = time.time()
            job = server.make_job()
            ended = {"state": "complete", "finished": now, "expires": now + 60, "outcome": OUTCOME}
            await server.jobs.keep([msgspec.structs.replace(job, **ended)])

    pace(lambda: server.run(keep()), operations=JOBS, prepare=server.empty, clock=server.all_cpu_s)
