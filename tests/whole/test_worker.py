"""Workers end, die and share their work, and no job is lost or done twice."""

import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress

import httpx
import pytest
import redis

from app.adapters.embedded import EmbeddedValkey
from tests.conftest import make_short_folder
from tests.ports import free_port
from tests.whole.jobs import SLOW, SLOW_OPTIONS, download, is_soon, submit, wait_for_end
from tests.whole.pictures import opened
from tests.whole.service import NO_TLS, Api, Service

StartWorker = Callable[..., Service]


@pytest.fixture(scope="module")
def api_alone() -> Iterator[Service]:
    """An API with a Valkey and no worker."""
    folder = make_short_folder()
    with EmbeddedValkey(folder, folder / "s"):
        running = Service("api", REDIS_URL=f"unix://{folder / 's'}", REUSE_RESULTS="false", ENCODE_PROCESSES="1")
        running.start()
        yield running
        running.close()


@pytest.fixture(scope="module")
def client(api_alone: Service) -> Iterator[Api]:
    with api_alone.client() as client:
        yield client


@pytest.fixture
def start_worker(api_alone: Service) -> Iterator[StartWorker]:
    """Start workers with one slot for the API's jobs."""
    with_it = {name: api_alone.environment[name] for name in ("REDIS_URL", "DATA_DIR", "REUSE_RESULTS")}
    started = []

    def start(**environment: str) -> Service:
        started.append(Service("worker", **with_it, WORKER_PROCESSES="1", **environment))
        return started[-1].start()

    yield start
    for worker in started:
        worker.close()


def submit_slow(client: Api) -> str:
    return submit(client, SLOW, **SLOW_OPTIONS)


def is_claimed(service: Service, job_id: str) -> bool:
    with redis.Redis.from_url(service.environment["REDIS_URL"]) as valkey:
        return bool(valkey.hexists(f"{{cz}}:job:{job_id}", "worker"))


def ended_by(worker: Service) -> Counter[str]:
    """The jobs that a worker has brought to an end, by its own account."""
    return Counter(line["job"] for line in worker.events("job ended"))


def deliveries_of(worker: Service) -> list[int]:
    return [line["delivery"] for line in worker.events("job ended")]


def test_a_record_that_cannot_be_read_ends_no_slot(api_alone: Service, client: Api, start_worker: StartWorker) -> None:
    port = free_port()

    def is_alive() -> bool:
        with suppress(httpx.ConnectError):  # it takes the port a moment after it is ready
            return httpx.get(f"http://127.0.0.1:{port}/health/live", verify=NO_TLS, timeout=30).status_code == 200
        return False

    broken, other = submit(client), submit(client)
    with redis.Redis.from_url(api_alone.environment["REDIS_URL"]) as valkey:
        valkey.hset(f"{{cz}}:job:{broken}", "job", b"no job")
    start_worker(METRICS_PORT=str(port))
    assert wait_for_end(client, other)["status"] == "complete"
    assert is_soon(is_alive, within_s=60)


def test_sigterm_lets_a_worker_finish_and_take_nothing_more(
    api_alone: Service, client: Api, start_worker: StartWorker
) -> None:
    jobs = [submit_slow(client) for _ in range(2)]
    first = start_worker()
    assert is_soon(lambda: is_claimed(api_alone, jobs[0]))
    assert first.stop() == 0
    assert ended_by(first) == Counter(jobs[:1])
    assert not is_claimed(api_alone, jobs[1])
    second = start_worker()
    assert [wait_for_end(client, job)["status"] for job in jobs] == ["complete"] * 2
    assert is_soon(lambda: ended_by(second) == Counter(jobs[1:]))
    assert opened(download(client, jobs[1]).content).size == (700, 700)


def test_what_is_not_finished_in_time_is_handed_back(
    api_alone: Service, client: Api, start_worker: StartWorker
) -> None:
    """At once, and as if it had never been delivered."""
    first = start_worker(DRAIN_S="0.05")
    job = submit_slow(client)
    assert is_soon(lambda: is_claimed(api_alone, job))
    assert first.stop() == 0
    assert not ended_by(first)
    assert '"handed_back":1' in first.log()
    second = start_worker()
    assert wait_for_end(client, job)["status"] == "complete"
    assert is_soon(lambda: deliveries_of(second) == [1])


def test_two_workers_share_the_work(client: Api, start_worker: StartWorker) -> None:
    workers = [start_worker(), start_worker()]
    jobs = [submit_slow(client) for _ in range(6)]
    assert {wait_for_end(client, job)["status"] for job in jobs} == {"complete"}
    assert is_soon(lambda: ended_by(workers[0]) + ended_by(workers[1]) == Counter(jobs))
    assert all(map(ended_by, workers))


def test_a_job_survives_the_kill_of_the_worker_that_serve_started(service: Service, api: Api) -> None:
    """Another takes its place and begins the job anew; nothing of the first is left running."""
    victim, before = service.worker_pid(), service.worker_pids()
    job = submit(api, SLOW, **SLOW_OPTIONS, max_width="699")
    with redis.Redis(unix_socket_path=f"{service.environment['DATA_DIR']}/valkey.sock") as valkey:
        assert is_soon(lambda: valkey.hexists(f"{{cz}}:job:{job}", "worker"))
    os.kill(victim, signal.SIGKILL)
    assert wait_for_end(api, job)["status"] == "complete"
    assert service.logged(f'"job":"{job}","delivery":2')
    assert is_soon(lambda: not before & set(service.pids()))
