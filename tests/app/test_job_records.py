"""Records of jobs: kept as long as was said, then gone with their blobs, and never gone while the job is under way."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
import redis

from app.adapters import redis_job_records
from app.adapters.embedded import EmbeddedValkey
from app.adapters.redis_jobs import RedisJobs
from app.ports.jobs import Failure, Job
from pixels.options import Options
from tests.app.queues import OUTCOME, claim_next, make_job, queueing, run

FAILURE = Failure("decode_failed", "The file is broken.")


async def end_job(jobs: RedisJobs, job: Job) -> Job:
    """Take a job through the queue; return its record."""
    await jobs.submit(job)
    claim = await claim_next(jobs)
    assert await jobs.finish(claim, OUTCOME, took_s=1)
    found = await jobs.find(job.id)
    assert found is not None
    return found


async def wait_for_expired(jobs: RedisJobs) -> list[str]:
    """Return the next ids that expire; the scenario's own guard ends a wait in vain."""
    while not (ids := await jobs.expired(most=10)):
        await asyncio.sleep(0.01)
    return ids


def kept(job_id: str = "kept", **changes: object) -> Job:
    return make_job(job_id, **{"state": "complete", "finished": time.time(), "outcome": OUTCOME, **changes})


@pytest.mark.parametrize("end", [{"outcome": OUTCOME}, {"outcome": None, "failure": FAILURE, "state": "failed"}])
def test_what_is_kept_is_found_as_it_was_until_it_expires(redis_address: str, end: dict[str, object]) -> None:
    async def scenario() -> None:
        async with queueing(redis_address, keep_s=60) as jobs:
            job = kept(options=Options(format="avif", quality=50, max_width=100), finished=time.time() - 10, **end)
            await jobs.keep([job])
            found = await jobs.find("kept")
            assert found is not None
            assert found.finished is not None
            assert found.finished == pytest.approx(job.finished, abs=0.001)
            assert found.expires == pytest.approx(found.finished + 60, abs=0.001)
            assert msgspec.structs.replace(found, finished=job.finished, expires=None) == job
            assert await jobs.find("unknown") is None
            assert await jobs.depth() == {"paid": 0, "free": 0}

    run(scenario())


def test_an_unfinished_job_is_not_kept_but_submitted(redis_address: str) -> None:
    async def scenario() -> None:
        async with queueing(redis_address) as jobs:
            with pytest.raises(ValueError, match="has finished"):
                await jobs.keep([make_job()])

    run(scenario())


def test_a_record_goes_when_it_expires_though_nobody_sweeps_and_its_blobs_when_somebody_does(
    redis_address: str,
) -> None:
    async def scenario() -> None:
        async with queueing(redis_address, keep_s=0.3) as jobs:
            through_queue = await end_job(jobs, make_job("queued", content_key="content1"))
            await jobs.keep([kept(content_key="content2")])
            assert await jobs.expired(most=10) == []
            assert await jobs.find_content("content1") == through_queue
            assert through_queue.expires is not None
            await asyncio.sleep(through_queue.expires - time.time() + 0.1)
            for job_id in ("queued", "kept"):
                assert await jobs.find(job_id) is None
            for content_key in ("content1", "content2"):
                assert await jobs.find_content(content_key) is None
            assert sorted(await jobs.expired(most=10)) == ["kept", "queued"]
            for job_id in ("queued", "kept"):
                await jobs.forget(job_id)
            with redis.Redis.from_url(redis_address) as client:
                left = {name.decode() for name in client.scan_iter()}
                assert left == {"{cz}:jobs:paid", "{cz}:jobs:load", "{cz}:jobs:rates"}

    run(scenario())


