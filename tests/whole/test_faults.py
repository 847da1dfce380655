"""What dies comes back, and nothing that was acknowledged is lost; what is away is told, and in time.

The long versions are in tests/faults: `make faults`.
"""

import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.faults.load import KillingWorkers, frozen, keep_submitting
from tests.snapshots import sizes_below
from tests.whole.jobs import MB, QUICK, SMALL, STATUS, download, is_soon, new_source, submit, wait_for_end
from tests.whole.pictures import encoded, noise, opened
from tests.whole.service import Api, Service, error_of

#: Takes an encoder some tenths of a second, mostly.
PICTURE = encoded(noise(1000, 1000), "JPEG", quality=80)


@pytest.fixture(scope="module")
def faulty() -> Iterator[Service]:
    """A service that the tests may break, if they mend it; what is there already is not used again."""
    running = Service(REUSE_RESULTS="false", REDIS_TIMEOUT_S="0.1").start()
    yield running
    running.close()


@pytest.fixture
def client(faulty: Service) -> Iterator[Api]:
    with faulty.client() as client:
        assert is_soon(lambda: client.compress(SMALL, **QUICK).status_code == 200)
        yield client


def test_workers_that_are_killed_lose_and_double_nothing(faulty: Service, client: Api) -> None:
    story = KillingWorkers(faulty, client, jobs=30, kills=4)
    story.run()
    assert story.told == {"complete": 30}
    assert len(story.interrupted) >= 4
    assert story.ended_twice() == []
    opened(download(client, story.ids[0]).content)


def test_an_encode_process_that_is_killed_under_load_costs_one_request(faulty: Service, client: Api) -> None:
    """Its own: those that wait are answered by another."""

    def compress_some(_: int) -> list[int]:
        with Api(faulty.url, client.key) as own:
            return [own.compress(PICTURE, quality="50").status_code for _ in range(10)]

    killed = 0
    with ThreadPoolExecutor(4) as pool:
        stories = [pool.submit(compress_some, number) for number in range(4)]
        while killed < 3 and not any(story.done() for story in stories):
            victims = faulty.encode_pids()
            os.kill(victims[killed % len(victims)], signal.SIGKILL)
            killed += 1
            assert is_soon(lambda: client.get("/health/ready").status_code == 200)
            time.sleep(0.3)
        told = Counter(status for story in stories for status in story.result())
    assert killed
    assert set(told) <= {200, 500}
    assert told[500] <= killed


def test_valkey_may_be_killed_under_load(faulty: Service, client: Api) -> None:
    """Whatever was acknowledged is there afterwards, and the service is back by itself."""
    with keep_submitting(client, threads=3) as story:
        assert is_soon(lambda: len(story.acknowledged) >= 6)
        os.kill(faulty.valkey_pid(), signal.SIGKILL)
        before = len(story.acknowledged)
        assert is_soon(lambda: len(story.acknowledged) > before + 3), "it did not come back"
    assert {status for status, _ in story.refused} <= {503}, story.refused
    assert all(code == "unavailable" for _, code in story.refused)
    assert {wait_for_end(client, job)["status"] for job in story.acknowledged} == {"complete"}


@contextmanager
def store_gone(service: Service) -> Iterator[None]:
    """Put a file where the store's folder is: nothing can be written, not even by root."""
    store = Path(service.environment["DATA_DIR"]) / "store"
    store.rename(store.with_name("away"))
    store.touch()
    try:
        yield
    finally:
        store.unlink()
        store.with_name("away").rename(store)


@contextmanager
def store_full(service: Service) -> Iterator[None]:
    """Give the store a disk of its own, with room for 3 MB."""
    store = Path(service.environment["DATA_DIR"]) / "store"
    if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={3 * MB}", "none", store]).returncode:
        pytest.skip("only root may mount a small disk")
    try:
        yield
        assert is_soon(lambda: sum(sizes_below(store)) < MB), "half an upload is left"
    finally:
        subprocess.run(["umount", "-l", store], check=True)


@pytest.mark.parametrize("break_store", [store_gone, store_full])
def test_without_a_store_jobs_are_refused_and_small_files_answered(
    faulty: Service, client: Api, break_store: Callable[[Service], AbstractContextManager[None]]
) -> None:
    job = submit(client)
    wait_for_end(client, job)
    with break_store(faulty):
        refused = client.compress(new_source(5 * MB), **QUICK)
        assert error_of(refused)[:2] == (503, "unavailable")
        assert int(refused.headers["Retry-After"]) >= 1
        answered = client.compress(SMALL, **QUICK)
        assert answered.status_code == 200
        assert opened(answered.content).size == (160, 120)
    assert is_soon(lambda: client.compress(new_source(), **QUICK).status_code == 202)
    assert download(client, job).status_code == 200


def test_a_job_waits_for_a_store_that_is_away(faulty: Service, client: Api) -> None:
    """It is no fault of the job's."""
    with ExitStack() as away:
        with frozen(faulty.worker_pid()):
            job = submit(client)
            away.enter_context(store_gone(faulty))
        time.sleep(1)
        assert client.get(STATUS + job).json()["status"] == "processing"
    assert wait_for_end(client, job)["status"] == "complete"


def test_without_redis_jobs_are_refused_in_time_and_small_files_answered(faulty: Service, client: Api) -> None:
    job = submit(client)
    wait_for_end(client, job)
    with frozen(faulty.valkey_pid()):
        for headers in ({}, {"Idempotency-Key": "a"}):
            begun = time.monotonic()
            refused = client.compress(new_source(), **QUICK, headers=headers)
            assert error_of(refused)[:2] == (503, "unavailable")
            assert time.monotonic() - begun < 5, "2 s, and what a busy machine adds"
            assert int(refused.headers["Retry-After"]) >= 1
        assert error_of(client.get(STATUS + job))[:2] == (503, "unavailable")
        assert client.compress(SMALL, **QUICK).status_code == 200
    assert is_soon(lambda: client.get(STATUS + job).status_code == 200)
    assert is_soon(lambda: client.compress(new_source(), **QUICK).status_code == 202)
