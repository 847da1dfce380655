"""The lock-down of encode processes: what a picture that takes one over can still do, on this kernel."""

import io
import os
import platform
import re
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from PIL import Image
from structlog.testing import capture_logs

from app.errors import ServiceError
from app.service import encode_link, encoders
from app.service.buffers import BufferPool, SharedBuffer
from app.service.encode_protocol import Lockdown
from app.service.encoders import Encoders
from app.service.lockdown import seccomp
from pixels.options import Limits, Options
from tests.app import captured
from tests.snapshots import descriptors_of
from tests.whole.pictures import encoded, opened, photo

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(
        platform.system() != "Linux" or platform.machine() not in {"x86_64", "aarch64"},
        reason="elsewhere encode processes are not locked down",
    ),
]


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def pool() -> Iterator[BufferPool]:
    with BufferPool(1 << 20, most=64, kept=4) as buffers:
        yield buffers


@pytest.fixture(scope="module")
async def captive() -> AsyncGenerator[Encoders]:
    """Run one encode process that compresses pictures and does the acts that it is sent: see `captured`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(encode_link, "_run_child", captured.run)
        running = Encoders(
            processes=1,
            waiting_per_slot=4,
            wait_timeout_s=30,
            deadline_s=60,
            memory_bytes=3 << 30,
            limits=Limits(search_s=2),
        )
        await running.start()
        yield running
        running.close()


def filled(pool: BufferPool, data: bytes) -> SharedBuffer:
    buffer = pool.lend()
    assert buffer is not None
    buffer.write(memoryview(data))
    return buffer


async def outcome(captive: Encoders, pool: BufferPool, act: str) -> str:
    source = filled(pool, captured.CALL + act.encode())
    try:
        return (await captive.encode(source, Options())).data.decode()
    finally:
        pool.take_back(source)


@pytest.mark.parametrize("act", captured.ACTS)
async def test_a_captured_process_is_denied(captive: Encoders, pool: BufferPool, act: str) -> None:
    restarts = captive.restarts
    assert await outcome(captive, pool, act) == "EPERM"
    assert captive.restarts == restarts


@pytest.mark.parametrize(
    ("act", "expected"),
    [
        ("use more memory than allowed", "ENOMEM"),
        ("write more than allowed", "EFBIG"),
        ("clone by a structure", "ENOSYS"),  # so that the C library takes clone, whose flags a filter can see
        ("read a file in a thread from before", "EPERM"),
        ("start a thread", "done"),
    ],
)
async def test_bounds_and_threads(captive: Encoders, pool: BufferPool, act: str, expected: str) -> None:
    assert await outcome(captive, pool, act) == expected


@pytest.mark.parametrize(
    ("act", "number"),
    [
        ("abort", signal.SIGABRT),
        pytest.param(
            "call as x32",
            signal.SIGSYS,
            marks=pytest.mark.skipif(platform.machine() != "x86_64", reason="a form of x86_64's calls"),
        ),
    ],
)
async def test_a_process_that_breaks_off_ends_at_once(
    captive: Encoders, pool: BufferPool, act: str, number: signal.Signals
) -> None:
    with capture_logs() as lines, pytest.raises(ServiceError) as died:
        await outcome(captive, pool, act)
    assert died.value.code == "compression_failed"
    assert [line["exit_code"] for line in lines if line["event"] == "encode process ended"] == [-number]


async def test_a_fault_of_ours_ends_a_locked_process_in_order(captive: Encoders, pool: BufferPool) -> None:
    with capture_logs() as lines, pytest.raises(ServiceError):
        await outcome(captive, pool, "fail")
    assert [line["exit_code"] for line in lines if line["event"] == "encode process ended"] == [1]


async def ready_pid(captive: Encoders, pool: BufferPool) -> int:
    await outcome(captive, pool, "start a thread")  # waits for the process, should it be a new one
    return captive.pids[0]


async def test_every_thread_is_filtered(captive: Encoders, pool: BufferPool) -> None:
    statuses = statuses_of_threads(await ready_pid(captive, pool))
    assert statuses
    for status in statuses:
        assert "Seccomp:\t2" in status, status
        assert "NoNewPrivs:\t1" in status, status


def statuses_of_threads(pid: int) -> list[str]:
    """What the kernel tells of each thread of a process that has not ended meanwhile."""
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(FileNotFoundError, ProcessLookupError):
            found.append((task / "status").read_text())
    return found


async def test_nothing_inherited_is_left_but_the_standard_streams(captive: Encoders, pool: BufferPool) -> None:
    opened = descriptors_of(await ready_pid(captive, pool))
    targets = [target for descriptor, target in opened.items() if descriptor > seccomp.STANDARD_ERROR]
    assert sorted({re.sub(r"[:[].*", "", target) for target in targets}) == ["/dev/null", "/memfd", "socket"]
    assert sum(target != os.devnull for target in targets) == 2


async def test_what_is_in_force_is_known_once_a_process_is_ready(captive: Encoders) -> None:
    assert captive.lockdown is not None
    assert captive.lockdown.seccomp
    assert captive.lockdown.landlock >= 0


def animation() -> bytes:
    file = io.BytesIO()
    frames = [photo(48, 32).rotate(angle) for angle in (0, 90, 180)]
    frames[0].save(file, "WEBP", save_all=True, append_images=frames[1:])
    return file.getvalue()


SOURCES = {
    "JPEG": encoded(photo(64, 48), "JPEG"),
    "JPEG with EXIF": encoded(photo(64, 48), "JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\0\0\0\0\0\0"),
    "CMYK": encoded(photo(64, 48).convert("CMYK"), "JPEG"),
    "PNG": encoded(photo(64, 48), "PNG"),
    "palette": encoded(photo(64, 48).quantize(16), "PNG"),
    "WebP": encoded(photo(64, 48), "WEBP"),
    "AVIF": encoded(photo(64, 48), "AVIF"),
}


@pytest.mark.parametrize("target", ["jpeg", "png", "webp", "avif"])
@pytest.mark.parametrize("quality", [None, 80])
async def test_a_locked_process_compresses(
    captive: Encoders, pool: BufferPool, target: str, quality: int | None
) -> None:
    restarts = captive.restarts
    for name, source in SOURCES.items():
        for strip in (True, False):
            asked = Options(format=target, quality=quality, strip_metadata=strip, max_width=40)  # type: ignore[arg-type]
            buffer = filled(pool, source)
            result = await captive.encode(buffer, asked)
            pool.take_back(buffer)
            assert opened(result.data).size == (40, 30), name
    assert captive.restarts == restarts


@pytest.mark.parametrize("quality", [None, 80])
async def test_a_locked_process_compresses_an_animation(
    captive: Encoders, pool: BufferPool, quality: int | None
) -> None:
    result = await captive.encode(filled(pool, animation()), Options(quality=quality))
    with Image.open(io.BytesIO(result.data)) as image:
        assert image.n_frames == 3  # type: ignore[attr-defined]


async def test_a_locked_process_reads_statements(captive: Encoders, pool: BufferPool) -> None:
    """Its parser of XMP is loaded before the locks."""
    packet = b'<x xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:creator>Ada</dc:creator></x>'
    source = filled(pool, encoded(photo(64, 48), "JPEG", xmp=packet))
    result = await captive.encode(source, Options(format="webp", quality=80, keep_copyright=True))
    assert opened(result.data).getexif()[0x013B] == "Ada"


#: Prints landlock's ABI, and what becomes of reading, connecting and signalling behind it.
BEHIND_LANDLOCK = """
import os, socket
from app.service.lockdown import kernel, landlock
connection = socket.socket()
assert kernel.forbid_new_privileges()
print(landlock.restrict())
acts = (
    lambda: os.open("/", os.O_RDONLY),
    lambda: connection.connect(("127.0.0.1", 9)),
    lambda: os.kill(os.getppid(), 0),
)
for act in acts:
    try:
        act()
        print("done")
    except OSError as error:
        print(type(error).__name__)
