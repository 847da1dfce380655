"""The pool of encode processes: real processes, killed and replaced for real."""

import asyncio
import os
import signal
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager

import msgspec
import pytest

from app.errors import ServiceError
from app.service.buffers import BufferPool, SharedBuffer
from app.service.encode_protocol import Done, Reply
from app.service.encoders import Encoders
from pixels.options import Limits, Options
from tests.whole.pictures import encoded, noise, opened, photo

pytestmark = pytest.mark.anyio
SMALL = encoded(photo(64, 48), "JPEG")
#: Takes any encoder longer than the shortest deadline below.
HEAVY = encoded(noise(800, 700), "PNG", compress_level=1)


@pytest.fixture(autouse=True)
async def guard(anyio_backend: str) -> AsyncGenerator[None]:
    """Let a test that waits in vain fail."""
    async with asyncio.timeout(180):
        yield


@pytest.fixture
def pool() -> Iterator[BufferPool]:
    with BufferPool(4 * 1024 * 1024, most=16, kept=4) as buffers:
        yield buffers


@asynccontextmanager
async def running(
    processes: int = 1, deadline_s: float = 120, wait_timeout_s: float = 30, **more: int
) -> AsyncGenerator[Encoders]:
    encoders = Encoders(
        processes=processes,
        waiting_per_slot=more.get("waiting_per_slot", 4),
        wait_timeout_s=wait_timeout_s,
        deadline_s=deadline_s,
        memory_bytes=more.get("memory_bytes", 3 << 30),
        budget_bytes=more.get("budget_bytes"),
        limits=Limits(),
    )
    try:
        await encoders.start()
        yield encoders
    finally:
        encoders.close()
        while encoders.alive:
            await asyncio.sleep(0.01)


def filled(pool: BufferPool, data: bytes) -> SharedBuffer:
    buffer = pool.lend()
    assert buffer is not None
    buffer.write(memoryview(data))
    return buffer


async def test_a_result_is_the_pipelines(pool: BufferPool) -> None:
    async with running() as encoders:
        result = await encoders.encode(filled(pool, SMALL), Options(format="webp", quality=80))
    assert opened(result.data).format == "WEBP"
    assert (result.facts.width, result.facts.height, result.facts.quality) == (64, 48, 80)


@pytest.mark.parametrize("target", ["jpeg", "png", "webp", "avif"])
async def test_the_deadline_kills_an_encode_in_any_format_and_frees_the_slot(pool: BufferPool, target: str) -> None:
    async with running(deadline_s=0.01) as encoders:
        with pytest.raises(ServiceError, match=r"longer than 0\.01 s") as late:
            await encoders.encode(filled(pool, HEAVY), Options(format=target, quality=90))  # type: ignore[arg-type]
        assert late.value.code == "compression_failed"
        encoders.deadline_s = 30
        assert (await encoders.encode(filled(pool, SMALL), Options(format="webp"))).data
        assert encoders.restarts == 1


async def test_a_process_that_is_killed_costs_its_own_job_only(pool: BufferPool) -> None:
    async with running(processes=2) as encoders:
        jobs = [
            asyncio.create_task(encoders.encode(filled(pool, HEAVY), Options(format="avif", quality=90))) for _ in "ab"
        ]
        await asyncio.sleep(0.3)
        os.kill(encoders.pids[0], signal.SIGKILL)
        outcomes = await asyncio.gather(*jobs, return_exceptions=True)
        assert [type(outcome).__name__ for outcome in outcomes].count("ServiceError") == 1
        assert (await encoders.encode(filled(pool, SMALL), Options())).data


async def test_an_idle_process_that_is_killed_is_replaced_before_the_next_job(pool: BufferPool) -> None:
    async with running() as encoders:
        [first] = encoders.pids
        os.kill(first, signal.SIGKILL)
        while encoders.pids in ([first], []):
            await asyncio.sleep(0.01)
        assert (await encoders.encode(filled(pool, SMALL), Options())).data


async def test_a_job_that_nobody_waits_for_any_more_is_ended(pool: BufferPool) -> None:
    async with running() as encoders:
        job = asyncio.create_task(encoders.encode(filled(pool, HEAVY), Options(format="avif", quality=90)))
        await asyncio.sleep(0.2)
        job.cancel()
        with pytest.raises(asyncio.CancelledError):
            await job
        assert (await encoders.encode(filled(pool, SMALL), Options())).data


async def test_signals_to_the_group_do_not_end_a_job(pool: BufferPool) -> None:
    async with running() as encoders:
        job = asyncio.create_task(encoders.encode(filled(pool, HEAVY), Options(format="webp", quality=90)))
        await asyncio.sleep(0.1)
        for number in (signal.SIGTERM, signal.SIGINT):
            os.kill(encoders.pids[0], number)
        assert (await job).data


