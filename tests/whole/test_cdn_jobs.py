"""What the CDN origin has not made in time becomes a job: over a real API process, queue and worker."""

import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import msgspec
import pytest
import redis

from app.adapters.embedded import EmbeddedValkey
from app.ports.jobs import Job
from app.ports.variants import Variant
from tests.conftest import make_short_folder
from tests.faults.load import frozen
from tests.whole.cdn import MODERN, Customer, eventually, image, served
from tests.whole.jobs import MB, is_soon, stored
from tests.whole.pictures import encoded, padded_jpeg, photo
from tests.whole.public import PublicNet, Web, status
from tests.whole.service import Service

PHOTO = encoded(photo(320, 240), "JPEG", quality=90)
OTHER = encoded(photo(200, 100), "JPEG", quality=90)
INTERIM_S = 1
_names = count()


@pytest.fixture(scope="module")
def processes(net: PublicNet) -> Iterator[tuple[Service, Service]]:
    """An API whose deadline is over before anything is made, so that all formats but the first are left to a worker."""
    folder = make_short_folder()
    with EmbeddedValkey(folder, folder / "s"), ThreadPoolExecutor(2) as threads:
        shared = {"REDIS_URL": f"unix://{folder / 's'}", "CDN_INTERIM_S": str(INTERIM_S), "SWEEP_S": "1"}
        api = Service("api", net=net, ENCODE_PROCESSES="1", CDN_DEADLINE_MS="1", **shared)
        worker = Service("worker", WORKER_PROCESSES="1", **shared | {"DATA_DIR": api.environment["DATA_DIR"]})
        try:
            list(threads.map(Service.start, (api, worker)))
            yield api, worker
        finally:
            api.close()
            worker.close()


@pytest.fixture(scope="module")
def service(processes: tuple[Service, Service]) -> Service:
    """The API."""
    return processes[0]


@pytest.fixture(scope="module")
def worker(processes: tuple[Service, Service]) -> int:
    """The worker's process."""
    assert processes[1].process is not None
    return processes[1].process.pid


@pytest.fixture(scope="module")
def valkey(service: Service) -> Iterator["redis.Redis[bytes]"]:
    with redis.Redis.from_url(service.environment["REDIS_URL"]) as client:
        yield client


@pytest.fixture
def source(web: Web) -> str:
    """The path of a picture that no test has asked for."""
    path = f"/ordered/{next(_names)}.jpg"
    web.on(path, image(PHOTO, ETag='"1"'))
    return path


def waiting(valkey: "redis.Redis[bytes]") -> list[Job]:
    """The jobs that wait or run."""
    ids = [fields[b"id"].decode() for _, fields in valkey.xrange("{cz}:jobs:free")]
    return [msgspec.msgpack.decode(valkey.hget(f"{{cz}}:job:{job_id}", "job") or b"", type=Job) for job_id in ids]


def in_queue(valkey: "redis.Redis[bytes]", jobs: int = 1) -> list[Job]:
    """The jobs that wait or run, once there are so many: the answer comes first."""
    assert is_soon(lambda: len(waiting(valkey)) >= jobs), "there is no such job"
    return waiting(valkey)


def all_done(valkey: "redis.Redis[bytes]") -> bool:
    """Whether no job is left, or will be soon."""
    return is_soon(lambda: not waiting(valkey), within_s=60)


def kept(valkey: "redis.Redis[bytes]") -> list[Variant]:
    """What the index has."""
    records = [valkey.hget(name, "record") for name in valkey.scan_iter("{cz}:cdn:variant:*")]
    return [msgspec.msgpack.decode(record, type=Variant) for record in records if record]


def kind_of(source: str, valkey: "redis.Redis[bytes]") -> list[str]:
    return [variant.kind for variant in kept(valkey) if variant.source.endswith(source)]


def test_what_is_left_is_a_job_and_its_result_the_next_answer(
    service: Service, cdn: Customer, web: Web, source: str, worker: int, valkey: "redis.Redis[bytes]"
) -> None:
    """The source is asked for once, and is in the store for as long as the job needs it."""
    web.on(source, image(padded_jpeg(PHOTO, 3 * MB)))
    with frozen(worker):
        first = cdn.get(source, accept=MODERN)
        assert (first.headers["x-variant"], first.headers["x-format"]) == ("interim", "jpeg")
        assert first.headers["cache-control"] == f"public, max-age={INTERIM_S}, s-maxage={INTERIM_S}"
        [job] = in_queue(valkey)
        assert (job.account, job.lane, job.source_parts, job.webhook_url) == (cdn.account, "free", 2, "")
        assert len(stored(service, "*/source.*")) == 2
    final = eventually(lambda: cdn.get(source, accept=MODERN), lambda reply: reply.headers["x-variant"] == "final")
    assert final.headers["x-format"] in {"avif", "webp"}
    assert len(final.content) < len(first.content)
    assert final.headers["cache-control"].startswith("public, max-age=3600, s-maxage=86400, ")
    assert served(web, source) == 1
    assert all_done(valkey)
    assert is_soon(lambda: not stored(service, "*/source.*"))


