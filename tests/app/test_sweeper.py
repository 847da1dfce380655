"""What has expired is removed with all that lies under its name, however much there is at once."""

from pathlib import Path

from app.adapters.filesystem import FilesystemBlobs
from app.adapters.signed_links import SignedLinks
from app.service.sweeper import Sweeper
from tests.app.queues import queueing, run
from tests.snapshots import files_below


def test_a_sweep_removes_all_that_is_due_and_nothing_else(redis_address: str, tmp_path: Path) -> None:
    blobs = FilesystemBlobs(tmp_path / "store", SignedLinks(b"secret"))

    async def scenario() -> None:
        async with queueing(redis_address) as jobs:
            for number in range(70):
                await blobs.put_many({f"due{number}/source.0": b"s", f"due{number}/result": b"r"})
                await jobs.reserve(f"due{number}", for_s=0)
            await blobs.put_many({"later/result": b"r"})
            await jobs.reserve("later", for_s=60)
            assert await Sweeper(jobs, blobs, every_s=60).sweep() == 70
            assert await jobs.expired(most=100) == []
            left = [path.name for path in files_below(tmp_path / "store")]
            assert left == ["result"]
            await blobs.close()

    run(scenario())
