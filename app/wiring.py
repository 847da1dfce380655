"""The one place that chooses parts by the settings and puts them together."""

import math
import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from redis.asyncio import Redis
from redis.exceptions import RedisError

from app.adapters.breaker import Breaker
from app.adapters.redis_client import open_client
from app.adapters.redis_keys import RedisKeys
from app.adapters.redis_limiter import RedisLimiter
from app.ports.keys import Keys
from app.ports.limiter import Limiter
from app.service.buffers import BufferPool
from app.service.compress import Compressor
from app.service.encoders import Encoders
from app.service.readiness import Readiness
from app.settings import Settings

#: A loop costs about a sixth of the encoders' time on a plain JPEG, and far less on longer work (perf/README.md).
_CORES_PER_LOOP = 8


def api_workers(settings: Settings) -> int:
    """How many event-loop processes one host runs."""
    return settings.api_workers or math.ceil((os.cpu_count() or 1) / _CORES_PER_LOOP)


def encode_processes(settings: Settings) -> int:
    """How many encode processes each event-loop process runs."""
    return math.ceil((settings.encode_processes or os.cpu_count() or 1) / api_workers(settings))


@asynccontextmanager
async def open_keys(settings: Settings) -> AsyncGenerator[RedisKeys]:
    """Reach the keys alone, for the command line."""
    client = open_client(settings.redis_address, settings.redis_timeout_s)
    try:
        yield RedisKeys(client, Breaker(), settings.pepper())
    finally:
        await client.aclose()


async def redis_answers(settings: Settings) -> bool:
    """Tell whether there is a Redis at the settings' address."""
    client = open_client(settings.redis_address, settings.redis_timeout_s)
    try:
        return await _answers(client)
    finally:
        await client.aclose()


@dataclass(frozen=True)
class Parts:
    """What one event-loop process works with."""

    settings: Settings
    redis: Redis
    keys: Keys
    limiter: Limiter
    buffers: BufferPool
    encoders: Encoders
    compressor: Compressor
    readiness: Readiness

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Start what runs by itself, and end it."""
        try:
            await self.encoders.start()
            yield
        finally:
            self.encoders.close()
            self.buffers.close()
            await self.redis.aclose()


def assemble(settings: Settings) -> Parts:
    """Make the parts of one event-loop process; nothing is started or connected yet."""
    redis = open_client(settings.redis_address, settings.redis_timeout_s)
    breaker = Breaker()
    processes = encode_processes(settings)
    encoders = Encoders(
        processes=processes,
        waiting_per_slot=settings.waiting_per_slot,
        wait_timeout_s=settings.wait_timeout_s,
        deadline_s=settings.encode_deadline_s,
        memory_bytes=settings.encode_memory_bytes,
        limits=settings.limits,
    )
    return Parts(
        settings=settings,
        redis=redis,
        keys=RedisKeys(redis, breaker, settings.pepper()),
        limiter=RedisLimiter(redis, breaker, shares=settings.api_replicas * api_workers(settings)),
        # As many warm buffers as can be encoding or waiting at once.
        buffers=BufferPool(
            settings.sync_max_bytes, most=settings.max_uploads, kept=processes * (1 + settings.waiting_per_slot)
        ),
        encoders=encoders,
        compressor=Compressor(encoders, smart_distance=settings.smart_distance),
        readiness=Readiness(encoders, lambda: _answers(redis)),
    )


async def _answers(redis: Redis) -> bool:
    try:
        return bool(await redis.ping())
    except (RedisError, OSError):
        return False
