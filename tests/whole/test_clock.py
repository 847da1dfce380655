"""The clock of the machine is set by an hour while the service works: no job is lost, done twice or told twice."""

import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler

import orjson
import pytest
import redis
import trustme

from tests.faults.clock import ShiftedClock
from tests.whole.jobs import DOWNLOAD, MB, QUICK, SLOW_OPTIONS, SMALL, download, is_soon, submit, wait_for_end
from tests.whole.pictures import encoded, noise, opened, padded_jpeg
from tests.whole.public import ADDRESS, Answer, PublicNet, Web, status
from tests.whole.service import Service, error_of

HOUR_S = 3600
#: Takes an encoder about a second: longer than a worker waits between two questions.
_PICTURE = encoded(noise(700, 700), "JPEG", quality=90)


@pytest.fixture(scope="module")
def clock(tmp_path_factory: pytest.TempPathFactory) -> ShiftedClock:
    return ShiftedClock(tmp_path_factory.mktemp("clock"))


@pytest.fixture(scope="module")
def jumping(clock: ShiftedClock, net: PublicNet, authority: trustme.CA, receiver: Web) -> Iterator[Service]:
    """A service whose clock the tests set, with its Valkey included."""
    running = Service(net=net, REUSE_RESULTS="false", WORKER_PROCESSES="3", **clock.environment)
    running.environment["SSL_CERT_FILE"] = str(running.folder / "authority.pem")
    authority.cert_pem.write_to_path(running.environment["SSL_CERT_FILE"])
    yield running.start()
    running.close()


@pytest.fixture(params=[HOUR_S, -HOUR_S], ids=["forward", "back"])
def shift_s(request: pytest.FixtureRequest, clock: ShiftedClock) -> Iterator[int]:
    yield request.param
    clock.set(0)


def after(pause_s: float, answer: Answer) -> Answer:
    """Answer so much later."""

    def answer_late(request: BaseHTTPRequestHandler) -> None:
        time.sleep(pause_s)
        answer(request)

    return answer_late


def ends(service: Service, job: str) -> list[int]:
    """The deliveries with which the log says that a job has ended."""
    return [line["delivery"] for line in service.events("job ended") if line["job"] == job]


def test_jobs_under_way_end_once_and_are_told_once(
    jumping: Service, clock: ShiftedClock, receiver: Web, shift_s: int
) -> None:
    """Those that run while a worker has a slot free, a webhook whose answer is awaited, and what comes after."""
    path = f"/clock/{shift_s}"
    receiver.on(path, after(2, status(204)))
    account = jumping.new_account()
    with (
        jumping.client(account["key"]) as client,
        redis.Redis(unix_socket_path=f"{jumping.environment['DATA_DIR']}/valkey.sock") as valkey,
    ):
        webhook = {"webhook_url": f"https://{ADDRESS}{path}"}
        old = submit(client, **QUICK, **webhook)
        jobs = [submit(client, padded_jpeg(_PICTURE, 2 * MB + n), **SLOW_OPTIONS, **webhook) for n in range(2)]
        receiver.wait_for(path)
        assert is_soon(lambda: any(valkey.hexists(f"{{cz}}:job:{job}", "worker") for job in jobs))
        clock.set(shift_s)
        assert is_soon(lambda: abs(valkey.time()[0] - time.time() - shift_s) < HOUR_S / 2)
        assert client.compress(SMALL, **QUICK).status_code == 200
        assert {wait_for_end(client, job)["status"] for job in jobs} == {"complete"}
        new = submit(client, **QUICK, **webhook)
        assert wait_for_end(client, new)["status"] == "complete"
        told = [old, *jobs, new]
        assert is_soon(lambda: all(ends(jumping, job) for job in told))
        receiver.wait_for(path, len(told))
        time.sleep(1)
        assert [ends(jumping, job) for job in told] == [[1]] * len(told)
        assert sorted(orjson.loads(one.body)["id"] for one in receiver.to(path)) == sorted(told)
        for job in (old, new):
            assert opened(download(client, job).content).size == (160, 120)


def test_a_link_ends_by_the_clock_and_another_is_had_for_the_asking(jumping: Service, clock: ShiftedClock) -> None:
    with jumping.client() as client:
        job = submit(client)
        assert wait_for_end(client, job)["status"] == "complete"
        link = client.get(DOWNLOAD + job).headers["Location"]
        clock.set(HOUR_S)
        assert error_of(client.get(link))[:2] == (403, "link_invalid")
        assert download(client, job).status_code == 200
        clock.set(0)
        assert client.get(link).status_code == 200


def test_a_limit_holds_after_a_jump(jumping: Service, clock: ShiftedClock, shift_s: int) -> None:
    """A new window begins, of a minute."""
    with jumping.client(per_minute=2) as client:
        assert [client.compress(SMALL, **QUICK).status_code for _ in range(3)] == [200, 200, 429]
        clock.set(shift_s)
        replies = [client.compress(SMALL, **QUICK) for _ in range(3)]
        assert [reply.status_code for reply in replies] == [200, 200, 429]
        assert int(replies[-1].headers["Retry-After"]) <= 60