def test_what_expired_is_one_sweepers_until_its_lease_ends(redis_address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        async with queueing(redis_address) as jobs:
            for number in range(5):
                await jobs.reserve(f"{number}", for_s=0)
            first = await jobs.expired(most=3)
            assert len(first) == 3
            second = await jobs.expired(most=3)
            assert sorted(first + second) == ["0", "1", "2", "3", "4"]
            assert await jobs.expired(most=3) == []
            await jobs.reserve("short", for_s=0)
            monkeypatch.setattr(redis_job_records, "_SWEEP_LEASE_S", 0.1)
            assert await jobs.expired(most=3) == ["short"]
            assert await wait_for_expired(jobs) == ["short"]
            await jobs.forget("short")
            assert await jobs.expired(most=3) == []

    run(scenario())


def test_blobs_of_an_upload_that_never_became_a_job_are_removed_in_time(redis_address: str) -> None:
    async def scenario() -> None:
        async with queueing(redis_address) as jobs:
            await jobs.reserve("upload", for_s=0.2)
            assert await jobs.expired(most=10) == []
            assert await wait_for_expired(jobs) == ["upload"]

    run(scenario())


def test_a_reservation_moves_with_each_call(redis_address: str) -> None:
    async def scenario() -> None:
        async with queueing(redis_address) as jobs:
            await jobs.reserve("upload", for_s=0)
            await jobs.reserve("upload", for_s=60)
            assert await jobs.expired(most=10) == []

    run(scenario())


def test_a_job_that_was_submitted_or_kept_is_under_no_reservation(redis_address: str) -> None:
    async def scenario() -> None:
        async with queueing(redis_address, most_of_account=1) as jobs:
            for number in range(3):
                await jobs.reserve(f"{number}", for_s=0)
                await jobs.submit(make_job(f"{number}"))
            await jobs.reserve("kept", for_s=0)
            await jobs.keep([kept()])
            for job_id in ("0", "2", "kept"):
                await jobs.reserve(job_id, for_s=0)
            assert await jobs.expired(most=10) == []

    run(scenario())


def test_a_job_under_way_is_not_forgotten_even_by_who_swept_its_reservation(redis_address: str) -> None:
    async def scenario() -> None:
        async with queueing(redis_address) as jobs:
            await jobs.reserve("job", for_s=0)
            assert await jobs.expired(most=10) == ["job"]
            await jobs.submit(make_job())
            await jobs.forget("job")
            assert await jobs.find("job") is not None
            assert await claim_next(jobs)

    run(scenario())


def test_a_finished_job_may_be_forgotten_early(redis_address: str) -> None:
    async def scenario() -> None:
        async with queueing(redis_address) as jobs:
            await end_job(jobs, make_job(content_key="content"))
            await jobs.forget("job")
            assert await jobs.find("job") is None
            assert await jobs.find_content("content") is None

    run(scenario())


def test_only_a_complete_job_is_found_by_its_content(redis_address: str) -> None:
    async def scenario() -> None:
        async with queueing(redis_address) as jobs:
            await jobs.submit(make_job(content_key="content"))
            assert await jobs.find_content("content") is None
            claim = await claim_next(jobs)
            await jobs.finish(claim, FAILURE, took_s=1)
            await jobs.keep([kept("failed", content_key="content", state="failed", outcome=None, failure=FAILURE)])
            assert await jobs.find_content("content") is None
            job = await end_job(jobs, make_job("again", content_key="content"))
            assert await jobs.find_content("content") == job
            # Without a key there is nothing to find, and no job is found by the empty one.
            await end_job(jobs, make_job("plain"))
            assert await jobs.find_content("") is None

    run(scenario())


def test_a_record_outlives_kill_9_of_the_server(
    valkey: EmbeddedValkey, short_folder: Path, kill_valkey: Callable[[], None]
) -> None:
    address = f"unix://{short_folder / 's'}"
    ended: list[Job] = []

    async def before() -> None:
        async with queueing(address) as jobs:
            ended.append(await end_job(jobs, make_job(content_key="content")))

    async def after() -> None:
        async with queueing(address) as jobs:
            assert await jobs.find_content("content") == ended[0]

    run(before())
    kill_valkey()
    valkey.start()
    run(after())
