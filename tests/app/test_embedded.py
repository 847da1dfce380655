"""The private Valkey: one for each folder, loses nothing, and lives exactly as long as its starter."""

import os
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from app import death_pact
from app.adapters import embedded
from app.adapters.embedded import EmbeddedError, EmbeddedValkey, FolderInUse

#: A starter in a process of its own: says the server's pid, then tells of the server at each line of input.
STARTER = """
import signal, sys
from pathlib import Path
import redis
from app import death_pact
from app.adapters import embedded

signal.signal(signal.SIGTERM, lambda *_: None)
folder = Path(sys.argv[1])
death_pact.IS_POSSIBLE = sys.argv[2] == "ends_with_starter"
with embedded.EmbeddedValkey(folder, folder / "s") as server:
    print(server.pid, flush=True)
    for _ in sys.stdin:
        print(redis.Redis(unix_socket_path=str(folder / "s")).ping(), flush=True)
"""


def connect(folder: Path) -> redis.Redis:
    return redis.Redis(unix_socket_path=str(folder / "s"), retry=Retry(NoBackoff(), 0))


def launch_starter(folder: Path, mode: str = "ends_with_starter") -> tuple["subprocess.Popen[str]", int]:
    """Run `STARTER` in a process group of its own; returns it and the server's pid."""
    starter = subprocess.Popen(
        [sys.executable, "-c", STARTER, str(folder), mode],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    return starter, int(starter.stdout.readline())


def end(starter: "subprocess.Popen[str]") -> None:
    starter.kill()
    starter.communicate()


def test_only_the_owner_reaches_it_and_only_by_the_socket(valkey: EmbeddedValkey, short_folder: Path) -> None:
    mode = (short_folder / "s").stat().st_mode
    assert stat.S_ISSOCK(mode)
    assert stat.S_IMODE(mode) == 0o700
    settings = connect(short_folder).config_get()
    wanted = {"port": "0", "appendonly": "yes", "appendfsync": "everysec", "save": "", "maxmemory-policy": "noeviction"}
    assert {name: settings[name] for name in wanted} == wanted


def test_its_files_are_readable_by_their_owner_alone(short_folder: Path) -> None:
    folder = short_folder / "new"
    with EmbeddedValkey(folder, folder / "s"):
        connect(folder).set("a", "b")
        made = [folder, *folder.rglob("*")]
        assert len(made) > 3
        assert [path for path in made if path.stat().st_mode & 0o077] == []


def test_a_second_start_on_the_same_folder_is_refused_and_harms_nothing(
    valkey: EmbeddedValkey, short_folder: Path
) -> None:
    connect(short_folder).set("a", "b")
    with pytest.raises(FolderInUse, match=rf"{short_folder} is in use by process {os.getpid()}.*DATA_DIR"):
        EmbeddedValkey(short_folder, short_folder / "s").start()
    assert connect(short_folder).get("a") == b"b"


def test_a_folder_that_another_container_uses_is_refused_though_its_process_cannot_be_seen(
    valkey: EmbeddedValkey, short_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "_SERVER_WAIT_S", 0.05)
    monkeypatch.setattr(embedded, "_exists", lambda _: False)
    with pytest.raises(FolderInUse):
        EmbeddedValkey(short_folder, short_folder / "s").start()
    assert connect(short_folder).ping()


def test_starting_what_runs_changes_nothing(valkey: EmbeddedValkey) -> None:
    before = valkey.pid
    valkey.start()
    assert valkey.pid == before


def test_stop_keeps_the_data_and_frees_the_folder(valkey: EmbeddedValkey, short_folder: Path) -> None:
    connect(short_folder).set("a", "b")
    valkey.stop()
    assert valkey.pid is None
    with EmbeddedValkey(short_folder, short_folder / "s"):
        assert connect(short_folder).get("a") == b"b"


def test_stop_ends_a_frozen_server(valkey: EmbeddedValkey, short_folder: Path) -> None:
    os.kill(valkey.pid, signal.SIGSTOP)
    valkey.stop(timeout_s=0.1)
    assert valkey.pid is None
    with EmbeddedValkey(short_folder, short_folder / "s"):
        assert connect(short_folder).ping()


def test_a_killed_server_starts_again_with_every_write_that_reached_its_file(
    valkey: EmbeddedValkey, short_folder: Path, kill_valkey: Callable[[], None]
) -> None:
    client = connect(short_folder)
    for number in range(2000):
        client.set(f"key{number}", number)
    killed = valkey.pid
    kill_valkey()
    valkey.start()
    assert valkey.pid not in {None, killed}
    assert connect(short_folder).dbsize() == 2000


@pytest.fixture
def no_server_left(short_folder: Path) -> Iterator[None]:
    """End a server that a failed test left without a starter."""
    yield
    with suppress(redis.ConnectionError):
        connect(short_folder).shutdown(nosave=True)


@pytest.mark.usefixtures("no_server_left")
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a process with its starter")
def test_kill_9_of_the_starter_ends_it(short_folder: Path) -> None:
    starter, pid = launch_starter(short_folder)
    connect(short_folder).set("a", "b")
    end(starter)
    # The folder's lock is the server's too: it is free only once the server is gone.
    with EmbeddedValkey(short_folder, short_folder / "s") as server:
        assert server.pid != pid
        assert connect(short_folder).get("a") == b"b"


@pytest.mark.usefixtures("no_server_left")
def test_where_it_outlives_a_killed_starter_the_next_start_ends_it(
    short_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    starter, pid = launch_starter(short_folder, "outlives_starter")
    connect(short_folder).set("a", "b")
    end(starter)
    assert connect(short_folder).info("server")["process_id"] == pid
    monkeypatch.setattr(death_pact, "IS_POSSIBLE", False)
    with EmbeddedValkey(short_folder, short_folder / "s") as server:
        assert connect(short_folder).info("server")["process_id"] == server.pid != pid
        assert connect(short_folder).get("a") == b"b"


def test_a_signal_to_the_starters_group_leaves_it_up_until_the_starter_stops_it(short_folder: Path) -> None:
    starter, pid = launch_starter(short_folder)
    try:
        assert os.getsid(pid) == pid
        os.killpg(starter.pid, signal.SIGTERM)
        answer, _ = starter.communicate("\n")
        assert answer.strip() == "True"
        assert starter.returncode == 0
    finally:
        end(starter)


def test_a_server_that_cannot_start_is_reported_with_its_log_and_frees_the_folder(short_folder: Path) -> None:
    with pytest.raises(EmbeddedError, match=r"(?s)ended with 1:.*socket"):
        EmbeddedValkey(short_folder, short_folder / "absent" / "s").start()
    with EmbeddedValkey(short_folder, short_folder / "s"):
        assert connect(short_folder).ping()


def test_a_program_that_cannot_run_is_named(short_folder: Path) -> None:
    with pytest.raises(EmbeddedError, match="/absent/valkey-server"):
        EmbeddedValkey(short_folder, short_folder / "s", server=Path("/absent/valkey-server")).start()


def test_it_is_refused_outside_the_main_thread_whose_end_would_end_it(short_folder: Path) -> None:
    raised: list[Exception] = []

    def start() -> None:
        try:
            EmbeddedValkey(short_folder, short_folder / "s").start()
        except EmbeddedError as error:
            raised.append(error)

    thread = threading.Thread(target=start)
    thread.start()
    thread.join()
    assert "main thread" in str(raised[0])


def test_the_program_comes_from_the_package_then_from_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(embedded, "find_spec", lambda _: None)
    with pytest.raises(EmbeddedError, match="REDIS_URL"):
        embedded.find_server()
    for name in ("redis-server", "valkey-server"):
        (tmp_path / name).touch(mode=0o755)
        assert embedded.find_server() == tmp_path / name
    monkeypatch.undo()
    assert embedded.find_server().parent != tmp_path
