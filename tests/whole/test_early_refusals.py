"""A client that is still sending at full speed reads the error, not a broken pipe: tried with curl itself."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.whole.service import COMPRESS, Api, Service

pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
MB = 1024 * 1024
MODES = {
    "at full speed": ["-H", "Expect:"],
    "with Expect": ["-H", "Expect: 100-continue"],
    "chunked": ["-H", "Expect:", "-H", "Transfer-Encoding: chunked"],
}


@pytest.fixture(scope="module")
def big_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("big") / "big.jpg"
    path.write_bytes(b"\xff\xd8\xff\xe0" + bytes(40 * MB))
    return path


def curl(service: Service, key: str, file: Path, *options: str) -> tuple[int, str]:
    """Upload with curl; the status and error code that it read. Fails if curl did."""
    done = subprocess.run(
        [
            "curl",
            "-sS",
            "-w",
            "\n%{http_code}",
            "-H",
            f"Authorization: Bearer {key}",
            *options,
            "-F",
            f"file=@{file}",
            service.url + COMPRESS,
        ],
        capture_output=True,
        timeout=60,
    )
    body, _, status = done.stdout.rpartition(b"\n")
    assert done.returncode == 0, done.stderr
    return int(status), json.loads(body)["error"]["code"]


@pytest.mark.parametrize("mode", MODES)
def test_413_reaches_curl(service: Service, api: Api, big_file: Path, mode: str) -> None:
    for _ in range(5):
        assert curl(service, api.key or "", big_file, *MODES[mode]) == (413, "file_too_large")


@pytest.mark.parametrize("mode", MODES)
def test_401_reaches_curl(service: Service, big_file: Path, mode: str) -> None:
    for _ in range(5):
        assert curl(service, "wrong", big_file, *MODES[mode]) == (401, "unauthorized")


@pytest.mark.parametrize("mode", MODES)
def test_415_reaches_curl(service: Service, api: Api, tmp_path: Path, mode: str) -> None:
    gif = tmp_path / "animation.jpg"
    gif.write_bytes(b"GIF89a" + bytes(20 * MB))
    assert curl(service, api.key or "", gif, *MODES[mode]) == (415, "unsupported_format")


def test_a_refused_connection_serves_no_second_request_by_mistake(service: Service, big_file: Path) -> None:
    """What was left of a refused body must never be read as the next request."""
    done = subprocess.run(
        [
            "curl",
            "-sS",
            "-o",
            "/dev/null",
            "-w",
            "%{http_code}\n",
            "-H",
            "Authorization: Bearer wrong",
            "-H",
            "Expect:",
            "-F",
            f"file=@{big_file}",
            service.url + COMPRESS,
            "--next",
            "-s",
            "-o",
            "/dev/null",
            "-w",
            "%{http_code}\n",
            service.url + "/health/live",
        ],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout.split() == ["401", "200"]
