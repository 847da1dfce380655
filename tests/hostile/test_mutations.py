"""Damaged images through the pool of encode processes: a documented answer each, and no process lost uncounted.

300 of them in a usual run; with FUZZ_S set, 5,000. `damaged(format, number)` makes one that failed again.
"""

import asyncio
import os
import random
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest

from app.api.openapi import COMPRESS_CODES
from app.errors import ServiceError
from app.service.buffers import BufferPool
from app.service.encoders import Encoders
from pixels.options import Limits, Options
from pixels.sniff import sniff
from tests.hostile.mutations import FORMATS, MOST_DEATHS_PER, damaged, is_whole, sources

pytestmark = pytest.mark.anyio
#: Damaged files of each format.
COUNT = 1250 if os.environ.get("FUZZ_S") else 75
#: An encode that is killed: far longer than any of these small files takes, so that a loop shows.
DEADLINE_S = 60


class Pool:
    """One encode process, and the buffer through which it gets its files."""

    def __init__(self, buffers: BufferPool, encoders: Encoders) -> None:
        self.encoders = encoders
        self._buffers = buffers

    async def encode(self, data: bytes, options: Options) -> tuple[str, bytes]:
        """Return the format and bytes of a result, or the code of a refusal and its message."""
        buffer = self._buffers.lend()
        assert buffer is not None
        buffer.write(memoryview(data))
        try:
            result = await self.encoders.encode(buffer, options)
        except ServiceError as error:
            return error.code, error.message.encode()
        finally:
            self._buffers.take_back(buffer)
        return result.facts.format, result.data


@asynccontextmanager
async def running() -> AsyncGenerator[Pool]:
    encoders = Encoders(
        processes=1,
        waiting_per_slot=4,
        wait_timeout_s=90,
        deadline_s=DEADLINE_S,
        memory_bytes=3 << 30,
        limits=Limits(search_s=1),
    )
    with BufferPool(1024 * 1024, most=1, kept=1) as buffers:
        try:
            await encoders.start()
            yield Pool(buffers, encoders)
        finally:
            encoders.close()
            while encoders.alive:
                await asyncio.sleep(0.01)


def options_for(name: str, number: int) -> Options:
    """Choose what is asked of a damaged file: half of the time its own format, at times each way through."""
    chance = random.Random(number)  # noqa: S311 - the same in every run
    return Options(
        format=chance.choice(("auto", name, *FORMATS)),
        quality=chance.choice((None, 40, 80, 80, 100)),
        max_width=chance.choice((None, None, 20)),
        strip_metadata=chance.random() < 0.7,
    )


@pytest.mark.parametrize("name", FORMATS)
async def test_a_damaged_image_costs_one_documented_answer(name: str) -> None:
    told: Counter[str] = Counter()
    async with running() as pool:
        for number in range(COUNT):
            kind, data = await pool.encode(damaged(name, number), options_for(name, number))
            shown = f"damaged({name!r}, {number}): {kind} {data[:200]!r}"
            if kind in FORMATS:
                found = sniff(data)
                assert found is not None, shown
                assert found.format == kind, shown
            else:
                assert kind in COMPRESS_CODES, shown
                assert data.decode().isprintable(), shown
            assert kind != "overloaded", shown
            told["made" if kind in FORMATS else kind] += 1
        assert pool.encoders.restarts == told["compression_failed"] <= COUNT // MOST_DEATHS_PER, told
        for whole in sources(name):
            kind, data = await pool.encode(whole, Options(quality=60))
            assert kind == name
            assert is_whole(data)
    print(f"\n{name}: {dict(told)}")  # noqa: T201 - with -s, what came of it
    # Damage that is always refused at the door, or that never shows, would try no decoder.
    assert told["made"] > COUNT // 50, told
    assert told["decode_failed"] > COUNT // 10, told
