"""What has begun by the deadline is finished here; what has not is left to a job, where one can be queued."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

from app.adapters.redis_jobs import RedisJobs
from app.ports.jobs import Job
from app.service.cdn import orders
from app.service.cdn.improving import Improver
from app.service.cdn.orders import Orders, read_order
from app.service.cdn.telling import Teller
from app.service.slots import Slots
from tests.app.cdn.ordering import LIVES, RECIPE, SOURCE_BYTES, Encoders, Place, begin_work, encode, fetched, opened
from tests.app.queues import NOWHERE, claim_next, run

FIRST = encode("jpeg", 900)


class Traced:
    """A request that is traced."""

    def context(self) -> str:
        return "00-1-2-01"


class Improving:
    """An improver with one turn, which is free at first."""

    def __init__(self, place: Place, sizes: dict[str, int], *, deadline_s: float) -> None:
        self.place = place
        self.encoders = Encoders(sizes)
        self.turns: Slots[int] = Slots(count=1, waiting_per_slot=4, wait_timeout_s=30)
        self.turns.release(0)
        self.work = begin_work()
        self._improver = Improver(
            self.turns,
            cast(Any, self.encoders),
            Teller(place.shelf, LIVES),
            Orders(place.jobs, place.blobs, tracer=cast(Any, Traced())),
            deadline_s=deadline_s,
        )

    async def improve(self, **headers: str) -> None:
        looked = await self.place.shelf.look(RECIPE.key())
        async with fetched(**headers) as source:
            await self._improver.improve(self.work, source, FIRST, ["webp", "avif"], looked)

    async def kept(self) -> tuple[str, int, str]:
        held = (await self.place.shelf.look(RECIPE.key())).held
        assert held is not None
        assert len(held.data) == held.variant.size
        return held.variant.kind, held.variant.size, held.variant.job


@asynccontextmanager
async def improving(
    address: str, folder: Path, *, deadline_s: float, jobs_address: str = "", **sizes: int
) -> AsyncIterator[Improving]:
    async with opened(address, folder, jobs_address=jobs_address) as place:
        yield Improving(place, sizes or {"webp": 800, "avif": 700}, deadline_s=deadline_s)


async def queued(jobs: RedisJobs) -> int:
    return (await jobs.depth())["free"]


def test_in_time_the_smallest_is_the_answer(redis_address: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with improving(redis_address, tmp_path, deadline_s=60) as one:
            await one.improve()
            assert (await one.work.first).variant.kind == "final"
            assert await one.kept() == ("final", 700, "")
            assert await queued(one.place.jobs) == 0

    run(scenario())


def test_what_waits_for_its_turn_at_the_deadline_is_a_job_with_all_that_is_left(
    redis_address: str, tmp_path: Path
) -> None:
    async def scenario() -> None:
        async with improving(redis_address, tmp_path, deadline_s=0.1) as one:
            turn = await one.turns.acquire("another")
            await one.improve()
            assert (await one.work.first).variant.kind == "interim"
            job: Job = (await claim_next(one.place.jobs)).job
            assert await one.kept() == ("interim", 900, job.id)
            assert read_order(job).formats == ("webp", "avif")
            assert (job.original_size, job.source_parts, job.traceparent) == (SOURCE_BYTES, 1, "00-1-2-01")
            assert one.encoders.begun == []
            assert one.turns.waiting == 0
            one.turns.release(turn)
            assert one.turns.idle == 1

    run(scenario())


def test_what_has_begun_at_the_deadline_is_finished_and_the_rest_is_a_job(redis_address: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        # Time enough to begin, on any machine.
        async with improving(redis_address, tmp_path, deadline_s=2) as one:
            one.encoders.may.clear()
            task = asyncio.create_task(one.improve())
            assert (await one.work.first).variant.size == 900
            one.encoders.may.set()
            await task
            job = (await claim_next(one.place.jobs)).job
            assert await one.kept() == ("interim", 800, job.id)
            assert (read_order(job).formats, read_order(job).interim_bytes) == (("avif",), 800)
            assert one.encoders.begun == ["webp"]
            assert one.turns.idle == 1

    run(scenario())


def test_what_cannot_be_queued_is_finished_here(redis_address: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with improving(redis_address, tmp_path, deadline_s=1e-9, jobs_address=NOWHERE) as one:
            await one.improve()
            assert (await one.work.first).variant.kind == "interim"
            assert await one.kept() == ("final", 700, "")

    run(scenario())


def test_where_too_much_is_queued_it_is_finished_here(redis_address: str, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(orders, "_MOST_WAITING", 1)

    async def scenario() -> None:
        async with improving(redis_address, tmp_path, deadline_s=1e-9) as first:
            await first.improve()
            assert await queued(first.place.jobs) == 1
            second = Improving(first.place, {"webp": 800, "avif": 700}, deadline_s=1e-9)
            await second.improve()
            assert await queued(first.place.jobs) == 1
            assert await second.kept() == ("final", 700, "")

    run(scenario())


def test_what_must_not_be_kept_makes_no_job(redis_address: str, tmp_path: Path) -> None:
    """Nobody would ever see what it made."""

    async def scenario() -> None:
        async with improving(redis_address, tmp_path, deadline_s=1e-9) as one:
            await one.improve(**{"cache-control": "no-store"})
            assert (await one.work.first).data == FIRST.data
            assert await queued(one.place.jobs) == 0
            assert one.encoders.begun == []

    run(scenario())


def test_where_the_store_is_away_nothing_is_queued(redis_address: str, tmp_path: Path) -> None:
    """The formats that are left are tried here, though nothing can be kept."""
    (tmp_path / "store").write_bytes(b"no folder")

    async def scenario() -> None:
        async with improving(redis_address, tmp_path, deadline_s=1e-9) as one:
            await one.improve()
            assert (await one.work.first).data == FIRST.data
            assert one.encoders.begun == ["webp", "avif"]
            assert await queued(one.place.jobs) == 0

    run(scenario())
