"""A disk with nothing left, for the store and for Valkey's file: told as 503, nothing half-done stays, and it ends."""

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from tests.faults.load import frozen
from tests.whole.jobs import (
    MB,
    QUICK,
    SMALL,
    STATUS,
    download,
    is_soon,
    new_source,
    stored,
    submit,
    wait_for_end,
)
from tests.whole.pictures import opened
from tests.whole.service import Api, Service, error_of

DISK_BYTES = 64 * MB
#: The promise is 2 s; the rest is for a machine with other things to do.
IN_TIME_S = 6


@pytest.fixture(scope="module")
def cramped() -> Iterator[Service]:
    """A service whose whole data folder is on a small disk of its own."""
    running = Service(REUSE_RESULTS="false")
    folder = Path(running.environment["DATA_DIR"])
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "none", folder]).returncode:
        running.close()
        pytest.skip("only root may mount a small disk")
    try:
        yield running.start()
    finally:
        running.stop()
        subprocess.run(["umount", "-l", folder], check=True)
        running.close()


@pytest.fixture
def client(cramped: Service) -> Iterator[Api]:
    with cramped.client() as client:
        yield client


@contextmanager
def full(service: Service) -> Iterator[None]:
    """Take all that is left of the disk, also of what the service frees meanwhile."""
    ballast = Path(service.environment["DATA_DIR"]) / "ballast"

    def is_filled() -> bool:
        with ballast.open("ab", buffering=0) as file, suppress(OSError):
            while True:
                file.write(bytes(MB))
        return os.statvfs(ballast).f_bavail == 0

    assert is_soon(is_filled)
    try:
        yield
    finally:
        ballast.unlink()


def ends_of(service: Service, job: str) -> int:
    """How often the log tells that a job has ended."""
    return sum(line["job"] == job for line in service.events("job ended"))


def test_a_full_disk_refuses_jobs_and_nothing_else(cramped: Service, client: Api) -> None:
    job = submit(client)
    assert wait_for_end(client, job)["status"] == "complete"
    result = download(client, job).content
    assert is_soon(lambda: not stored(cramped, "*/source*")), "it would make room later"
    with full(cramped):
        for headers in ({}, {"Idempotency-Key": "full"}):
            begun = time.monotonic()
            refused = client.compress(new_source(5 * MB), **QUICK, headers=headers)
            assert error_of(refused)[:2] == (503, "unavailable")
            assert int(refused.headers["Retry-After"]) >= 1
            assert time.monotonic() - begun < IN_TIME_S
        for _ in range(20):
            answered = client.compress(SMALL, **QUICK)
            assert answered.status_code == 200
            assert opened(answered.content).size == (160, 120)
        # Nothing has to be written for these.
        assert client.get(STATUS + job).json()["status"] == "complete"
        assert download(client, job).content == result
        assert client.get("/health/live").status_code == 200
        # Valkey refuses even a PING, by which one may know.
        assert error_of(client.get("/health/ready"))[:2] == (503, "unavailable")
    assert is_soon(lambda: client.compress(new_source(), **QUICK).status_code == 202)
    job = submit(client)
    assert wait_for_end(client, job)["status"] == "complete"
    assert '"status":500' not in cramped.log()
    assert is_soon(lambda: not stored(cramped, "~drafts/*")), "half a file is left"
    assert is_soon(lambda: not stored(cramped, "*/source*")), "half an upload is left"


def test_a_job_waits_for_a_disk_that_is_full(cramped: Service, client: Api) -> None:
    """It is no fault of the job's: it ends once, when there is room."""
    with ExitStack() as faults:
        with frozen(cramped.worker_pid()):
            job = submit(client)
            faults.enter_context(full(cramped))
        time.sleep(3)
        assert client.get(STATUS + job).json()["status"] == "processing"
    assert wait_for_end(client, job)["status"] == "complete"
    assert is_soon(lambda: ends_of(cramped, job))
    assert ends_of(cramped, job) == 1
    assert opened(download(client, job).content).size == (160, 120)
