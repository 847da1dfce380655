"""The CDN origin's share of `wiring`."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from redis.asyncio import Redis

from app.adapters.breaker import Breaker
from app.adapters.redis_cdn_accounts import RedisCdnAccounts
from app.adapters.redis_client import open_client
from app.adapters.redis_variants import RedisVariants
from app.api.cdn import CdnDoor
from app.ports.blobs import Blobs
from app.ports.cdn_accounts import CdnAccounts
from app.ports.jobs import Jobs
from app.ports.tracer import Tracer
from app.ports.variants import Variants
from app.service.buffers import BufferPool
from app.service.cdn.answers import Lives
from app.service.cdn.finishing import Finisher
from app.service.cdn.improving import Improver
from app.service.cdn.lifetimes import CacheTimes
from app.service.cdn.making import Maker
from app.service.cdn.memory import Memory
from app.service.cdn.orders import Orders
from app.service.cdn.origin import Origin
from app.service.cdn.serve import Cdn
from app.service.cdn.shelf import Shelf
from app.service.cdn.telling import Teller
from app.service.content_coding import PIECE_BYTES
from app.service.encoders import Encoders
from app.service.fetch import Fetcher
from app.service.slots import Slots
from app.settings import Settings

#: Sources under way at once in one process. Each takes memory up to its size; a slow one takes a place and no more.
_MOST_SOURCES: Final = 256
#: Their memory that stays warm between them, as far as pictures for the web want it.
_KEPT_SOURCES: Final = 16
_KEPT_SOURCE_BYTES: Final = 1024 * 1024
#: Variants that wait for each encode process with their sources.
_WAITING_PER_TURN: Final = 16
#: Nobody waits for the sweeper, nor for news, which are waited for for half a second.
_PATIENT_TIMEOUT_S: Final = 5.0


@dataclass(frozen=True)
class CdnParts:
    """What one event-loop process answers CDNs with."""

    accounts: CdnAccounts
    cdn: Cdn
    door: CdnDoor
    buffers: BufferPool
    listening: Redis

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Start what runs by itself, and end it."""
        try:
            async with self.cdn.running():
                yield
        finally:
            self.buffers.close()
            await self.listening.aclose()


def assemble_cdn(
    settings: Settings,
    redis: Redis,
    breaker: Breaker,
    jobs: Jobs,
    blobs: Blobs,
    encoders: Encoders,
    fetcher: Fetcher,
    *,
    processes: int,
    tracer: Tracer,
) -> CdnParts:
    """Make the parts; `redis` and `breaker` are those that requests wait for, `processes` are those of `encoders`."""
    listening = open_client(settings.redis_address, _PATIENT_TIMEOUT_S, max_in_flight=1)
    variants = RedisVariants(redis, listening, breaker, max_bytes=settings.cdn_cache_max_bytes)
    buffers = BufferPool(
        settings.max_bytes + PIECE_BYTES, most=_MOST_SOURCES, kept=_KEPT_SOURCES, kept_bytes=_KEPT_SOURCE_BYTES
    )
    shelf = Shelf(variants, blobs, Memory(settings.cdn_memory_bytes))
    lives = _lives(settings)
    teller, orders = Teller(shelf, lives), Orders(jobs, blobs, tracer=tracer)
    improver = Improver(
        _turns(max(1, processes - 1), settings), encoders, teller, orders, deadline_s=settings.cdn_deadline_ms / 1000
    )
    maker = Maker(
        Origin(fetcher, blobs, buffers, max_bytes=settings.max_bytes, most_of_account=_MOST_SOURCES // 2),
        _turns(processes, settings),
        encoders,
        shelf,
        teller,
        improver,
        orders,
        lives=lives,
    )
    cdn = Cdn(shelf, variants, maker)
    accounts = RedisCdnAccounts(redis, breaker)
    return CdnParts(accounts, cdn, CdnDoor(cdn, accounts, smart_distance=settings.smart_distance), buffers, listening)


def assemble_finisher(settings: Settings, variants: Variants, blobs: Blobs, encoders: Encoders) -> Finisher:
    """Make the worker's part, which answers nobody: its memory holds nothing."""
    return Finisher(Shelf(variants, blobs, Memory(0)), encoders, _lives(settings))


def _lives(settings: Settings) -> Lives:
    return Lives(
        CacheTimes(
            max_age_s=settings.cdn_max_age_s,
            s_maxage_s=settings.cdn_s_maxage_s,
            stale_while_revalidate_s=settings.cdn_stale_while_revalidate_s,
            stale_if_error_s=settings.cdn_stale_if_error_s,
            interim_s=settings.cdn_interim_s,
        ),
        settings.cdn_failure_s,
    )


def _turns(count: int, settings: Settings) -> Slots[int]:
    turns: Slots[int] = Slots(count=count, waiting_per_slot=_WAITING_PER_TURN, wait_timeout_s=settings.wait_timeout_s)
    for turn in range(count):
        turns.release(turn)
    return turns
