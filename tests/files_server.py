"""Serves signed links alone, over real HTTP, for the tests."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import cast

import httpx
import pytest
from litestar import Litestar

from app.adapters.filesystem import FilesystemBlobs
from app.adapters.signed_links import SignedLinks
from app.api import conditional, files, replies
from app.api.edge import ASGIApp, Edge
from tests.ports import free_port

SECRET = b"a secret for tests"
START_S = 180
#: Short, so that a test can wait for it.
STALL_S = 1.0


def create() -> Edge:
    """Make the application, in Granian's process."""
    conditional._STALL_S = STALL_S
    blobs = FilesystemBlobs(Path(os.environ["FILES_FOLDER"]), SignedLinks(SECRET))
    app = Litestar(
        route_handlers=[files.router(blobs)],
        exception_handlers={Exception: replies.error},
        openapi_config=None,
        logging_config=None,
    )
    return Edge(cast("ASGIApp", app))


class FilesServer:
    """One server, on a port and a folder of its own."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="cz-"))
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        command = ["granian", "--interface", "asgi", "--factory", "--no-ws", "--host", "127.0.0.1"]
        with (self.folder / "log").open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", *command, "--port", str(self.port), "tests.files_server:create"],
                env={**os.environ, "FILES_FOLDER": str(self.folder / "files")},
                cwd=Path(__file__).parents[1],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def blobs(self, links: SignedLinks | None = None) -> FilesystemBlobs:
        """Another process' store in the same folder."""
        return FilesystemBlobs(self.folder / "files", links or SignedLinks(SECRET))

    def wait(self) -> None:
        end = time.monotonic() + START_S
        while self.process.poll() is None and time.monotonic() < end:
            with suppress(httpx.HTTPError):
                httpx.get(self.url, timeout=30)
                return
            time.sleep(0.05)
        pytest.fail(f"the server of files did not get ready:\n{self.log()}")

    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")

    def pids(self) -> list[int]:
        """Granian's processes that serve: its children."""
        task = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(pid) for pid in task.read_text().split()]

    def close(self) -> None:
        self.process.terminate()
        self.process.wait()
        shutil.rmtree(self.folder)
