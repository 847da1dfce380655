"""Jobs from the upload to the end of their 24 hours, and the results of answers that were given at once."""

import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from datetime import UTC, datetime
from pathlib import Path

import pytest
import redis

from tests.faults.load import frozen, uploads_at_once, watching_memory
from tests.whole.encodes import held_up
from tests.whole.jobs import (
    DOWNLOAD,
    MB,
    QUICK,
    SLOW,
    SLOW_OPTIONS,
    SMALL,
    STATUS,
    download,
    get,
    is_soon,
    new_source,
    stored,
    submit,
    wait_for_end,
)
from tests.whole.pictures import encoded, opened, padded_jpeg, photo, png_claiming
from tests.whole.service import COMPRESS, Api, Service, error_of


@pytest.fixture(scope="module")
def brief() -> Iterator[Service]:
    """A service whose results last a moment, and are never used again."""
    running = Service(RESULT_TTL_S="5", SWEEP_S="0.2", REUSE_RESULTS="false").start()
    yield running
    running.close()


def test_a_large_file_is_taken_as_a_job_and_its_result_downloaded(service: Service, api: Api) -> None:
    source, begun = new_source(), time.time()
    taken = api.compress(source, format="webp", max_width="80", **QUICK)
    told = taken.json()
    assert taken.status_code == 202
    assert told == {
        "id": taken.headers["X-Job-Id"],
        "status": "processing",
        "poll_url": f"/api/v1/status/{told['id']}",
        "estimated_seconds": told["estimated_seconds"],
    }
    assert isinstance(told["estimated_seconds"], int)
    assert told["estimated_seconds"] >= 1

    ended = wait_for_end(api, told["id"])
    result = download(api, told["id"])
    assert result.status_code == 200
    assert result.headers["Content-Type"] == "image/webp"
    assert result.headers["Content-Disposition"] == 'attachment; filename="compressed.webp"'
    assert opened(result.content).size == (80, 60)
    expires = datetime.strptime(ended.pop("expires_at"), "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp()
    assert begun + 24 * 3600 - 1 <= expires <= time.time() + 24 * 3600
    assert ended == {
        "id": told["id"],
        "status": "complete",
        "download_url": f"/api/v1/download/{told['id']}",
        "original_size": len(source),
        "compressed_size": len(result.content),
        "savings_percent": round(100 - 100 * len(result.content) / len(source)),
        "format": "webp",
        "dimensions": {"width": 80, "height": 60},
    }
    assert is_soon(lambda: not stored(service, f"{told['id']}/source.*")), "the source is not wanted any more"


def test_a_link_is_good_for_itself_alone(api: Api) -> None:
    jobs = [submit(api) for _ in range(2)]
    for job in jobs:
        wait_for_end(api, job)
    link = api.get(DOWNLOAD + jobs[0]).headers["Location"]
    assert jobs[0] in link
    assert get(api.base_url.join(link)).status_code == 200
    assert get(api.base_url.join(link.replace(jobs[0], jobs[1]))).status_code == 403


def test_what_is_under_2_mb_is_answered_at_once_and_2_mb_is_a_job(api: Api) -> None:
    assert api.compress(padded_jpeg(SMALL, 2 * MB - 1), **QUICK).status_code == 200
    assert api.compress(padded_jpeg(SMALL, 2 * MB), **QUICK).status_code == 202


def test_the_largest_file_is_taken_and_a_byte_more_is_not(service: Service, api: Api) -> None:
    job = submit(api, padded_jpeg(SMALL, 25 * MB))
    assert wait_for_end(api, job)["original_size"] == 25 * MB
    assert opened(download(api, job).content).size == (160, 120)
    assert error_of(api.compress(padded_jpeg(SMALL, 25 * MB + 1), **QUICK))[:2] == (413, "file_too_large")
    assert is_soon(lambda: not sources(service)), "something is left of it"


def test_a_job_under_way_is_not_ready(service: Service, api: Api) -> None:
    with frozen(service.worker_pid()):
        job = submit(api)
        assert api.get(STATUS + job).json() == {"id": job, "status": "processing"}
        assert error_of(api.get(DOWNLOAD + job))[:2] == (422, "not_ready")
    assert wait_for_end(api, job)["status"] == "complete"


def test_a_job_that_fails_tells_why(api: Api) -> None:
    """It begins as a PNG does, so it is taken."""
    job = submit(api, png_claiming(400, 300) + bytes(2 * MB))
    told = wait_for_end(api, job)
    assert set(told) == {"id", "status", "error"}
    assert told["status"] == "failed"
    assert told["error"]["code"] == "decode_failed"
    assert told["error"]["message"]
    assert error_of(api.get(DOWNLOAD + job))[:2] == (422, "not_ready")


@pytest.mark.parametrize("path", [STATUS, DOWNLOAD])
def test_a_job_is_nobody_elses(service: Service, api: Api, path: str) -> None:
    jobs = [submit(api), api.compress(SMALL, **QUICK).headers["X-Job-Id"]]
    wait_for_end(api, jobs[0])
    with service.client() as stranger:
        for job in [*jobs, "unknown", "..", "a" * 300]:
            assert error_of(stranger.get(path + job))[:2] == (404, "not_found"), job


def test_what_was_answered_at_once_can_be_asked_after_and_downloaded(api: Api) -> None:
    for quality in ("31", "32", "33"):  # at once, before it can have been written
        answer = api.compress(SMALL, quality=quality)
        told = api.get(STATUS + answer.headers["X-Job-Id"]).json()
        assert told["status"] == "complete"
        assert told["download_url"] == DOWNLOAD + answer.headers["X-Job-Id"]
        assert told["compressed_size"] == len(answer.content)
        assert told["expires_at"]
        assert download(api, answer.headers["X-Job-Id"]).content == answer.content


def test_results_of_answers_are_not_kept_where_that_is_switched_off(service: Service) -> None:
    forgetful = Service(
        "api", DATA_DIR=service.environment["DATA_DIR"], ENCODE_PROCESSES="1", KEEP_SYNC_RESULTS="false"
    ).start()
    try:
        with forgetful.client() as client:
            answer = client.compress(SMALL, **QUICK)
            assert error_of(client.get(STATUS + answer.headers["X-Job-Id"]))[:2] == (404, "not_found")
            again = client.compress(SMALL, **QUICK, headers={"Idempotency-Key": "a"})
            assert download(client, again.headers["X-Job-Id"]).content == answer.content, "the key asks for it"
    finally:
        forgetful.close()


def test_expired_jobs_are_really_gone(brief: Service) -> None:
    """From the store and from Redis, with nothing that still leads to them."""
    with brief.client() as client:
        jobs = [submit(client)]
        wait_for_end(client, jobs[0])
        jobs.append(client.compress(SMALL, **QUICK).headers["X-Job-Id"])
        links = [client.base_url.join(client.get(DOWNLOAD + job).headers["Location"]) for job in jobs]
        assert [get(link).status_code for link in links] == [200, 200]
        assert is_soon(lambda: len(stored(brief)) <= 2), "more than the results is left"
        for job in jobs:
            assert is_soon(lambda job=job: client.get(STATUS + job).status_code == 404)
            assert error_of(client.get(DOWNLOAD + job))[:2] == (404, "not_found")
        assert is_soon(lambda: not stored(brief))
        assert all(get(link).status_code in {403, 404} for link in links)
        assert is_soon(lambda: not [name for name in names(brief) if any(job in name for job in jobs)])
        assert not [name for name in names(brief) if "content" in name]


def sources(service: Service) -> list[Path]:
    """The parts of sources in a service's store."""
    return stored(service, "*/source.*")


@pytest.fixture
def no_sources(service: Service) -> None:
    """Wait until the jobs of earlier tests have ended."""
    assert is_soon(lambda: not sources(service), 60)


def names(service: Service) -> list[str]:
    """All that a service's Valkey has of jobs: names of keys, and the ids that are due."""
    with redis.Redis(unix_socket_path=f"{service.environment['DATA_DIR']}/valkey.sock") as client:
        due = client.zrange("{cz}:jobs:due", 0, -1)
        return [name.decode() for name in [*client.keys("{cz}:*"), *due]]


def test_the_same_again_is_answered_from_the_store(service: Service, api: Api) -> None:
    source = encoded(photo(200, 150), "JPEG")
    replies = [api.compress(source, **QUICK)]
    assert is_soon(lambda: stored(service, f"{replies[0].headers['X-Job-Id']}/result"))
    replies += [api.compress(source, **QUICK), api.compress(source, quality="51")]
    assert [reply.headers["X-Cache"] for reply in replies] == ["miss", "hit", "miss"]
    assert replies[0].content == replies[1].content
    assert replies[0].headers["X-Job-Id"] != replies[1].headers["X-Job-Id"]
    assert "Server-Timing" not in replies[1].headers
    with service.client() as stranger:
        assert stranger.compress(source, **QUICK).headers["X-Cache"] == "miss"


def test_equal_requests_at_the_same_time_share_one_encode(service: Service, api: Api) -> None:
    source = encoded(photo(640, 480), "PNG")
    with ThreadPoolExecutor(6) as pool:
        with held_up(service):
            asked = [pool.submit(api.compress, source, **SLOW_OPTIONS) for _ in range(6)]
            wait(asked, 1)  # time for all to come in
        replies = [one.result() for one in asked]
    assert len({reply.content for reply in replies}) == 1
    assert sorted(reply.headers["X-Cache"] for reply in replies) == ["join"] * 5 + ["miss"]
    assert len({reply.headers["X-Job-Id"] for reply in replies}) == 6
    for reply in replies:
        assert download(api, reply.headers["X-Job-Id"]).content == reply.content


def test_a_large_file_again_takes_over_the_result(service: Service, api: Api) -> None:
    source = new_source()
    replies = []
    for _ in range(2):
        replies.append(api.compress(source, **QUICK))
        wait_for_end(api, replies[-1].json()["id"])
    assert [reply.headers["X-Cache"] for reply in replies] == ["miss", "hit"]
    first, second = (download(api, reply.json()["id"]).content for reply in replies)
    assert first == second
    with service.client() as stranger:
        reply = stranger.compress(source, **QUICK)
        assert reply.headers["X-Cache"] == "miss"
        wait_for_end(stranger, reply.json()["id"])


def test_equal_large_files_at_the_same_time_share_one_encode(service: Service, api: Api) -> None:
    """The store of files gives the one result a second name."""
    source = padded_jpeg(SLOW, len(SLOW) + 99)
    jobs = [submit(api, source, **SLOW_OPTIONS) for _ in range(2)]
    assert [wait_for_end(api, job)["status"] for job in jobs] == ["complete"] * 2
    [first, second] = [stored(service, f"{job}/result")[0] for job in jobs]
    assert first.samefile(second)


def test_nothing_is_shared_where_that_is_switched_off(brief: Service) -> None:
    large = new_source()
    with brief.client() as client:
        for source in (SMALL, SMALL, large, large):
            assert "X-Cache" not in client.compress(source, **QUICK).headers


def test_an_upload_that_breaks_off_leaves_nothing(service: Service, api: Api, no_sources: None) -> None:
    """Not even where the service is killed meanwhile: it has noted what to remove."""
    with half_sent(service, api, total=20 * MB, sent=6 * MB):
        assert is_soon(lambda: sources(service)), "nothing had come to the store"
        job = sources(service)[0].parent.name
        assert job in names(service)
    assert is_soon(lambda: not sources(service))
    assert is_soon(lambda: job not in names(service))


def half_sent(service: Service, client: Api, *, total: int, sent: int) -> socket.socket:
    """A connection that has sent part of a large upload."""
    head = (
        f"POST {COMPRESS} HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer {client.key}\r\n"
        f"Content-Type: multipart/form-data; boundary=x\r\nContent-Length: {total}\r\n\r\n"
        '--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
    )
    link = socket.create_connection(("127.0.0.1", service.port))
    link.sendall(head.encode() + padded_jpeg(SMALL, total)[:sent])
    return link


def test_a_stream_without_a_length_stops_at_25_mb_and_leaves_nothing(
    service: Service, api: Api, no_sources: None
) -> None:
    def body() -> Iterator[bytes]:
        yield b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n' + SMALL[:-2]
        for _ in range(40):
            yield bytes(MB)

    reply = api.post(COMPRESS, content=body(), headers={"Content-Type": "multipart/form-data; boundary=x"})
    assert error_of(reply)[:2] == (413, "file_too_large")
    assert is_soon(lambda: not sources(service))


def test_uploads_at_once_cost_a_buffer_each(service: Service, api: Api) -> None:
    """The long version is `make memory`."""
    with watching_memory(service) as held:
        assert uploads_at_once(api, 20, 8 * MB) == [202] * 20
    assert max(held) - held[0] <= 80 * MB
    assert is_soon(lambda: not sources(service), 60), "their jobs do not end"


@pytest.mark.parametrize(
    ("fields", "told"),
    [({"format": "tiff"}, (400, "invalid_param", "format")), ({"no": "1"}, (400, "invalid_param", "no"))],
)
def test_a_large_file_with_wrong_parameters_is_refused_and_leaves_nothing(
    service: Service, api: Api, no_sources: None, fields: dict[str, str], told: tuple[int, str, str]
) -> None:
    assert error_of(api.compress(new_source(5 * MB), **fields)) == told
    assert is_soon(lambda: not sources(service))


def test_two_api_processes_know_the_same_jobs(pair: Service) -> None:
    with pair.client() as client:
        job = submit(client)
        wait_for_end(client, job)
        answer = client.compress(SMALL, **QUICK)
        assert is_soon(lambda: stored(pair, f"{answer.headers['X-Job-Id']}/result"))
    for _ in range(8):  # each on a connection of its own, so that both processes answer some
        with Api(pair.url, client.key) as client:
            assert client.get(STATUS + job).json()["status"] == "complete"
            assert download(client, answer.headers["X-Job-Id"]).content == answer.content
            assert client.compress(SMALL, **QUICK).headers["X-Cache"] == "hit"