def test_while_the_job_waits_a_stale_interim_answer_is_renewed(
    cdn: Customer, web: Web, source: str, worker: int, valkey: "redis.Redis[bytes]"
) -> None:
    """Nothing is fetched, encoded or queued again, also by a hundred who ask at once."""
    with frozen(worker):
        first = cdn.get(source, accept=MODERN)
        [job] = in_queue(valkey)
        made = [variant.made for variant in kept(valkey) if variant.job == job.id]
        eventually(lambda: cdn.get(source, accept=MODERN), lambda reply: reply.headers["x-cache"] == "stale")
        with ThreadPoolExecutor(8) as threads:
            replies = list(threads.map(lambda _: cdn.get(source, accept=MODERN, Connection="close"), range(100)))
        assert {reply.content for reply in replies} == {first.content}
        assert is_soon(lambda: [one.made for one in kept(valkey) if one.job == job.id] > made), "it is not renewed"
        assert [one.id for one in waiting(valkey)] == [job.id]
        assert served(web, source) == 1
    assert all_done(valkey)
    assert kind_of(source, valkey) == ["final"]


def test_no_longer_than_its_source_lets_it_be_used_unasked(
    cdn: Customer, web: Web, source: str, worker: int, valkey: "redis.Redis[bytes]"
) -> None:
    """Then the source is asked whether it has changed; where it has, the first job replaces nothing."""
    web.on(source, image(PHOTO, ETag='"1"', Cache_Control="max-age=1"))
    with frozen(worker):
        cdn.get(source, accept=MODERN)
        [first] = in_queue(valkey)
        eventually(lambda: cdn.get(source, accept=MODERN), lambda _: served(web, source) > 1)
        assert web.to(source)[1].headers["if-none-match"] == '"1"'
        assert [one.id for one in waiting(valkey)] == [first.id]
        web.on(source, image(OTHER, ETag='"2"'))
        eventually(lambda: cdn.get(source, accept=MODERN), lambda reply: reply.headers["x-width"] == "200")
        in_queue(valkey, 2)
    final = eventually(lambda: cdn.get(source, accept=MODERN), lambda reply: reply.headers["x-variant"] == "final")
    assert final.headers["x-width"] == "200"
    assert all_done(valkey)
    assert cdn.get(source, accept=MODERN).headers["x-width"] == "200"


def test_a_purge_is_not_undone_by_a_job_that_was_queued_before(
    cdn: Customer, web: Web, source: str, worker: int, valkey: "redis.Redis[bytes]"
) -> None:
    with frozen(worker):
        cdn.get(source, accept=MODERN)
        in_queue(valkey)
        assert cdn.purge(source).json() == {"purged": 1}
        web.on(source, status(404))
    assert all_done(valkey)
    assert kind_of(source, valkey) == []


def test_an_order_is_nobodys_job(cdn: Customer, source: str, worker: int, valkey: "redis.Redis[bytes]") -> None:
    """Not even its account can ask after it, and its record goes soon."""
    with frozen(worker):
        cdn.get(source, accept=MODERN)
        [job] = in_queue(valkey)
        assert cdn.ask(f"/api/v1/status/{job.id}").status_code == 404
    assert all_done(valkey)
    assert cdn.ask(f"/api/v1/download/{job.id}").status_code == 404
    assert 0 < valkey.ttl(f"{{cz}}:job:{job.id}") <= 600


def test_a_job_that_has_failed_is_not_begun_again(
    cdn: Customer, web: Web, source: str, worker: int, valkey: "redis.Redis[bytes]", service: Service
) -> None:
    """The interim answer becomes the final one."""
    with frozen(worker):
        first = cdn.get(source, accept=MODERN)
        [job] = in_queue(valkey)
        for part in stored(service, f"{job.id}/*"):
            part.unlink()
    assert all_done(valkey)
    final = eventually(lambda: cdn.get(source, accept=MODERN), lambda reply: reply.headers["x-variant"] == "final")
    assert final.content == first.content
    assert final.headers["cache-control"].startswith("public, max-age=3600, s-maxage=86400, ")
    assert not waiting(valkey)
    assert [one.headers.get("if-none-match") for one in web.to(source)] == [None, '"1"']


def test_a_killed_api_loses_nothing(
    service: Service, cdn: Customer, source: str, worker: int, valkey: "redis.Redis[bytes]"
) -> None:
    with frozen(worker):
        assert cdn.get(source, accept=MODERN).headers["x-variant"] == "interim"
        in_queue(valkey)
        assert service.process is not None
        os.killpg(service.process.pid, signal.SIGKILL)
        service.process.wait()
    assert all_done(valkey)
    assert kind_of(source, valkey) == ["final"]
