"""`Idempotency-Key`: whatever is repeated is done, and counted, once."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
import redis

from tests.whole.encodes import held_up
from tests.whole.jobs import QUICK, SLOW, SLOW_OPTIONS, SMALL, download, is_soon, new_source, stored, wait_for_end
from tests.whole.pictures import encoded, noise, photo, png_claiming
from tests.whole.service import COMPRESS, Api, Service, error_of

LIMIT = 1000
#: Takes an encoder about a second, and is answered at once.
SLOWER = encoded(noise(700, 700), "PNG")


@pytest.fixture
def fresh(service: Service) -> Iterator[Api]:
    """A client whose budgets nobody else spends."""
    with service.client(per_minute=LIMIT) as client:
        yield client


def keyed(key: str) -> dict[str, str]:
    return {"Idempotency-Key": key}


def spent(client: Api) -> tuple[int, int]:
    """Compressions and polls that a client's key has spent."""
    poll = client.get("/api/v1/status/unknown")
    refused = client.post(COMPRESS)
    polls = 10 * LIMIT - int(poll.headers["X-RateLimit-Remaining"])
    return LIMIT - 1 - int(refused.headers["X-RateLimit-Remaining"]), polls - 1


def test_a_repetition_is_answered_as_the_first_was(fresh: Api) -> None:
    first, second = (fresh.compress(SMALL, **QUICK, headers=keyed("a")) for _ in range(2))
    assert (first.status_code, second.status_code) == (200, 200)
    assert first.content == second.content
    same = ["X-Job-Id", "X-Original-Size", "X-Compressed-Size", "X-Format", "X-Quality", "Content-Disposition"]
    assert [first.headers[name] for name in same] == [second.headers[name] for name in same]
    other = fresh.compress(SMALL, **QUICK, headers=keyed("b"))
    assert other.headers["X-Job-Id"] != first.headers["X-Job-Id"]
    assert spent(fresh) == (2, 1), "a repetition spends a poll"


def test_a_key_belongs_to_an_account(service: Service, fresh: Api) -> None:
    first = fresh.compress(SMALL, **QUICK, headers=keyed("a"))
    with service.client() as stranger:
        other = stranger.compress(SMALL, **QUICK, headers=keyed("a"))
        assert other.status_code == 200
        assert other.headers["X-Job-Id"] != first.headers["X-Job-Id"]
        assert stranger.compress(SMALL, quality="51", headers=keyed("a")).status_code == 409


@pytest.mark.parametrize("where", ["service", "pair"])
def test_50_at_once_are_one_job_and_one_count(request: pytest.FixtureRequest, where: str, fresh: Api) -> None:
    """Whichever process each of them comes to."""
    service: Service = request.getfixturevalue(where)

    def ask(_: int) -> httpx.Response:
        with Api(service.url, fresh.key) as client:
            return client.compress(SLOWER, **SLOW_OPTIONS, headers=keyed(where))

    with ThreadPoolExecutor(50) as pool:
        replies = list(pool.map(ask, range(50)))
    assert {reply.status_code for reply in replies} == {200}, {reply.text for reply in replies if reply.is_error}
    assert len({reply.headers["X-Job-Id"] for reply in replies}) == 1
    assert len({reply.content for reply in replies}) == 1
    assert spent(fresh) == (1, 49)


@pytest.mark.parametrize("where", ["service", "pair"])
def test_large_files_at_once_are_one_job(request: pytest.FixtureRequest, where: str, fresh: Api) -> None:
    service: Service = request.getfixturevalue(where)
    source = new_source()

    def ask(_: int) -> httpx.Response:
        with Api(service.url, fresh.key) as client:
            return client.compress(source, **QUICK, headers=keyed("a"))

    with ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(ask, range(8)))
    assert {reply.status_code for reply in replies} == {202}
    [job] = {reply.json()["id"] for reply in replies}
    wait_for_end(fresh, job)
    late = ask(0)
    assert late.status_code == 202, "the same answer, though the job has ended"
    assert late.json()["id"] == job
    assert spent(fresh)[0] == 1
    assert is_soon(lambda: not stored(service, "*/source.*")), "the repetitions left their files"


