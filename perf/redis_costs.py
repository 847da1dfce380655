"""What requests and jobs cost Redis: `python -m perf.redis_costs`.

The service's own adapters send what a request or a job sends, 64 at a time, to a private Valkey. Its CPU time is what
the server says of itself, and memory likewise. Redis runs commands on one core, so 1 s over the time of one is how many
there can be in a second.
"""

import asyncio
import os
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

from redis.asyncio import Redis

from app.adapters.breaker import Breaker
from app.adapters.embedded import EmbeddedValkey
from app.adapters.redis_client import open_client
from app.adapters.redis_jobs import RedisJobs
from app.adapters.redis_limiter import RedisLimiter
from app.ports.jobs import HEARTBEAT_S, KEEP_S, Job, Outcome
from app.service.job_blobs import new_id
from perf.machine import describe_commit, describe_machine
from pixels.options import Options

_AT_ONCE: Final = 64
_REQUESTS: Final = 4000
_JOBS: Final = 1500
#: A source of 5 MB has so many parts, each with a promise that it goes.
_PARTS: Final = 3
_ACCOUNTS: Final = 50
_Work = Callable[[], Awaitable[object]]
_OUTCOME: Final = Outcome(size=50_000, format="webp", width=1000, height=667, quality=80, distance=1.2)


class Cost(NamedTuple):
    """Of one piece of work: what it cost the server, which it does not give back before it expires."""

    cpu_us: float
    memory_bytes: float


async def _measure(client: Redis, works: Iterable[_Work]) -> Cost:
    queue = list(works)
    count = len(queue)

    async def work_on() -> None:
        while queue:
            await queue.pop()()

    before = await _look(client)
    await asyncio.gather(*(work_on() for _ in range(_AT_ONCE)))
    cpu_s, memory_bytes = (after - first for after, first in zip(await _look(client), before, strict=True))
    return Cost(cpu_s / count * 1e6, memory_bytes / count)


async def _look(client: Redis) -> tuple[float, int]:
    cpu, memory = await client.info("cpu"), await client.info("memory")
    return cpu["used_cpu_user"] + cpu["used_cpu_sys"], memory["used_memory"]


async def _run(address: str) -> None:
    async with open_client(address, 30.0, max_in_flight=_AT_ONCE) as client:
        jobs = RedisJobs(client, Breaker(), most_of_account=_JOBS)
        limiter = RedisLimiter(client, Breaker())
        kept, queued = [_make_kept() for _ in range(_REQUESTS)], [_make_job(number) for number in range(_JOBS)]

        async def submit(job: Job) -> None:
            for _ in range(_PARTS):
                await jobs.reserve(job.id, for_s=7200)
            await jobs.submit(job)

        async def finish_one() -> None:
            claim = await jobs.claim("worker", wait_s=60)
            if claim is not None:
                await jobs.extend(claim)
                await jobs.finish(claim, _OUTCOME, took_s=1)

        numbers = range(_REQUESTS)
        costs: dict[str, Sequence[_Work]] = {
            "a rate limit": [partial(limiter.spend, "compress", f"key_{n % _ACCOUNTS}", 10**9) for n in numbers],
            "a look for the same result": [partial(jobs.find_content, f"{n:064}") for n in numbers],
            "a result that is kept": [partial(jobs.keep, [job]) for job in kept],
            "a job that is submitted": [partial(submit, job) for job in queued],
            "a job that is claimed and finished": [finish_one for _ in queued],
            "a look for a job in vain": [partial(jobs.claim, "worker", wait_s=0) for _ in numbers],
        }
        for name, works in costs.items():
            cost = await _measure(client, works)
            print(f"{name}: {cost.cpu_us:.0f} us, {cost.memory_bytes:.0f} bytes stay")  # noqa: T201 - a command's answer


def _make_job(number: int) -> Job:
    return Job(
        id=new_id(),
        account=f"account-{number % _ACCOUNTS}",
        lane="paid",
        options=Options(),
        original_size=5_000_000,
        created=time.time(),
        source_parts=_PARTS,
        content_key=os.urandom(32).hex(),
    )


def _make_kept() -> Job:
    now = time.time()
    return Job(
        id=new_id(),
        account="account",
        lane="paid",
        options=Options(),
        original_size=170_000,
        created=now,
        content_key=os.urandom(32).hex(),
        state="complete",
        finished=now,
        expires=now + KEEP_S,
        outcome=_OUTCOME,
    )


def main() -> None:
    """Measure and print."""
    print(f"{describe_machine()}, commit {describe_commit()}; a heartbeat each {HEARTBEAT_S} s")  # noqa: T201 - likewise
    with tempfile.TemporaryDirectory(prefix="cz-") as folder, EmbeddedValkey(Path(folder), Path(folder, "s")):
        asyncio.run(_run(f"unix://{folder}/s"))


if __name__ == "__main__":
    main()
