"""SIGTERM: what is under way is answered, what stands still is left, and everything has ended in time."""

import socket
import threading
import time
from collections.abc import Iterator

import httpx
import pytest

from tests.faults.crowd import upload
from tests.whole.encodes import encode_begun
from tests.whole.jobs import DOWNLOAD, SMALL, is_soon, submit, wait_for_end
from tests.whole.pictures import encoded, noise, opened
from tests.whole.service import NO_TLS, Service

#: The promise, 20 s, leaves so much after the default drain, 13 s.
DRAIN_S, AFTER_S = 8, 7
#: Is answered at once, and takes an encoder some tenths of a second.
PICTURE = encoded(noise(400, 400), "PNG")


@pytest.fixture
def draining() -> Iterator[Service]:
    running = Service(REUSE_RESULTS="false", DRAIN_S=str(DRAIN_S)).start()
    yield running
    running.close()


def test_sigterm_among_stuck_clients_answers_what_is_under_way_and_ends_in_time(draining: Service) -> None:
    """Bodies that stop half-way and downloads that nobody reads hold up nothing beyond the drain."""
    replies: list[httpx.Response] = []
    with draining.client() as client:
        stored = submit(client, encoded(noise(1400, 1400), "PNG"), quality="100")
        assert wait_for_end(client, stored)["status"] == "complete"
        link = client.get(DOWNLOAD + stored).headers["Location"]
        stuck = [upload(client.key, SMALL, missing=9)] * 20 + [f"GET {link} HTTP/1.1\r\nHost: t\r\n\r\n".encode()] * 5
        links = [connect_and_send(draining, sent) for sent in stuck]
        asking = threading.Thread(
            target=lambda: replies.append(client.compress(PICTURE, format="avif", quality="90")), daemon=True
        )
        with encode_begun(draining):
            asking.start()
        begun = time.monotonic()
        assert draining.process is not None
        draining.process.terminate()
        # The promise is 1 s; the rest is for a machine with other things to do.
        assert is_soon(lambda: not is_ready(draining), 3)
        assert draining.process.wait(2 * (DRAIN_S + AFTER_S)) == 0
        assert time.monotonic() - begun < DRAIN_S + AFTER_S
        asking.join(10)
    assert [reply.status_code for reply in replies] == [200]
    assert opened(replies[0].content).size == (400, 400)
    assert draining.pids() == {}
    for one in links:
        one.close()


def is_ready(service: Service) -> bool:
    """Whether a probe is told so; one that cannot connect is not."""
    try:
        return httpx.get(f"{service.url}/health/ready", verify=NO_TLS, timeout=2).status_code == 200
    except httpx.HTTPError:
        return False


def connect_and_send(service: Service, sent: bytes) -> socket.socket:
    """Make a client that takes next to nothing of its answer."""
    link = socket.socket()
    link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    link.connect(("127.0.0.1", service.port))
    link.sendall(sent)
    return link
