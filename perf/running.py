"""A service of our own to measure, and concurrent clients that ask it."""

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path
from typing import Final, Self

from perf.processes import cpu_s

_START_S = 60
#: As long as curl's.
BOUNDARY: Final = "------------------------5aKx8TqW2mZr7LcV9dYbNe"
FORM_TYPE: Final = f"multipart/form-data; boundary={BOUNDARY}"
#: The same upload comes again and again, and each is to be encoded.
NO_REUSE: Final = {"REUSE_RESULTS": "false"}


def wrap_in_form(fields: Mapping[str, str]) -> tuple[bytes, bytes]:
    """Return what comes before and after a file in the body of an upload, as `FORM_TYPE` tells."""
    part = '--{}\r\nContent-Disposition: form-data; name="{}"\r\n\r\n{}\r\n'
    before = "".join(part.format(BOUNDARY, name, value) for name, value in fields.items())
    file = 'Content-Disposition: form-data; name="file"; filename="a"\r\nContent-Type: image/jpeg'
    return f"{before}--{BOUNDARY}\r\n{file}\r\n\r\n".encode(), f"\r\n--{BOUNDARY}--\r\n".encode()


class RunningService:
    """`compressorize serve`, or another command, on a free port, with a key that has no limit to speak of."""

    def __init__(self, settings: Mapping[str, str] = NO_REUSE, *, command: str = "serve") -> None:
        self._command = command
        self._folder = tempfile.TemporaryDirectory(prefix="cz-")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        folder = self._folder.name
        self._environment = {
            **os.environ,
            "PORT": str(self.port),
            "DATA_DIR": folder,
            "LOG_FORMAT": "json",
            **settings,
        }

    def __enter__(self) -> Self:
        """Start it and wait until it is ready."""
        with Path(self._folder.name, "service.log").open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "app", self._command], env=self._environment, stdout=log, stderr=log
            )
        try:
            self._wait_until_ready()
            self._key = self.make_key("perf")
        except BaseException:
            # Also where the program is told to end meanwhile: nobody else would stop it.
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Stop it and remove what it kept."""
        self._process.terminate()
        self._process.wait()
        self._folder.cleanup()

    @property
    def key(self) -> str:
        """The API key."""
        return self._key

    def make_key(self, account: str) -> str:
        """Make an API key without a limit to speak of for an account."""
        limit = ("--plan", "custom", "--per-minute", "9999999")
        key: str = json.loads(self.run("keys", "create", "--account", account, "--json", *limit))["key"]
        return key

    def run(self, *arguments: str) -> bytes:
        """Run the `compressorize` command in the service's environment; return what it prints."""
        command = [sys.executable, "-m", "app", *arguments]
        return subprocess.run(command, env=self._environment, check=True, capture_output=True).stdout

    def put_object(self, name: str, data: bytes) -> None:
        """Put an object into the service's store, as its owner may."""
        path = Path(self._folder.name, "store", name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    @property
    def pid(self) -> int:
        """The process that started all the others."""
        return self._process.pid

    def cpu_s(self) -> float:
        """Seconds that all its processes have spent on a processor."""
        return cpu_s(self._process.pid)

    def compress_many(self, source: bytes, options: dict[str, str], *, requests: int, clients: int) -> None:
        """Send the same upload `requests` times from `clients` threads, each on one connection.

        Raises
        ------
        RuntimeError
            An answer was not 200.
        """
        before, after = wrap_in_form(options)
        body = before + source + after
        headers = {"Authorization": f"Bearer {self._key}", "Content-Type": FORM_TYPE}

        def ask(count: int) -> None:
            link = HTTPConnection("127.0.0.1", self.port)
            for _ in range(count):
                link.request("POST", "/api/v1/compress", body, headers)
                reply = link.getresponse()
                reply.read()
                if reply.status != 200:
                    raise RuntimeError(f"the service answered {reply.status}")
            link.close()

        with ThreadPoolExecutor(clients) as pool:
            list(pool.map(ask, [requests // clients] * clients))

    def _wait_until_ready(self) -> None:
        end = time.monotonic() + _START_S
        while not self._is_ready():
            if self._process.poll() is not None or time.monotonic() > end:
                raise RuntimeError("the service did not start")
            time.sleep(0.1)

    def _is_ready(self) -> bool:
        link = HTTPConnection("127.0.0.1", self.port, timeout=2)
        try:
            link.request("GET", "/health/ready")
            return link.getresponse().status == 200
        except OSError:
            return False
        finally:
            link.close()
