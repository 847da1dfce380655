"""Redis and the store across a network that delays, resets and swallows: answers come in time, and it recovers."""

import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.faults.load import frozen
from tests.faults.proxy import Fault, Proxy
from tests.redis_server import RedisServer
from tests.seaweed import BUCKET, CREDENTIALS, SeaweedFS
from tests.whole.jobs import QUICK, SMALL, STATUS, download, is_soon, new_source, submit, wait_for_end
from tests.whole.service import Api, Service, error_of

FAULTS: list[Fault] = ["slow", "reset", "hole"]
#: The promise is 2 s; the rest is for a machine with other things to do.
IN_TIME_S = 6


@pytest.fixture(scope="module")
def redis_port() -> Iterator[int]:
    """A Redis of another host, as it were."""
    server = RedisServer().start()
    yield server.port
    server.close()


@pytest.fixture(scope="module")
def redis_proxy(redis_port: int) -> Iterator[Proxy]:
    made = Proxy(redis_port)
    yield made
    made.close()


@pytest.fixture(scope="module")
def store_proxy(seaweed: SeaweedFS) -> Iterator[Proxy]:
    made = Proxy(int(seaweed.ports["s3.port"]))
    yield made
    made.close()


@pytest.fixture(scope="module")
def far(redis_proxy: Proxy, store_proxy: Proxy) -> Iterator[Service]:
    """A service whose Redis and store are both behind proxies."""
    running = Service(
        REDIS_URL=f"redis://127.0.0.1:{redis_proxy.port}",
        REDIS_TIMEOUT_S="0.1",
        STORE_URL=f"s3://{BUCKET}/far",
        S3_ENDPOINT=f"http://127.0.0.1:{store_proxy.port}",
        REUSE_RESULTS="false",
        **CREDENTIALS,
    )
    yield running.start()
    running.close()


@pytest.fixture
def client(far: Service) -> Iterator[Api]:
    with far.client() as client:
        assert is_soon(lambda: client.compress(SMALL, **QUICK).status_code == 200)
        yield client


def refused_in_time(client: Api) -> None:
    begun = time.monotonic()
    refused = client.compress(new_source(), **QUICK)
    assert error_of(refused)[:2] == (503, "unavailable")
    assert int(refused.headers["Retry-After"]) >= 1
    assert time.monotonic() - begun < IN_TIME_S


def serves_the_rest_in_time(client: Api) -> None:
    begun = time.monotonic()
    assert client.compress(SMALL, **QUICK).status_code == 200
    assert time.monotonic() - begun < IN_TIME_S
    assert client.get("/health/live").status_code == 200


def recovers(client: Api) -> None:
    assert is_soon(lambda: client.compress(new_source(), **QUICK).status_code == 202)
    job = submit(client)
    assert wait_for_end(client, job)["status"] == "complete"
    assert download(client, job).status_code == 200


@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_way_to_redis_refuses_jobs_and_nothing_else(client: Api, redis_proxy: Proxy, fault: Fault) -> None:
    with redis_proxy.failing(fault):
        refused_in_time(client)
        serves_the_rest_in_time(client)
        assert error_of(client.get("/health/ready"))[:2] == (503, "unavailable")
    recovers(client)


@pytest.mark.parametrize("fault", [*FAULTS, "500", "503"])
def test_a_faulty_way_to_the_store_refuses_jobs_and_nothing_else(client: Api, store_proxy: Proxy, fault: Fault) -> None:
    with store_proxy.failing(fault):
        refused_in_time(client)
        serves_the_rest_in_time(client)
    recovers(client)


@pytest.mark.parametrize("fault", ["hole", "503"])
def test_a_job_outlives_a_faulty_way_to_the_store(client: Api, far: Service, store_proxy: Proxy, fault: Fault) -> None:
    """Its worker tries on, and what it comes to is what it comes to on any other day."""
    usual = submit(client)
    assert wait_for_end(client, usual)["status"] == "complete"
    with ExitStack() as faults:
        with frozen(far.worker_pid()):
            job = submit(client)
            faults.enter_context(store_proxy.failing(fault))
        time.sleep(1)
        assert client.get(STATUS + job).json()["status"] == "processing"
    assert wait_for_end(client, job)["status"] == "complete"
    assert download(client, job).content == download(client, usual).content
    assert far.logged(f'"job":"{job}","delivery":1')
