"""The service with its store on a real S3 server: links of the store's own, and no file of an upload on its disk."""

import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.seaweed import BUCKET, CREDENTIALS, SeaweedFS
from tests.snapshots import descriptors_of, files_below
from tests.whole.jobs import DOWNLOAD, MB, QUICK, SMALL, STATUS, get, is_soon, new_source, submit, wait_for_end
from tests.whole.pictures import opened, padded_jpeg
from tests.whole.service import Api, Service, error_of


@pytest.fixture(scope="module")
def on_s3(seaweed: SeaweedFS, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """With a temporary folder of its own, so that one can see what it writes."""
    running = Service(
        STORE_URL=f"s3://{BUCKET}/some/prefix",
        S3_ENDPOINT=seaweed.endpoint,
        S3_REGION="us-east-1",
        TMPDIR=str(tmp_path_factory.mktemp("tmp")),
        ENCODE_PROCESSES="1",
        WORKER_PROCESSES="1",
        DRAIN_S="1",
        **CREDENTIALS,
    )
    yield running.start()
    running.close()


@pytest.fixture(scope="module")
def client(on_s3: Service) -> Iterator[Api]:
    with on_s3.client() as client:
        yield client


def objects(seaweed: SeaweedFS, prefix: str = "") -> list[str]:
    found = seaweed.client().list_objects_v2(Bucket=BUCKET, Prefix=f"some/prefix/{prefix}")
    return [one["Key"] for one in found.get("Contents", [])]


def files(service: Service) -> set[Path]:
    """What the service has on its disk, and what its processes have open without a name."""
    named = [Path(service.environment["TMPDIR"]), Path(service.environment["DATA_DIR"])]
    found = {path for folder in named for path in files_below(folder)}
    targets = (Path(target) for pid in service.pids() for target in descriptors_of(pid).values())
    return found | {path for path in targets if "(deleted)" in path.name and not path.name.startswith("memfd:")}


def test_what_was_answered_at_once_lies_in_the_bucket(client: Api, seaweed: SeaweedFS) -> None:
    answer = client.compress(SMALL, format="webp", **QUICK)
    link = client.get(DOWNLOAD + answer.headers["X-Job-Id"]).headers["Location"]
    assert link.startswith(seaweed.endpoint)
    result = get(httpx.URL(link))
    assert result.content == answer.content
    assert result.headers["Content-Type"] == "image/webp"
    assert result.headers["Content-Disposition"] == 'attachment; filename="compressed.webp"'
    assert get(httpx.URL(link.replace("X-Amz-Signature=", "X-Amz-Signature=0"))).status_code == 403
    assert client.compress(SMALL, format="webp", **QUICK).headers["X-Cache"] == "hit"


def test_a_job_goes_through_the_bucket_and_never_through_a_file(
    on_s3: Service, client: Api, seaweed: SeaweedFS
) -> None:
    before, seen, stop = files(on_s3), set[Path](), threading.Event()

    def watch() -> None:
        while not stop.wait(0.05):
            seen.update(files(on_s3) - before)

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        job = submit(client, padded_jpeg(SMALL, 20 * MB))
        told = wait_for_end(client, job)
    finally:
        stop.set()
        watching.join()
    assert told["original_size"] == 20 * MB
    assert not {path for path in seen if "appendonly" not in str(path)}
    result = get(httpx.URL(client.get(DOWNLOAD + job).headers["Location"]))
    assert len(result.content) == told["compressed_size"]
    assert opened(result.content).size == (160, 120)
    assert is_soon(lambda: objects(seaweed, job) == [f"some/prefix/{job}/result"]), "the source is still there"


def test_a_refused_upload_leaves_nothing(client: Api, seaweed: SeaweedFS) -> None:
    before = objects(seaweed)
    assert client.compress(new_source(6 * MB), format="tiff").status_code == 400
    assert is_soon(lambda: objects(seaweed) == before)


def test_a_store_that_dies_refuses_jobs_and_nothing_else(client: Api, seaweed: SeaweedFS) -> None:
    """The last of this module: the server does not come back."""
    job = submit(client)
    wait_for_end(client, job)
    assert seaweed.process is not None
    seaweed.process.kill()
    seaweed.process.wait()
    refused = client.compress(new_source(), **QUICK)
    assert error_of(refused)[:2] == (503, "unavailable")
    assert int(refused.headers["Retry-After"]) >= 1
    assert client.compress(SMALL, quality="52").status_code == 200
    assert client.get(STATUS + job).json()["status"] == "complete"
