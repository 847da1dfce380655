"""`make image-test`: the image that `make image` built does its work, confined as in a cluster.

Not part of the test run: it needs a built image, and what runs one.
"""

import contextlib
import json
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import pyvips

from tests.faults.load import tell
from tests.k8s.containers import USER, Container, open_image, printed
from tests.ports import free_port
from tests.whole.service import NO_TLS

READY_S = 120
#: Prints how many kernels were compiled; with `pretend`, on a processor of another name and other features.
COUNT_COMPILED = """
import llvmlite.binding as llvm
if {pretend}:
    llvm.get_host_cpu_name = lambda: "sapphirerapids"
    llvm.get_host_cpu_features = lambda: llvm.FeatureMap({{"avx512f": True}})
from numba.core import event
from pixels import butteraugli, jpeg
with event.install_recorder("numba:compile") as compiled:
    butteraugli.warm()
    jpeg.warm()
print(len(compiled.buffer))
"""
PRINT_STATUS = "print(open('/proc/1/status').read())"
TRY_TO_WRITE = """
for path in ("/x", "/opt/compressorize/x", "/usr/x"):
    try:
        open(path, "w")
    except OSError as error:
        print(error.errno)
"""
READ_ONLY_FILE_SYSTEM = "30"
PRINT_TMP_BYTES = "import os; s = os.statvfs('/tmp'); print((s.f_blocks - s.f_bfree) * s.f_frsize)"


@pytest.fixture(scope="module")
def container() -> Iterator[Container]:
    with open_image() as found:
        yield found


@dataclass
class Running:
    process: subprocess.Popen[bytes]
    client: httpx.Client
    condition: dict[str, Any]


@pytest.fixture(scope="module")
def service(container: Container, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Run `serve`, the image's own command."""
    port, log = free_port(), tmp_path_factory.mktemp("image") / "log"
    begun = time.monotonic()
    process = container.start(
        {"PORT": str(port), "ENCODE_PROCESSES": "1", "WORKER_PROCESSES": "1", "DRAIN_S": "60"}, log
    )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=READY_S, verify=NO_TLS) as client:
            condition = wait_until_ready(client, process, log)
            tell(f"ready after {time.monotonic() - begun:.1f} s: {condition}")
            made = container.execute("compressorize", "keys", "create", "--account", "test", "--json")
            client.headers["Authorization"] = f"Bearer {json.loads(made)['key']}"
            yield Running(process, client, condition)
    finally:
        container.remove()
        process.kill()
        process.wait()


def wait_until_ready(client: httpx.Client, process: subprocess.Popen[bytes], log: Path) -> dict[str, Any]:
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(httpx.HTTPError):
            reply = client.get("/health/ready", timeout=2)
            if reply.status_code == 200:
                condition: dict[str, Any] = reply.json()
                return condition
        time.sleep(0.1)
    pytest.fail(f"not ready; exit code {process.poll()}:\n{log.read_text()[-2000:]}")


def draw(width: int, height: int) -> bytes:
    """Draw waves and grain, as JPEG."""
    waves = pyvips.Image.sines(width, height, hfreq=9, vfreq=7) * 90 + 128
    grain = pyvips.Image.gaussnoise(width, height, sigma=12, mean=0)
    picture = (waves + grain).bandjoin([waves.rot180() + grain, waves.fliphor()]).cast("uchar")
    data: bytes = picture.copy(interpretation="srgb").jpegsave_buffer(Q=92)
    return data


def test_the_image_says_what_it_is(container: Container) -> None:
    tell(f"{container.size_bytes / 1e6:.0f} MB unpacked")
    assert container.facts["User"] == f"{USER}:{USER}"
    assert container.facts["Labels"]["org.opencontainers.image.licenses"] == "Apache-2.0"


@pytest.mark.parametrize("pretend", [False, True], ids=["on this processor", "on another kind"])
def test_nothing_is_compiled_at_start(container: Container, pretend: bool) -> None:
    assert printed(container.run("python", "-c", COUNT_COMPILED.format(pretend=pretend))).strip() == "0"


def test_the_service_is_confined_and_locks_its_encode_processes_down(container: Container, service: Running) -> None:
    lines = container.execute("python", "-c", PRINT_STATUS).splitlines()
    status = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
    assert status["Uid"].split() == [str(USER)] * 4
    assert {int(status[each], 16) for each in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {0}
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
    assert service.condition["lockdown"]["landlock"]
    assert service.condition["lockdown"]["seccomp"]


def test_the_root_is_read_only(container: Container, service: Running) -> None:
    assert set(container.execute("python", "-c", TRY_TO_WRITE).split()) == {READ_ONLY_FILE_SYSTEM}


def test_the_health_check_passes(container: Container, service: Running) -> None:
    kind, *command = container.facts["Healthcheck"]["Test"]
    assert kind == "CMD"
    # `execute` fails with the command.
    container.execute("env", f"PORT={service.client.base_url.port}", *command)


def test_a_photo_is_answered_at_once(service: Running) -> None:
    photo = draw(1200, 800)
    reply = service.client.post("/api/v1/compress", files={"file": photo})
    assert reply.status_code == 200, reply.text
    assert len(reply.content) < len(photo)
    tell(f"smart: {len(photo)} bytes become {len(reply.content)}, distance {reply.headers['X-Distance']}")


def test_a_large_photo_becomes_a_job(container: Container, service: Running) -> None:
    large = draw(3200, 2400)
    reply = service.client.post("/api/v1/compress", files={"file": large}, data={"quality": "60"})
    assert reply.status_code == 202, reply.text
    status, deadline = "processing", time.monotonic() + READY_S
    while status == "processing" and time.monotonic() < deadline:
        time.sleep(0.5)
        status = service.client.get(f"/api/v1/status/{reply.json()['id']}").json()["status"]
    assert status == "complete"
    tell(f"{container.execute('python', '-c', PRINT_TMP_BYTES).strip()} bytes lie in /tmp")


def test_sigterm_drains(service: Running) -> None:
    """The last, because it ends the service."""
    answers: list[httpx.Response] = []
    picture = draw(1600, 1200)

    def ask() -> None:
        answers.append(service.client.post("/api/v1/compress", files={"file": picture}, data={"format": "avif"}))

    asking = threading.Thread(target=ask)
    asking.start()
    time.sleep(0.5)
    assert not answers, "too quick to be interrupted"
    begun = time.monotonic()
    service.process.send_signal(signal.SIGTERM)
    asking.join()
    assert [each.status_code for each in answers] == [200]
    assert service.process.wait(READY_S) == 0
    tell(f"SIGTERM: the request under way was answered, exit 0 after {time.monotonic() - begun:.1f} s")
