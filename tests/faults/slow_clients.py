"""`make faults`: what tests/whole/test_slow_clients.py tries in short, with five hundred and as the service is set."""

import select
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack

import httpx
import pytest

from tests.faults.crowd import SETTINGS, Crowd, held, nothing_stays, open_files, upload
from tests.faults.load import tell
from tests.whole.jobs import MB, SMALL, is_soon
from tests.whole.service import NO_TLS, Service

CROWD = 500
SECONDS = 10
HALF_HEAD = b"POST /api/v1/compress HTTP/1.1\r\nHost: t\r\nAuthoriz"


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with open_files(20_000):
        running = Service(**SETTINGS)
        yield running.start()
        running.close()


def probe(service: Service) -> list[float]:
    """The milliseconds that each of many probes took, sorted."""
    took_ms = []
    with httpx.Client(base_url=service.url, verify=NO_TLS) as client:
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            begun = time.perf_counter()
            assert client.get("/health/live").status_code == 200
            took_ms.append((time.perf_counter() - begun) * 1e3)
            time.sleep(0.005)
    return sorted(took_ms)


def tell_probes(among: str, took_ms: list[float]) -> None:
    p50, p99 = (took_ms[int(len(took_ms) * share)] for share in (0.5, 0.99))
    tell(f"/health/live among {among}: p50 {p50:.1f} ms, p99 {p99:.1f} ms, of {len(took_ms)}")


def test_probes_among_500_slow_clients(service: Service) -> None:
    """The target is a p99 of 50 ms; it is told, because the machine is part of it."""
    key = service.new_key()
    tell_probes("nobody", probe(service))
    for name, sent in (("500 half heads", HALF_HEAD), ("500 half bodies", upload(key, SMALL, missing=9))):
        crowd = Crowd(service, CROWD, sent)
        tell_probes(name, probe(service))
        crowd.leave()


def test_trickling_clients_are_left(service: Service) -> None:
    """Five hundred that send a byte now and then, heads and bodies: all ended within the bounds of each."""
    key = service.new_key()
    with ExitStack() as open_links:
        left: dict[socket.socket, str] = {}
        for number in range(CROWD):
            link = open_links.enter_context(socket.create_connection(("127.0.0.1", service.port)))
            link.sendall(upload(key, SMALL)[:-2000] if number % 2 else HALF_HEAD)
            left[link] = "bodies" if number % 2 else "heads"
        begun, ended_s = time.monotonic(), {"heads": 0.0, "bodies": 0.0}
        while left:
            took_s = time.monotonic() - begun
            assert took_s < 90, f"{len(left)} are still there"
            for link in select.select(left, [], [], 0)[0]:
                ended_s[left.pop(link)] = took_s
            for link in list(left):
                try:
                    link.send(b"x")
                except OSError:
                    ended_s[left.pop(link)] = took_s
            time.sleep(1)
    tell(f"slow heads ended after {ended_s['heads']:.0f} s at most, slow bodies after {ended_s['bodies']:.0f} s")
    assert is_soon(lambda: held(service)["connection"] < 10)


def test_1000_connections_that_say_nothing_leave_nothing(service: Service) -> None:
    """Silence ends after 30 s."""
    with service.client() as client:
        growth = nothing_stays(
            service, client, lambda: Crowd(service, 2 * CROWD, b"").wait_for_ends(60), most_growth=32 * MB
        )
    tell(f"{2 * CROWD} silent connections: {growth / MB:.1f} MiB more")
