"""A real service for the tests: `compressorize serve` on a free port with a data folder of its own, and a client."""

import contextlib
import json
import os
import re
import shutil
import signal
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.namespaces import Namespace
from tests.ports import free_port
from tests.whole.public import NetTransport

COMPRESS = "/api/v1/compress"
#: For clients of what is plain HTTP: each would otherwise read all authorities' certificates, for 40 ms.
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
#: Until something has started, on a machine whose disk and cores are busy.
START_S = 180
STOP_S = 60


class Service:
    """One running service and what a test wants of it."""

    def __init__(self, command: str = "serve", *, net: Namespace | None = None, **environment: str) -> None:
        self.net = net
        # Short, because a unix socket's path must stay under 108 bytes.
        self.folder = Path(tempfile.mkdtemp(prefix="cz-"))
        self.port = free_port()
        self.command = command
        self.log_path = self.folder / "log"
        self.environment = {
            **os.environ,
            "PORT": str(self.port),
            "DATA_DIR": str(self.folder / "d"),
            "LOG_FORMAT": "json",
            # A machine whose disk stalls holds Valkey up for longer than the default: then each process would count by
            # itself for a moment. Tests of a Redis that is away set their own.
            "REDIS_TIMEOUT_S": "5",
            # Encode processes are nicer than whatever else a machine is busy with.
            "WAIT_TIMEOUT_S": "60",
            "ENCODE_DEADLINE_S": "60",
            "SMART_SEARCH_S": "30",
            **environment,
        }
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://{self.environment.get('HOST', '127.0.0.1')}:{self.port}"

    def start(self) -> "Service":
        with self.log_path.open("wb") as log:

            def spawn() -> subprocess.Popen[bytes]:
                return subprocess.Popen(
                    [sys.executable, "-m", "app", self.command],
                    env=self.environment,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )

            self.process = spawn() if self.net is None else self.net.run(spawn)
        end = time.monotonic() + START_S
        while time.monotonic() < end:
            if self.process.poll() is not None:
                break
            if self.is_ready():
                return self
            time.sleep(0.1)
        log_tail = self.log()[-3000:]
        self.stop()
        pytest.fail(f"the service did not get ready:\n{log_tail}")

    def is_ready(self) -> bool:
        """Whether it has said that it is, and answers."""
        # `serve` prints a key once the API answers.
        said = {"serve": "Ctrl-C ends it", "worker": "worker ready"}.get(self.command, "")
        if said not in self.log() or self.command == "worker":
            return said in self.log()
        with contextlib.suppress(httpx.HTTPError), Api(self.url, None, self.net) as anybody:
            return anybody.get("/health/ready", timeout=2).status_code == 200
        return False

    def stop(self) -> int | None:
        """SIGTERM to the whole group, as a terminal or a supervisor sends it; the exit code."""
        if self.process is None:
            return None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGTERM)
        try:
            return self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            return None

    def log(self) -> str:
        return self.log_path.read_text(errors="replace")

    def logged(self, text: str, within_s: float = 30) -> bool:
        """Whether `text` is in the log, or comes within that time."""
        end = time.monotonic() + within_s
        while text not in self.log() and time.monotonic() < end:
            time.sleep(0.05)
        return text in self.log()

    def events(self, name: str) -> list[dict[str, Any]]:
        """The log's lines of one kind; one that is being written is none yet."""
        whole = self.log().rpartition("\n")[0]
        return [json.loads(line) for line in whole.splitlines() if f'"event":"{name}"' in line]

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the `compressorize` command in the service's environment."""

        def ask() -> subprocess.CompletedProcess[str]:
            command = [sys.executable, "-m", "app", *arguments]
            return subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=120)

        return ask() if self.net is None else self.net.run(ask)

    def new_key(self, per_minute: int = 100_000, plan: str = "custom") -> str:
        return self.new_account(per_minute, plan)["key"]

    def new_account(self, per_minute: int = 100_000, plan: str = "custom") -> dict[str, str]:
        """An account's `key` and `webhook_secret`."""
        limit = ["--per-minute", str(per_minute)] if plan == "custom" else []
        account = f"test-{os.urandom(4).hex()}"
        done = self.run("keys", "create", "--plan", plan, "--account", account, "--json", *limit)
        assert done.returncode == 0, done.stderr
        made: dict[str, str] = json.loads(done.stdout)
        return made

    def client(self, key: str | None = None, **limits: object) -> "Api":
        return Api(self.url, key or self.new_key(**limits), self.net)  # type: ignore[arg-type]

    def pids(self) -> dict[int, str]:
        """Every process that has this service's data folder in its environment or command, with that command."""
        folder, found = self.environment["DATA_DIR"], {}
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                if entry.name.isdigit():
                    line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                    # Valkey writes its title over its environment.
                    if f"DATA_DIR={folder}".encode() in (entry / "environ").read_bytes().split(b"\0") or folder in line:
                        found[int(entry.name)] = line
        return found

    def encode_pids(self) -> list[int]:
        """The encode processes of the API: the children of its fork server."""
        pids = self.pids()
        servers = {pid for pid, line in pids.items() if "forkserver" in line and _is(pids.get(_parent(pid)), "api")}
        return [pid for pid in pids if _parent(pid) in servers]

    def worker_pids(self) -> set[int]:
        """The worker that `serve` runs, and the processes below it; empty while there is none."""
        pids = self.pids()
        found = {pid for pid, line in pids.items() if _is(line, "worker")}
        while more := {pid for pid in pids if _parent(pid) in found} - found:
            found |= more
        return found

    def worker_pid(self) -> int:
        """The worker that `serve` runs, once there is one."""
        end = time.monotonic() + STOP_S
        while time.monotonic() < end:
            for pid, line in self.pids().items():
                if _is(line, "worker"):
                    return pid
            time.sleep(0.05)
        pytest.fail("no worker runs")

    def api_memory(self) -> int:
        """Resident bytes of the API's event-loop processes, what they share with encode processes included."""
        held = 0
        for pid, line in self.pids().items():
            with contextlib.suppress(OSError):
                if _is(line, "api"):
                    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
                    held += int(found[1]) * 1024 if found else 0
        return held

    def api_pid(self) -> int:
        """The API that `serve` runs; it has started its other processes."""
        assert self.process is not None
        [pid] = [pid for pid, line in self.pids().items() if _is(line, "api") and _parent(pid) == self.process.pid]
        return pid

    def valkey_pid(self) -> int:
        """The private Valkey."""
        [pid] = [pid for pid, line in self.pids().items() if "valkey-server" in line]
        return pid

    def close(self) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


def _is(line: str | None, command: str) -> bool:
    return line is not None and line.rstrip().endswith(f"-m app {command}")


def _parent(pid: int) -> int:
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return 0


class Api(httpx.Client):
    """A client with a key."""

    def __init__(self, url: str, key: str | None, net: Namespace | None = None) -> None:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        transport = NetTransport(net, NO_TLS) if net else None
        super().__init__(base_url=url, headers=headers, timeout=120, verify=NO_TLS, transport=transport)
        self.key, self.net = key, net

    def compress(self, data: bytes, *, headers: Mapping[str, str] | None = None, **fields: str) -> httpx.Response:
        return self.post(COMPRESS, data=fields, files={"file": ("in", data)}, headers=headers)


def error_of(reply: httpx.Response) -> tuple[int, str, str | None]:
    """Status, code and parameter of an error; fails unless it is in the one shape."""
    assert reply.headers["content-type"].startswith("application/json"), reply.text[:200]
    body = reply.json()
    assert list(body) == ["error"], body
    assert set(body["error"]) <= {"code", "message", "param"}, body
    assert body["error"]["message"], body
    return reply.status_code, body["error"]["code"], body["error"].get("param")
