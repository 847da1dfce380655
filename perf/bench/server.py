"""A Valkey to send to from a benchmark, through the clients that the service uses."""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final, TypeVar

from app.adapters.breaker import Breaker
from app.adapters.redis_client import open_client
from app.adapters.redis_idempotency import RedisIdempotency
from app.adapters.redis_jobs import RedisJobs
from app.adapters.redis_limiter import RedisLimiter
from app.ports.jobs import Claim, Job, Outcome
from perf.processes import sum_cpu_s
from pixels.options import Options

Found = TypeVar("Found")
OUTCOME: Final = Outcome(size=1000, format="webp", width=30, height=20, quality=80, distance=1.1)
_PATIENCE_S: Final = 30.0


class Server:
    """The adapters of one Valkey, on an event loop that runs while something is awaited.

    Attributes
    ----------
    limiter, jobs, idempotency
        As in the service; leases do not end within a benchmark.
    """

    def __init__(self, address: str, pid: int, runner: asyncio.Runner) -> None:
        self._pid = pid
        self._runner = runner
        self._client = open_client(address, _PATIENCE_S)
        breaker = Breaker()
        self.limiter = RedisLimiter(self._client, breaker)
        self.jobs = RedisJobs(self._client, breaker, most_of_account=100_000, lease_s=600)
        self.idempotency = RedisIdempotency(self._client, breaker)
        self._number = 0

    def close(self) -> None:
        """Close the connections."""
        self.run(self._client.aclose())

    def own_cpu_s(self) -> float:
        """Seconds of CPU of the Valkey alone."""
        return sum_cpu_s((self._pid,))

    def all_cpu_s(self) -> float:
        """Seconds of CPU of the Valkey and of this process."""
        return sum_cpu_s((self._pid, os.getpid()))

    def run(self, scenario: Coroutine[Any, Any, Found]) -> Found:
        """Run one on the event loop."""
        return self._runner.run(scenario)

    def repeat(self, call: Callable[[], Awaitable[Any]], count: int) -> None:
        """Await so many calls, one after the other."""

        async def calls() -> None:
            for _ in range(count):
                await call()

        self.run(calls())

    def empty(self) -> None:
        """Forget everything that the Valkey holds."""
        self.run(self._flush())

    def make_job(self) -> Job:
        """Return a job with a new id."""
        self._number += 1
        job_id = f"job-{self._number:012}"
        return Job(
            id=job_id, account="acme", lane="paid", options=Options(), original_size=3 << 20, created=time.time()
        )

    async def claim(self) -> Claim:
        """Take a job that is there."""
        claim = await self.jobs.claim("worker", wait_s=_PATIENCE_S)
        assert claim is not None
        return claim

    async def _flush(self) -> None:
        await self._client.flushall()
