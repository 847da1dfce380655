"""Caches in front of the service, configured by what docs/cdn.md shows: nginx and Varnish, in the service's network."""

import os
import re
import shutil
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

import app
from tests.ports import free_port
from tests.whole.public import PublicNet
from tests.whole.service import START_S, STOP_S, Api, Service

PAGE = Path(app.__file__).parents[1] / "docs" / "cdn.md"


class Cache:
    """One running cache."""

    program: str
    #: The heading in the page, and the language of the block that is its configuration.
    heading: str
    language: str

    def __init__(self, service: Service, net: PublicNet) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="cz-cache-"))
        self.port = free_port()
        self.log_path = self.folder / "log"
        configuration = self.folder / "configuration"
        configuration.write_text(self.configure(self.shown(), service))
        with self.log_path.open("wb") as log:

            def spawn() -> "subprocess.Popen[bytes]":
                return subprocess.Popen(self.command(configuration), stdin=subprocess.DEVNULL, stdout=log, stderr=log)

            self.process = net.run(spawn)
        self.client = Api(f"http://127.0.0.1:{self.port}", None, net)
        self.client.headers.clear()
        self._wait()

    @classmethod
    def find(cls) -> str | None:
        """Where the program is; where those of a machine's owner are, too."""
        return shutil.which(cls.program, path=f"{os.environ.get('PATH', '')}:/usr/local/sbin:/usr/sbin")

    def shown(self) -> str:
        """The configuration as the page has it."""
        section = PAGE.read_text().partition(f"### {self.heading}\n")[2].partition("\n### ")[0]
        found = re.search(rf"```{self.language}\n(.*?)```", section, re.DOTALL)
        assert found is not None
        return found[1]

    def configure(self, shown: str, service: Service) -> str:
        """Put this test's addresses in."""
        raise NotImplementedError

    def command(self, configuration: Path) -> list[str]:
        raise NotImplementedError

    def refresh(self, path: str, accept: str) -> None:
        """Have what is kept of a URL forgotten, as the page tells to."""
        raise NotImplementedError

    def get(self, path: str, accept: str, **headers: str) -> httpx.Response:
        fields = {"Accept": accept} | {name.replace("_", "-"): value for name, value in headers.items()}
        return self.client.get(path, headers=fields)

    def close(self) -> None:
        self.client.close()
        self.process.terminate()
        try:
            self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _wait(self) -> None:
        end = time.monotonic() + START_S
        while time.monotonic() < end and self.process.poll() is None:
            with suppress(httpx.HTTPError):
                self.client.get("/")
                return
            time.sleep(0.05)
        log = self.log_path.read_text(errors="replace")
        self.close()
        pytest.fail(f"{self.program} did not start:\n{log[-3000:]}")


class Nginx(Cache):
    program, heading, language = "nginx", "nginx", "nginx"

    def configure(self, shown: str, service: Service) -> str:
        places = {
            "server 127.0.0.1:8000;": f"server 127.0.0.1:{service.port};",
            "listen 80;": f"listen 127.0.0.1:{self.port};",
            "/var/cache/nginx/pictures": f"{self.folder}/pictures",
        }
        kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        temporary = "\n".join(f"{kind}_temp_path {self.folder}/{kind};" for kind in kinds)
        return (
            f"daemon off;\nuser root;\nworker_processes 1;\npid {self.folder}/pid;\nerror_log {self.log_path};\n"
            f"events {{}}\nhttp {{\naccess_log off;\n{temporary}\n{put(places, shown)}\n}}\n"
        )

    def command(self, configuration: Path) -> list[str]:
        return [str(self.find()), "-c", str(configuration), "-e", str(self.log_path)]

    def refresh(self, path: str, accept: str) -> None:
        assert self.get(path, accept, X_Refresh="a-long-random-word").headers["x-cache-status"] == "BYPASS"


class Varnish(Cache):
    program, heading, language = "varnishd", "Varnish", "vcl"

    def configure(self, shown: str, service: Service) -> str:
        return put({'.port = "8000";': f'.port = "{service.port}";'}, shown)

    def command(self, configuration: Path) -> list[str]:
        listen, work = f"127.0.0.1:{self.port}", self.folder / "work"
        plain = ["-F", "-j", "none", "-s", "malloc,64m"]
        return [str(self.find()), *plain, "-a", listen, "-n", str(work), "-f", str(configuration)]

    def refresh(self, path: str, accept: str) -> None:
        assert self.client.request("PURGE", path).status_code == 200


def put(places: dict[str, str], shown: str) -> str:
    """Change what the page shows into what a test needs."""
    for there, here in places.items():
        assert there in shown, there
        shown = shown.replace(there, here)
    return shown
