"""Clients that are slow, fall silent or hang up, two hundred at once: they hold nothing, and leave nothing behind.

The long version is in tests/faults: `make faults`.
"""

from collections.abc import Callable, Iterator

import pytest

from tests.faults.crowd import SETTINGS, Crowd, nothing_stays, open_files, upload
from tests.whole.jobs import DOWNLOAD, MB, QUICK, SMALL, submit, wait_for_end
from tests.whole.pictures import encoded, noise, padded_jpeg
from tests.whole.service import Api, Service

CROWD = 200
#: What an allocator may keep of a crowd; one leaked buffer each would be 100 MB.
MOST_GROWTH = 32 * MB
#: Becomes a job: more than one buffer of it has gone into the store when the client leaves.
LARGE = padded_jpeg(SMALL, 256 * 1024)
HALF_HEAD = b"POST /api/v1/compress HTTP/1.1\r\nHost: t\r\nAuthoriz"


@pytest.fixture(scope="module")
def crowded() -> Iterator[Service]:
    """A service whose starter gave it too few descriptors for a crowd: it takes what the system lets it have."""
    with open_files(256):
        running = Service(**SETTINGS).start()
    yield running
    running.close()


@pytest.fixture(scope="module")
def client(crowded: Service) -> Iterator[Api]:
    with crowded.client() as client:
        yield client


def answers(client: Api) -> None:
    """Fail unless the service works on for others."""
    assert client.compress(SMALL, **QUICK).status_code == 200
    assert client.get("/health/live").status_code == 200


@pytest.mark.parametrize("ends", [Crowd.leave, Crowd.half_close], ids=["gone", "half-closed"])
@pytest.mark.parametrize("stage", ["in the head", "in a small file", "in a large file"])
def test_clients_that_stop_before_their_request_is_whole(
    crowded: Service, client: Api, stage: str, ends: Callable[[Crowd], None]
) -> None:
    """They hold no encode process while they stand still, and nothing of theirs stays when they end."""
    sent = {
        "in the head": HALF_HEAD,
        "in a small file": upload(client.key, SMALL, missing=9),
        "in a large file": upload(client.key, LARGE, missing=9),
    }[stage]

    def act() -> None:
        crowd = Crowd(crowded, CROWD, sent)
        answers(client)
        ends(crowd)
        if ends is Crowd.half_close:
            crowd.wait_for_ends()
            crowd.leave()

    nothing_stays(crowded, client, act, most_growth=MOST_GROWTH)


@pytest.mark.parametrize("ends", [Crowd.leave, Crowd.half_close], ids=["gone", "half-closed"])
def test_clients_that_do_not_wait_for_their_answer(
    crowded: Service, client: Api, ends: Callable[[Crowd], None]
) -> None:
    def act() -> None:
        crowd = Crowd(crowded, CROWD, upload(client.key, SMALL))
        ends(crowd)
        if ends is Crowd.half_close:
            crowd.wait_for_ends()
            crowd.leave()

    nothing_stays(crowded, client, act, most_growth=MOST_GROWTH)


def test_clients_that_hang_up_in_the_middle_of_an_answer(crowded: Service, client: Api) -> None:
    """They read the beginning of a file that is larger than what a connection holds, and no more."""
    job = submit(client, encoded(noise(1400, 1400), "PNG"), quality="100")
    assert wait_for_end(client, job)["status"] == "complete"
    link = client.get(DOWNLOAD + job).headers["Location"]

    def act() -> None:
        crowd = Crowd(crowded, CROWD, f"GET {link} HTTP/1.1\r\nHost: t\r\n\r\n".encode(), receive_bytes=4096)
        crowd.read_some()
        answers(client)
        crowd.leave()

    nothing_stays(crowded, client, act, most_growth=MOST_GROWTH)
