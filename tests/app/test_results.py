"""Results are kept behind their answers, many at a time: all of them, soon, and what cannot be kept is told."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from app.adapters.filesystem import FilesystemBlobs
from app.adapters.signed_links import SignedLinks
from app.ports.blobs import Blobs
from app.ports.jobs import Job, Jobs
from app.service import job_blobs, results
from app.service.results import Results
from tests.app.queues import NOWHERE, OUTCOME, make_job, queueing, run


def answered(number: int, **changes: Any) -> Job:
    return make_job(f"job{number}", state="complete", finished=time.time(), outcome=OUTCOME, **changes)


@asynccontextmanager
async def keeping(address: str, folder: Path, **options: Any) -> AsyncIterator[tuple[Results, Jobs, Blobs]]:
    blobs = FilesystemBlobs(folder / "store", SignedLinks(b"secret"))
    async with queueing(address) as jobs:
        yield Results(jobs, blobs, **{"most_bytes": 1000, **options}), jobs, blobs
    await blobs.close()


def test_each_of_many_results_is_kept_with_its_record(redis_address: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with keeping(redis_address, tmp_path, most_bytes=300) as (kept, jobs, blobs):
            # More than there is room for, so that some wait for others.
            await asyncio.gather(*(kept.keep(answered(number), b"%3d" % number * 50) for number in range(30)))
            await kept.drain(within_s=30)
            for number in range(30):
                assert await job_blobs.read_result(blobs, f"job{number}") == b"%3d" % number * 50
                found = await jobs.find(f"job{number}")
                assert found is not None
                assert found.outcome == OUTCOME
            assert kept.lost == 0

    run(scenario())


def test_who_waits_for_a_result_does_not_wait_for_others(redis_address: str, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(results, "GATHER_S", 3600)

    async def scenario() -> None:
        async with keeping(redis_address, tmp_path) as (kept, jobs, _):
            await kept.keep(answered(1), b"first")
            assert await jobs.find("job1") is None
            assert await kept.written("job1")
            assert await jobs.find("job1") is not None

    run(scenario())


def test_a_result_that_is_about_to_be_written_is_found(redis_address: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with keeping(redis_address, tmp_path) as (kept, _, blobs):
            await kept.keep(answered(1, content_key="same"), b"bytes")
            first = kept.find_content("same")
            assert first is not None
            assert (kept.find("job1"), first.data) == (first.job, b"bytes")
            # As the answer to an equal request: the original may not be in the store yet.
            await kept.keep(answered(2), first.data, copy_of="job1")
            await kept.drain(within_s=30)
            assert kept.find_content("same") is None
            assert [await job_blobs.read_result(blobs, name) for name in ("job1", "job2")] == [b"bytes"] * 2

    run(scenario())


def test_what_cannot_be_kept_is_told_and_holds_no_room(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(results, "_PAUSES_S", (0.01,))

    async def scenario() -> None:
        async with keeping(NOWHERE, tmp_path, most_bytes=10) as (kept, _, _):
            await kept.keep(answered(1), b"ten bytes.")
            assert not await kept.written("job1")
            await kept.keep(answered(2), b"ten bytes.")
            await kept.drain(within_s=30)
            assert kept.lost == 2

    run(scenario())
