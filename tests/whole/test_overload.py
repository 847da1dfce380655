"""More comes than can be done: refusals at once with a time to come back; others, and who comes after, are served."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager

import httpx
import pytest

from tests.whole.encodes import held_up
from tests.whole.pictures import encoded, photo
from tests.whole.service import Api, Service, error_of

PICTURE = encoded(photo(), "JPEG")
PROCESSES = 2
#: Those at work and those who may wait for each of them.
PLACES = PROCESSES * (1 + 4)
#: Until something must have come; nothing is as slow as that.
DEADLINE_S = 60


@contextmanager
def running_service() -> Iterator[Service]:
    running = Service(
        ENCODE_PROCESSES=str(PROCESSES),
        ENCODE_DEADLINE_S="90",
        WAIT_TIMEOUT_S="90",
        REUSE_RESULTS="false",
        KEEP_SYNC_RESULTS="false",
    ).start()
    try:
        yield running
    finally:
        running.close()


@pytest.fixture(scope="module")
def small_service() -> Iterator[Service]:
    """A service whose encoders are few, and that encodes whatever it is asked."""
    with running_service() as running:
        yield running


@pytest.fixture
def calm_service() -> Iterator[Service]:
    """The same, and nobody was refused of late: after a flood, places are fewer for some seconds."""
    with running_service() as running:
        yield running


def send(service: Service, key: str) -> httpx.Response:
    with Api(service.url, key) as client:
        return client.compress(PICTURE)


def send_many(pool: ThreadPoolExecutor, service: Service, key: str, count: int) -> set[Future[httpx.Response]]:
    return {pool.submit(send, service, key) for _ in range(count)}


def test_refusals_come_while_the_encoders_are_busy_and_tell_when_to_come_back(small_service: Service) -> None:
    key, flood = small_service.new_key(), 3 * PLACES
    with ThreadPoolExecutor(flood) as pool:
        with held_up(small_service):
            waiting, answered = send_many(pool, small_service, key, flood), set()
            while len(answered) < flood - PLACES:
                done, waiting = wait(waiting, DEADLINE_S, FIRST_COMPLETED)
                assert done, f"only {len(answered)} of {flood} were refused"
                answered |= done
        for one in answered:
            assert error_of(one.result()) == (503, "overloaded", None)
            assert int(one.result().headers["Retry-After"]) >= 1
        assert {one.result().status_code for one in waiting} <= {200, 503}
        assert sum(one.result().status_code == 200 for one in waiting) >= PROCESSES


def test_after_a_flood_the_very_next_requests_succeed(small_service: Service) -> None:
    key, flood = small_service.new_key(), 3 * PLACES
    with ThreadPoolExecutor(flood) as pool, held_up(small_service):
        sent = send_many(pool, small_service, key, flood)
        wait(sent, DEADLINE_S, FIRST_COMPLETED)
    assert 503 in {one.result().status_code for one in sent}
    assert [send(small_service, key).status_code for _ in range(3)] == [200, 200, 200]


def test_a_burst_that_fits_the_waiting_room_is_served(calm_service: Service) -> None:
    key = calm_service.new_key()
    with ThreadPoolExecutor(PLACES) as pool, held_up(calm_service):
        sent = send_many(pool, calm_service, key, PLACES)
        refused_early, _ = wait(sent, 0.5, FIRST_COMPLETED)  # time for all to come in
        assert not refused_early
    assert {one.result().status_code for one in sent} == {200}


def test_a_flood_does_not_make_another_accounts_requests_refused(small_service: Service) -> None:
    flood, stop = [], threading.Event()
    greedy, modest = small_service.new_key(), small_service.new_key()

    def keep_sending() -> None:
        with Api(small_service.url, greedy) as client:
            while not stop.is_set():
                flood.append(client.compress(PICTURE).status_code)

    senders = [threading.Thread(target=keep_sending) for _ in range(2 * PLACES)]
    for sender in senders:
        sender.start()
    try:
        while 503 not in flood:
            assert any(sender.is_alive() for sender in senders)
            time.sleep(0.01)
        statuses = [send(small_service, modest).status_code for _ in range(20)]
    finally:
        stop.set()
        for sender in senders:
            sender.join(DEADLINE_S)
    assert statuses == [200] * 20
    assert set(flood) == {200, 503}