@pytest.mark.parametrize("source", [SMALL, SLOW], ids=["small", "large"])
def test_another_request_with_the_key_is_a_conflict(fresh: Api, source: bytes) -> None:
    first = fresh.compress(source, **QUICK, headers=keyed("a"))
    assert first.status_code in {200, 202}
    for data, fields in (
        (source, {"quality": "51"}),
        (source, {**QUICK, "format": "webp"}),
        (source, {**QUICK, "webhook_url": "https://example.com/hook"}),
        (encoded(photo(99, 99), "JPEG"), QUICK),
        (new_source(), QUICK),
    ):
        assert error_of(fresh.compress(data, **fields, headers=keyed("a")))[:2] == (409, "idempotency_conflict")
    again = fresh.compress(source, **QUICK, headers=keyed("a"))
    assert again.headers["X-Job-Id"] == first.headers["X-Job-Id"]
    assert spent(fresh)[0] == 1


def test_another_request_is_told_so_while_the_first_is_under_way(service: Service, fresh: Api) -> None:
    asking = threading.Thread(target=lambda: fresh.compress(SLOWER, **SLOW_OPTIONS, headers=keyed("a")))
    before = keys_taken(service)
    with held_up(service):
        asking.start()
        assert is_soon(lambda: keys_taken(service) - before)
        told = fresh.compress(SMALL, **QUICK, headers=keyed("a"))
        assert error_of(told)[:2] == (409, "idempotency_conflict")
        assert asking.is_alive(), "it was told only afterwards"
    asking.join()


def keys_taken(service: Service) -> set[bytes]:
    with redis.Redis(unix_socket_path=f"{service.environment['DATA_DIR']}/valkey.sock") as valkey:
        return set(valkey.keys("{cz}:idempotency:*"))


def test_a_request_that_fails_gives_the_key_back(fresh: Api) -> None:
    assert fresh.compress(SMALL, format="tiff", headers=keyed("a")).status_code == 400
    assert fresh.compress(b"GIF89a", headers=keyed("a")).status_code == 415
    assert fresh.compress(encoded(photo(9, 9), "PNG")[:60], headers=keyed("a")).status_code == 422
    assert fresh.compress(SMALL, **QUICK, headers=keyed("a")).status_code == 200
    assert spent(fresh)[0] == 4


def test_of_many_that_fail_each_is_told_the_same(fresh: Api) -> None:
    broken = encoded(photo(300, 200), "PNG")[:5000]

    def ask(_: int) -> tuple[int, str]:
        with Api(str(fresh.base_url), fresh.key) as client:
            return error_of(client.compress(broken, headers=keyed("a")))[:2]

    with ThreadPoolExecutor(6) as pool:
        assert set(pool.map(ask, range(6))) == {(422, "decode_failed")}


def test_a_job_that_fails_is_the_keys_answer(fresh: Api) -> None:
    broken = png_claiming(400, 300) + bytes(2 * 1024 * 1024)
    first = fresh.compress(broken, headers=keyed("a"))
    assert wait_for_end(fresh, first.json()["id"])["status"] == "failed"
    assert fresh.compress(broken, headers=keyed("a")).json()["id"] == first.json()["id"]


@pytest.mark.parametrize("key", ["k" * 256, "", "tab\there", "é".encode()])
def test_what_is_no_key_is_refused(api: Api, key: str | bytes) -> None:
    headers = {b"Idempotency-Key": key if isinstance(key, bytes) else key.encode()}
    reply = api.compress(SMALL, **QUICK, headers=headers)  # type: ignore[arg-type]
    assert error_of(reply) == (400, "invalid_param", "Idempotency-Key")


def test_the_longest_key_is_one(api: Api) -> None:
    jobs = {api.compress(SMALL, **QUICK, headers=keyed("k" * 255)).headers["X-Job-Id"] for _ in range(2)}
    assert len(jobs) == 1
    assert download(api, jobs.pop()).status_code == 200


def test_a_spent_budget_gives_the_key_back_and_still_repeats(service: Service) -> None:
    with service.client(per_minute=1) as client:
        first = client.compress(SMALL, **QUICK, headers=keyed("a"))
        assert error_of(client.compress(SMALL, **QUICK, headers=keyed("b")))[:2] == (429, "rate_limit_exceeded")
        again = client.compress(SMALL, **QUICK, headers=keyed("a"))
        assert again.status_code == 200
        assert again.headers["X-Job-Id"] == first.headers["X-Job-Id"]
        assert again.headers["X-RateLimit-Remaining"] == "0"
        statuses = [client.compress(SMALL, **QUICK, headers=keyed("a")).status_code for _ in range(10)]
        assert statuses == [200] * 9 + [429], "polls end, too"
