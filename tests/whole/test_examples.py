"""The programs in `examples/`, as they stand, against a running service."""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import orjson
import pytest

import app
from app.ports.jobs import Failure, Job, Outcome
from app.service.job_reply import describe
from app.service.webhook import sign
from pixels.options import Options
from tests.app.cdn.test_examples import COMMANDS
from tests.ports import free_port
from tests.whole.jobs import new_source
from tests.whole.pictures import encoded, opened, photo
from tests.whole.service import Api

EXAMPLES = Path(app.__file__).parents[1] / "examples"
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # noqa: S105 - of a published example
START_S = 120
SMALL = encoded(photo(), "JPEG", quality=95)
CLIENTS = {"sh": "curl/{}.sh", sys.executable: "python/{}.py", "node": "node/{}.mjs"}
RECEIVERS = {sys.executable: "python/webhook_receiver.py", "node": "node/webhook-receiver.mjs"}


def ids(programs: dict[str, str]) -> list[str]:
    return [path.partition("/")[0] for path in programs.values()]


def need(program: str) -> None:
    wanted = "curl" if program == "sh" else program
    if shutil.which(wanted) is None:
        pytest.skip(f"no {wanted} on the PATH")


@pytest.fixture(params=CLIENTS, ids=ids(CLIENTS))
def client(request: pytest.FixtureRequest) -> str:
    """One of the languages that there are clients in, by its program."""
    program: str = request.param
    need(program)
    return program


def run(client: str, example: str, api: Api, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [client, EXAMPLES / CLIENTS[client].format(example), *arguments],
        env={**os.environ, "API": str(api.base_url), "KEY": api.key or ""},
        capture_output=True,
        text=True,
        timeout=180,
    )


def test_an_image_is_compressed_at_once(client: str, api: Api, tmp_path: Path) -> None:
    source, target = tmp_path / "a photo.jpg", tmp_path / "small.webp"
    source.write_bytes(SMALL)
    done = run(client, "compress", api, source, target, "format=webp", "max_width=100")
    assert done.returncode == 0, done.stderr
    assert "% saved" in done.stdout
    assert opened(target.read_bytes()).size == (100, 75)
    assert opened(target.read_bytes()).format == "WEBP"


def test_a_large_image_is_compressed_as_a_job(client: str, api: Api, tmp_path: Path) -> None:
    source, target = tmp_path / "camera.jpg", tmp_path / "small.webp"
    source.write_bytes(new_source())
    done = run(client, "job", api, source, target, "format=webp", "quality=50")
    assert done.returncode == 0, done.stderr
    assert opened(target.read_bytes()).format == "WEBP"


def test_a_small_image_is_a_job_too(client: str, api: Api, tmp_path: Path) -> None:
    source, target = tmp_path / "photo.jpg", tmp_path / "small.webp"
    source.write_bytes(SMALL)
    done = run(client, "job", api, source, target, "format=webp", "quality=50")
    assert done.returncode == 0, done.stderr
    assert opened(target.read_bytes()).format == "WEBP"


@pytest.mark.parametrize("example", ["compress", "job"])
def test_a_refusal_is_told_and_nothing_is_written(client: str, api: Api, tmp_path: Path, example: str) -> None:
    source, target = tmp_path / "photo.jpg", tmp_path / "small.tiff"
    source.write_bytes(SMALL)
    done = run(client, example, api, source, target, "format=tiff")
    assert done.returncode != 0
    assert "invalid_param" in done.stderr
    assert list(tmp_path.iterdir()) == [source]


def test_a_job_that_fails_is_told(client: str, api: Api, tmp_path: Path) -> None:
    source, target = tmp_path / "broken.jpg", tmp_path / "small.jpg"
    source.write_bytes(new_source()[: 2 * 1024 * 1024])
    done = run(client, "job", api, source, target)
    assert done.returncode != 0
    assert "decode_failed" in done.stderr
    assert not target.exists()


@contextmanager
def receiving(program: str) -> Iterator[tuple[httpx.Client, subprocess.Popen[str]]]:
    """Run a receiver: a client to it, and its process."""
    port = free_port()
    process = subprocess.Popen(
        [program, EXAMPLES / RECEIVERS[program], str(port)],
        env={**os.environ, "WEBHOOK_SECRET": SECRET},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        end = time.monotonic() + START_S
        while time.monotonic() < end and process.poll() is None:
            with suppress(OSError):
                socket.create_connection(("127.0.0.1", port)).close()
                break
            time.sleep(0.05)
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20) as client:
            yield client, process
    finally:
        process.kill()
        process.communicate()


def webhook(**end: object) -> bytes:
    """The body of a webhook, as the service makes it."""
    job = Job(
        id="Zb1l0d4W2vXo9QeT",
        account="ada",
        lane="paid",
        options=Options(),
        original_size=10,
        created=0,
        finished=1,
        expires=2,
        **end,  # type: ignore[arg-type]
    )
    return orjson.dumps(describe(job, "https://images.test/api/v1/download/Zb1l0d4W2vXo9QeT"))


COMPLETE = webhook(state="complete", outcome=Outcome(size=1, format="webp", width=1, height=1, quality=1))
FAILED = webhook(state="failed", failure=Failure("decode_failed", "The image is broken. \u2026"))


@pytest.mark.parametrize("program", RECEIVERS, ids=ids(RECEIVERS))
def test_a_receiver_takes_our_webhooks_and_no_others(program: str) -> None:
    need(program)
    with receiving(program) as (client, process):

        def post(body: bytes, headers: dict[str, str]) -> int:
            return client.post("/hook", content=body, headers=headers).status_code

        genuine = sign(SECRET, "msg_1", int(time.time()), COMPLETE)
        forged = sign("whsec_" + "A" * 32, "msg_1", int(time.time()), COMPLETE)
        assert post(COMPLETE, forged) == 401
        assert post(COMPLETE.replace(b"images.test", b"evil.test"), genuine) == 401
        assert post(COMPLETE, {}) == 401
        assert post(COMPLETE, {"X-Compressorize-Signature": "00"}) == 401
        assert post(b"x" * 100_000, genuine) == 413
        assert post(COMPLETE, genuine) == 204
        assert post(FAILED, sign(SECRET, "msg_2", int(time.time()), FAILED)) == 204
        assert process.stdout is not None
        told = [process.stdout.readline() for _ in range(2)]
    assert "complete https://images.test/" in told[0]
    assert "failed" in told[1]
    assert "decode_failed" in told[1]


def test_every_example_is_listed_and_run() -> None:
    names = {*(path.format(name) for path in CLIENTS.values() for name in ("compress", "job")), *RECEIVERS.values()}
    names |= {f"cdn-sign/{command[-1]}" for command in COMMANDS.values()}  # run by `tests/app/cdn/test_examples.py`
    assert {str(path.relative_to(EXAMPLES)) for path in EXAMPLES.glob("*/*.*")} == names
    readme = (EXAMPLES / "README.md").read_text()
    assert all(f"]({name})" in readme for name in names)
