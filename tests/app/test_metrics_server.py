"""One port for the metrics of several processes: whole processes answer, each for itself, whoever holds the port."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from prometheus_client.core import CounterMetricFamily
from prometheus_client.parser import text_string_to_metric_families

from app.adapters.metric_families import Family, Snapshot, render, take_families
from app.adapters.metrics_server import MetricsServer
from tests.app.queues import run
from tests.ports import free_port
from tests.whole.service import NO_TLS

#: A process with one count, which says when it has its socket, and has its event loop blocked when it is told to.
COUNTING = """
import asyncio, sys, time
from pathlib import Path
from prometheus_client.core import CounterMetricFamily
from app.adapters.metric_families import take_families
from app.adapters import metrics_server
from app.adapters.metrics_server import MetricsServer

metrics_server._PATIENCE_S = 2.0

async def main():
    role, port, folder, count = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]), float(sys.argv[4])
    async def read():
        return take_families([CounterMetricFamily("work", "Work.", value=count)])
    async with MetricsServer(role, read, host="127.0.0.1", port=port, folder=folder).running():
        print("there", flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)

asyncio.run(main())
"""


class Counting:
    """Starts such processes, and asks their port."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder / "m", free_port()
        self.processes: list[subprocess.Popen[str]] = []

    def start(self, role: str, count: float) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", COUNTING, role, str(self.port), str(self.folder), str(count)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.processes.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "there\n"
        return process

    def ask(self) -> dict[int, float]:
        """What each process has counted, by its id."""
        reply = httpx.get(f"http://127.0.0.1:{self.port}/metrics", verify=NO_TLS, timeout=30)
        assert reply.headers["content-type"].startswith("text/plain; version=")
        families = {family.name: family for family in text_string_to_metric_families(reply.text)}
        return {int(sample.labels["pid"]): sample.value for sample in families["work"].samples}

    def asked(self, expected: Callable[[dict[int, float]], bool], within_s: float = 30) -> dict[int, float]:
        """Ask until the answer is as expected."""

        async def poll() -> dict[int, float]:
            async with asyncio.timeout(within_s):
                while True:
                    try:
                        if expected(found := self.ask()):
                            return found
                    except httpx.TransportError:
                        pass  # nobody has the port just now
                    await asyncio.sleep(0.1)

        return asyncio.run(poll())


@pytest.fixture
def counting(short_folder: Path) -> Iterator[Counting]:
    made = Counting(short_folder)
    yield made
    for process in made.processes:
        process.kill()
        process.communicate()


def test_one_port_tells_of_all_processes_and_another_takes_it_when_its_holder_dies(counting: Counting) -> None:
    processes = [counting.start("api", 1)]
    counting.asked(bool)  # now it has the port
    processes += [counting.start("api", 2), counting.start("worker", 3)]
    everybody = {process.pid: count for process, count in zip(processes, (1, 2, 3), strict=True)}
    assert counting.asked(lambda found: len(found) == 3) == everybody
    processes[0].kill()
    processes[0].wait()
    del everybody[processes[0].pid]
    assert counting.asked(lambda found: len(found) == 2) == everybody
    # What the dead one left behind is removed.
    assert {path.name for path in counting.folder.iterdir()} == {str(pid) for pid in everybody}


def test_a_process_that_hangs_is_left_out_and_the_others_are_told(counting: Counting) -> None:
    first = counting.start("api", 1)
    counting.asked(bool)
    hanging = counting.start("worker", 2)
    hanging.send_signal(signal.SIGSTOP)
    assert counting.ask() == {first.pid: 1}
    hanging.send_signal(signal.SIGCONT)
    assert counting.asked(lambda found: len(found) == 2) == {first.pid: 1, hanging.pid: 2}


def test_a_process_that_ends_leaves_nothing(counting: Counting) -> None:
    process = counting.start("api", 1)
    process.communicate("\n")
    assert process.returncode == 0
    assert not counting.folder.exists()


def test_liveness_is_what_the_process_says_and_nothing_else_is_served(short_folder: Path) -> None:
    async def scenario() -> None:
        server = MetricsServer("worker", read_nothing, host="127.0.0.1", port=free_port(), folder=short_folder / "m")
        async with server.running(), httpx.AsyncClient(verify=NO_TLS) as client:
            assert await ask_when_there(client, server, "/health/live") == 200
            server.is_alive = lambda: False
            assert await ask_when_there(client, server, "/health/live") == 503
            assert await ask_when_there(client, server, "/") == 404

    run(scenario())


async def ask_when_there(client: httpx.AsyncClient, server: MetricsServer, path: str) -> int:
    """Ask once the server has its port; the status. The scenario's own guard ends a wait in vain."""
    while True:
        try:
            return (await client.get(f"http://127.0.0.1:{server._port}{path}", timeout=30)).status_code
        except httpx.ConnectError:
            await asyncio.sleep(0.02)


async def read_nothing() -> list[Family]:
    return []


def test_a_folder_that_cannot_be_written_takes_nothing_but_the_others_away(short_folder: Path) -> None:
    (short_folder / "m").write_text("in the way")

    async def scenario() -> None:
        server = MetricsServer("worker", read_nothing, host="127.0.0.1", port=free_port(), folder=short_folder / "m")
        async with server.running(), httpx.AsyncClient(verify=NO_TLS) as client:
            assert await ask_when_there(client, server, "/metrics") == 200

    run(scenario())


def test_the_page_can_be_openmetrics_too() -> None:
    families = take_families([CounterMetricFamily("work", "Work.", value=True)])
    page, content_type = render([Snapshot("api", os.getpid(), families)], "application/openmetrics-text; version=1.0.0")
    assert content_type.startswith("application/openmetrics-text")
    assert page.endswith(b"# EOF\n")