"""


def test_landlock_stands_without_seccomp() -> None:
    done = subprocess.run([sys.executable, "-c", BEHIND_LANDLOCK], capture_output=True, text=True, check=True)
    abi, *outcomes = done.stdout.split()
    if abi == "0":
        pytest.skip("this kernel has no landlock")
    since = (1, 4, 6)
    denied = [outcome for outcome, first in zip(outcomes, since, strict=True) if int(abi) >= first]
    assert set(denied) == {"PermissionError"}


def test_a_processor_without_a_table_has_no_filter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    assert not seccomp.restrict(control_fd=3, result_fd=4)


@pytest.mark.parametrize("missing", [Lockdown(landlock=0, seccomp=True), Lockdown(landlock=7, seccomp=False)])
def test_a_wall_that_is_missing_is_a_warning(missing: Lockdown) -> None:
    with capture_logs() as lines:
        encoders._report(missing)
    assert [line["log_level"] for line in lines] == ["warning"]


@pytest.mark.parametrize(
    ("column", "header"),
    [(0, "/usr/include/x86_64-linux-gnu/asm/unistd_64.h"), (1, "/usr/include/asm-generic/unistd.h")],
)
def test_system_calls_have_the_numbers_of_the_kernels_headers(column: int, header: str) -> None:
    if not Path(header).exists():
        pytest.skip("the kernel's headers are not installed")
    found = re.findall(r"#define __NR(?:3264)?_(\w+) (\d+)", Path(header).read_text())
    numbers = {name: int(number) for name, number in found}
    numbers.setdefault("newfstatat", numbers.get("fstatat", -1))
    for name, both in (seccomp.FREE | seccomp.CHECKED).items():
        assert numbers[name] == both[column], name
