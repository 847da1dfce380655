"""Clients that are slow, or take nothing of their answer, are left in time and stop nobody else.

How long each may take as the service is set by default, and hundreds of them at once: tests/faults/slow_clients.py.
"""

import resource
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from app.server import connections_within
from tests.faults.crowd import KB, open_files, upload
from tests.whole.jobs import SMALL, is_soon
from tests.whole.pictures import padded_jpeg
from tests.whole.service import Api, Service

#: As app/server.py runs it, but for a bound that is no setting.
_WITH_STALL = """
import app.server
from app.settings import Settings
app.server.STALL_S = 1.0
app.server.run_api(Settings.from_environment())
"""
#: Granian's own bound on connections.
MORE_THAN_GRANIAN_TAKES = 1100


class ImpatientApi(Service):
    """One more API process of a service, with bounds that a test can wait for."""

    def start(self) -> "ImpatientApi":
        with self.log_path.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", _WITH_STALL],
                env=self.environment,
                cwd=Path(__file__).parents[2],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        assert is_soon(self.is_ready, 60), self.log()
        return self


@pytest.fixture(scope="module")
def impatient(service: Service) -> Iterator[Service]:
    running = ImpatientApi(
        "api",
        DATA_DIR=service.environment["DATA_DIR"],
        ENCODE_PROCESSES="1",
        BODY_TIMEOUT_S="1.5",
        BODY_MIN_BYTES_S="1000",
        KEEP_SYNC_RESULTS="false",
    )
    yield running.start()
    running.close()


@pytest.fixture(scope="module")
def key(service: Service) -> str:
    return service.new_key()


def connections(service: Service) -> int:
    """TCP connections that the service's port has, in whatever state but closing down."""
    rows = [row.split() for row in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(row[1].endswith(f":{service.port:04X}") and row[3] in {"01", "08"} for row in rows)


def test_connections_that_say_nothing_stop_nobody(impatient: Service) -> None:
    """They are more than Granian takes by its default, which the next would wait behind."""
    with open_files(4 * MORE_THAN_GRANIAN_TAKES), ExitStack() as links:
        for _ in range(MORE_THAN_GRANIAN_TAKES):
            links.enter_context(socket.create_connection(("127.0.0.1", impatient.port)))
        with Api(impatient.url, None) as anybody:
            # Silence ends after 30 s.
            assert anybody.get("/health/live", timeout=20).status_code == 200
    assert is_soon(lambda: connections(impatient) == 0)


@pytest.mark.parametrize("wanted", ["an asset", "many small answers"])
def test_an_answer_that_nobody_reads_is_given_up_with_its_connection(impatient: Service, wanted: str) -> None:
    path, count = {"an asset": ("/docs/swagger-ui-bundle.js", 4), "many small answers": ("/openapi.json", 1000)}[wanted]
    with socket.socket() as link:
        link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        link.connect(("127.0.0.1", impatient.port))
        link.setblocking(False)
        request = f"GET {path} HTTP/1.1\r\nHost: t\r\n\r\n".encode()
        link.send(count * request)
        assert is_soon(lambda: connections(impatient) == 1)
        assert is_soon(lambda: connections(impatient) == 0), "the connection is held"


def test_a_client_that_reads_slowly_gets_all_of_its_answer(impatient: Service) -> None:
    """A pause shorter than the bound, however often it comes, ends nothing."""
    with socket.socket() as link:
        link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        link.settimeout(20)
        link.connect(("127.0.0.1", impatient.port))
        link.sendall(b"GET /docs/swagger-ui-bundle.js HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n")
        received = 0
        for pause_s in (0.2,) * 10:
            time.sleep(pause_s)
            received += len(link.recv(65536))
        received += sum(map(len, iter(lambda: link.recv(65536), b"")))
    with Api(impatient.url, None) as anybody:
        assert received > int(anybody.get("/docs/swagger-ui-bundle.js").headers["Content-Length"])


def test_a_body_that_trickles_is_408(impatient: Service, key: str) -> None:
    """However often a byte comes: it never stands still."""
    with socket.create_connection(("127.0.0.1", impatient.port), timeout=20) as link:
        link.sendall(upload(key, SMALL)[:-2000])
        for _ in range(200):
            link.settimeout(0.1)
            try:
                answer = link.recv(65536)
                break
            except TimeoutError:
                link.sendall(b"x")
        assert answer.startswith(b"HTTP/1.1 408")
        link.settimeout(20)
        # Head and body may come one after the other.
        while b'"request_timeout"' not in answer:
            more = link.recv(65536)
            assert more, answer
            answer += more


def test_a_body_that_keeps_the_least_rate_may_take_longer_than_the_bound(impatient: Service, key: str) -> None:
    # Thirty times the least rate: a machine with other things to do keeps it too.
    sent = upload(key, padded_jpeg(SMALL, 64 * KB))
    with socket.create_connection(("127.0.0.1", impatient.port), timeout=20) as link:
        begun = time.monotonic()
        step = len(sent) // 20
        for start in range(0, len(sent), step):
            link.sendall(sent[start : start + step])
            time.sleep(0.1)
        assert link.recv(64).startswith(b"HTTP/1.1 200")
        assert time.monotonic() - begun > 1.5


@pytest.mark.parametrize(
    ("descriptors", "connections"),
    [(resource.RLIM_INFINITY, 8192), (1_048_576, 8192), (20_000, 8192), (4096, 1664), (1024, 256), (64, 1)],
)
def test_connections_leave_uploads_the_descriptors_that_they_need(descriptors: int, connections: int) -> None:
    assert connections_within(descriptors, 512) == connections
