"""Two hosts with one Redis and one S3 server are one service, and one of them may go without a word."""

import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from fnmatch import fnmatchcase
from pathlib import Path

import httpx
import pytest

from tests.fleet.hosts import Fleet, clients_with, submit_slow
from tests.whole.jobs import (
    DOWNLOAD,
    QUICK,
    SLOW_OPTIONS,
    SMALL,
    STATUS,
    download,
    is_soon,
    new_source,
    submit,
    wait_for_end,
)
from tests.whole.pictures import encoded, noise, opened, photo
from tests.whole.service import Api, error_of

#: Takes an encoder some tenths of a second, and is answered at once.
SLOWER = encoded(noise(400, 400), "PNG")


def test_a_limit_is_exact_over_both(fleet: Fleet) -> None:
    key = fleet.hosts[0].api.new_key(per_minute=30)

    def ask(number: int) -> int:
        with clients_with(fleet, key)[number % 2] as client:
            return client.compress(SMALL, **QUICK).status_code

    with ThreadPoolExecutor(16) as pool:
        statuses = sorted(pool.map(ask, range(60)))
    assert statuses == [200] * 30 + [429] * 30


def test_a_key_that_is_revoked_at_one_is_refused_at_both_within_a_second(fleet: Fleet) -> None:
    """Though both have just seen it."""
    first, second = fleet.hosts
    made = first.api.new_account()
    clients, is_over = clients_with(fleet, made["key"]), threading.Event()

    def ask() -> set[int]:
        return {client.get(STATUS + "none").status_code for client in clients}

    def keep_asking() -> None:
        while not is_over.wait(0.1):
            ask()

    assert ask() == {404}
    asking = threading.Thread(target=keep_asking)
    asking.start()
    try:
        assert second.api.run("keys", "revoke", made["id"]).returncode == 0
        time.sleep(1)
        assert ask() == {401}
    finally:
        is_over.set()
        asking.join()


def test_what_was_taken_at_one_is_polled_and_downloaded_at_the_other(clients: list[Api]) -> None:
    here, there = clients
    job = submit(here)
    assert wait_for_end(there, job)["status"] == "complete"
    assert download(there, job).content == download(here, job).content
    answer = here.compress(SMALL, format="webp", **QUICK)
    kept = answer.headers["X-Job-Id"]
    # What is answered at once is kept a moment later, and only the host that has answered knows that it waits.
    assert is_soon(lambda: there.get(DOWNLOAD + kept).status_code == 302 and download(there, kept).status_code == 200)
    assert download(there, kept).content == answer.content


def test_a_result_of_one_is_reused_at_the_other(clients: list[Api]) -> None:
    here, there = clients
    picture = encoded(photo(90, 90), "JPEG")
    answer = here.compress(picture, **QUICK)
    assert answer.headers["X-Cache"] == "miss"
    assert is_soon(lambda: there.compress(picture, **QUICK).headers["X-Cache"] == "hit")


@pytest.mark.parametrize(("data", "status"), [(SLOWER, 200), (new_source(), 202)], ids=["small", "large"])
def test_an_idempotency_key_holds_over_both(clients: list[Api], data: bytes, status: int) -> None:
    def ask(number: int) -> httpx.Response:
        with Api(str(clients[number % 2].base_url), clients[0].key, clients[0].net) as client:
            return client.compress(data, **SLOW_OPTIONS, headers={"Idempotency-Key": f"for {status}"})

    with ThreadPoolExecutor(12) as pool:
        replies = list(pool.map(ask, range(12)))
    assert {reply.status_code for reply in replies} == {status}
    jobs = {reply.headers["X-Job-Id"] if status == 200 else reply.json()["id"] for reply in replies}
    assert len(jobs) == 1
    other = clients[1].compress(data, **QUICK, headers={"Idempotency-Key": f"for {status}"})
    assert error_of(other)[:2] == (409, "idempotency_conflict")


def test_the_page_on_operations_names_every_key_of_redis(fleet: Fleet) -> None:
    """By now most of them are there: whoever backs up by that page misses none."""
    page = (Path(__file__).parents[2] / "docs" / "operations.md").read_text()
    named = re.findall(r"`((?:\{cz\}:|rl:)[^`]+)`", page.partition("## Backup")[2])
    names = fleet.wire.centre.run(lambda: [name.decode() for name in fleet.redis.client().scan_iter()])
    assert len(names) > 10
    assert [name for name in names if not any(fnmatchcase(name, one) for one in named)] == []


def test_a_host_that_is_lost_costs_nothing_that_was_acknowledged(fleet: Fleet, clients: list[Api]) -> None:
    """The last of this module. Who asked the lost one asks the other, with the idempotency key of the first time."""
    here, there = clients
    once = {"Idempotency-Key": "lost"}
    first = here.compress(SMALL, **QUICK, headers=once)
    kept = submit(here)
    assert wait_for_end(here, kept)["status"] == "complete"
    before = download(here, kept).content
    jobs = submit_slow(here, 4)
    assert is_soon(lambda: fleet.hosts[0].has_claimed(fleet, jobs))
    fleet.hosts[0].lose()
    assert there.compress(SMALL, quality="52").status_code == 200
    for job in jobs:
        assert wait_for_end(there, job)["status"] == "complete"
        assert opened(download(there, job).content).format == "AVIF"
    assert download(there, kept).content == before
    again = there.compress(SMALL, **QUICK, headers=once)
    assert again.headers["X-Job-Id"] == first.headers["X-Job-Id"]
