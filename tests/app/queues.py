"""What the tests of the queue, the records and the webhooks share."""

import asyncio
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from app.adapters.breaker import Breaker
from app.adapters.redis_client import open_client
from app.adapters.redis_deliveries import RedisDeliveries
from app.adapters.redis_jobs import RedisJobs
from app.ports.jobs import Claim, Job, Jobs, Outcome
from pixels.options import Options

MIB = 1024 * 1024
NOWHERE = "unix:///absent/s"
OUTCOME = Outcome(size=1000, format="webp", width=30, height=20, quality=80, distance=1.1)


@asynccontextmanager
async def queueing(address: str, *, timeout_s: float = 30.0, **options: Any) -> AsyncIterator[RedisJobs]:
    """Open a queue whose leases do not end within a test, unless told otherwise."""
    async with open_client(address, timeout_s) as client:
        yield RedisJobs(client, Breaker(pause_s=0.05), **{"most_of_account": 100, "lease_s": 600, **options})


@asynccontextmanager
async def sending(address: str, *, timeout_s: float = 30.0) -> AsyncIterator[RedisDeliveries]:
    async with open_client(address, timeout_s) as client:
        yield RedisDeliveries(client, Breaker(pause_s=0.05))


async def claim_next(jobs: Jobs) -> Claim:
    """Claim a job that is there, or will be; the scenario's own guard ends a wait in vain."""
    claim = await jobs.claim("worker", wait_s=60)
    assert claim is not None
    return claim


def make_job(job_id: str = "job", **changes: Any) -> Job:
    fields = {"account": "acme", "lane": "paid", "options": Options(), "original_size": 3 * MIB, "created": time.time()}
    return Job(id=job_id, **{**fields, **changes})


def run(scenario: Coroutine[Any, Any, None]) -> None:
    """Run a scenario; one that hangs fails."""

    async def guarded() -> None:
        async with asyncio.timeout(60):
            await scenario

    asyncio.run(guarded())