async def test_an_image_error_keeps_its_kind(pool: BufferPool) -> None:
    async with running() as encoders:
        with pytest.raises(ServiceError) as broken:
            await encoders.encode(filled(pool, SMALL[: len(SMALL) // 2]), Options())
        assert broken.value.code == "decode_failed"
        assert encoders.restarts == 0


async def test_the_address_space_is_bounded(pool: BufferPool) -> None:
    """A picture within the pixel limit that needs more memory than allowed is refused, and the pool goes on."""
    async with running(memory_bytes=1 << 30, deadline_s=30) as encoders:
        huge = encoded(photo(64, 48).resize((7000, 7000)), "PNG", compress_level=9)
        with pytest.raises(ServiceError):
            await encoders.encode(filled(pool, huge), Options(format="avif", quality=90))
        assert (await encoders.encode(filled(pool, SMALL), Options())).data


#: Takes about 30 MiB, and not for long.
LARGE = encoded(photo(240, 160).resize((2400, 1600)), "JPEG")
#: One process may take half of it without asking: enough for `SMALL`, and not for `LARGE`.
TIGHT = 40 << 20


async def is_waiting(encoders: Encoders) -> None:
    while not encoders.memory.waiting:
        await asyncio.sleep(0.01)


async def test_a_picture_that_needs_more_memory_than_there_is_waits_while_others_go_on(pool: BufferPool) -> None:
    """It holds no slot meanwhile: the one process serves the others."""
    async with running(budget_bytes=TIGHT) as encoders:
        loan = await encoders.memory.borrow(encoders.memory.total_bytes)
        large = asyncio.create_task(encoders.encode(filled(pool, LARGE), Options(format="webp", quality=75)))
        await is_waiting(encoders)
        assert (await encoders.encode(filled(pool, SMALL), Options())).data
        assert not large.done()
        encoders.memory.give_back(loan)
        assert (await large).data
        assert encoders.memory.free_bytes == encoders.memory.total_bytes


async def test_a_wait_for_memory_is_no_part_of_the_deadline(pool: BufferPool) -> None:
    # Until the picture's header is read, on any machine.
    deadline_s = 2
    async with running(budget_bytes=TIGHT, deadline_s=deadline_s) as encoders:
        loan = await encoders.memory.borrow(encoders.memory.total_bytes)
        large = asyncio.create_task(encoders.encode(filled(pool, LARGE), Options(format="webp", quality=75)))
        await is_waiting(encoders)
        await asyncio.sleep(deadline_s)
        encoders.deadline_s = 30
        encoders.memory.give_back(loan)
        assert (await large).queue_ms >= deadline_s * 1e3
        assert encoders.restarts == 0


async def test_who_waits_too_long_for_memory_is_told_to_come_back(pool: BufferPool) -> None:
    async with running(budget_bytes=TIGHT, wait_timeout_s=0.5) as encoders:
        await encoders.memory.borrow(encoders.memory.total_bytes)
        with pytest.raises(ServiceError) as refused:
            await encoders.encode(filled(pool, LARGE), Options(format="webp", quality=75))
        assert refused.value.code == "overloaded"
        assert int(refused.value.headers["Retry-After"]) >= 1
        assert encoders.slots.idle == 1


async def test_what_the_budget_can_never_hold_is_too_large(pool: BufferPool) -> None:
    huge = encoded(photo(64, 48).resize((3000, 2000)), "PNG")
    async with running(budget_bytes=TIGHT) as encoders:
        with pytest.raises(ServiceError) as refused:
            await encoders.encode(filled(pool, huge), Options(format="avif", quality=90))
        assert refused.value.code == "image_too_large"
        assert encoders.restarts == 0
        assert (await encoders.encode(filled(pool, huge), Options(format="jpeg", quality=90, max_width=300))).data


@pytest.mark.parametrize("end", ["killed", "cancelled", "cancelled while it waited"])
async def test_memory_comes_back_from_a_job_that_did_not_end_well(pool: BufferPool, end: str) -> None:
    async with running(budget_bytes=TIGHT) as encoders:
        total = encoders.memory.total_bytes
        held = await encoders.memory.borrow(total if end == "cancelled while it waited" else 0)
        job = asyncio.create_task(encoders.encode(filled(pool, LARGE), Options(format="webp", quality=75)))
        while encoders.memory.free_bytes == total or (held.bytes and not encoders.memory.waiting):
            await asyncio.sleep(0.005)
        if end == "killed":
            os.kill(encoders.pids[0], signal.SIGKILL)
        else:
            job.cancel()
        with pytest.raises((ServiceError, asyncio.CancelledError)):
            await job
        encoders.memory.give_back(held)
        assert (await encoders.encode(filled(pool, LARGE), Options(format="webp", quality=75))).data
        assert encoders.memory.free_bytes == total


def test_a_buffer_pool_lends_no_more_than_its_bound_and_takes_back() -> None:
    with BufferPool(1024, most=2, kept=1) as pool:
        first, second = pool.lend(), pool.lend()
        assert first is not None
        assert second is not None
        assert pool.lend() is None
        first.write(memoryview(b"abc"))
        pool.take_back(first)
        again = pool.lend()
        assert again is first
        assert again.size == 0
        with pytest.raises(ValueError, match="do not fit"):
            again.write(memoryview(bytes(2000)))
        pool.take_back(again)
        pool.take_back(second)


@pytest.mark.parametrize("told", [float("nan"), float("inf"), -1.0])
@pytest.mark.parametrize("name", ["distance", "decode_ms", "search_ms", "encode_ms"])
def test_what_is_no_amount_is_no_answer_of_an_encode_process(name: str, told: float) -> None:
    """A process that says so is killed: the number would be in every sum of the metrics from then on."""
    done = Done(1, "webp", 1, 1, 80, False, 1.2, 1.0, 1.0, 1.0)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(done), type=Reply) == done
    with pytest.raises(msgspec.ValidationError):
        msgspec.msgpack.decode(msgspec.msgpack.encode(msgspec.structs.replace(done, **{name: told})), type=Reply)
