"""The one place that chooses parts by the settings and puts them together."""

import hmac
import math
import os
import socket
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from redis.asyncio import Redis
from redis.exceptions import RedisError

from app.adapters.breaker import Breaker
from app.adapters.filesystem import FilesystemBlobs
from app.adapters.redis_cdn_accounts import RedisCdnAccounts
from app.adapters.redis_client import open_client
from app.adapters.redis_deliveries import RedisDeliveries
from app.adapters.redis_idempotency import RedisIdempotency
from app.adapters.redis_jobs import RedisJobs
from app.adapters.redis_keys import RedisKeys
from app.adapters.redis_limiter import RedisLimiter
from app.adapters.redis_variants import RedisVariants
from app.adapters.signed_links import SignedLinks
from app.api.compression import Compression
from app.api.form import PIECE_BYTES
from app.eyes import Eyes
from app.ports.blobs import Blobs, ServedBlobs
from app.ports.cdn_accounts import CdnAccounts
from app.ports.deliveries import Deliveries
from app.ports.jobs import Jobs
from app.ports.keys import Keys
from app.ports.limiter import Limiter
from app.service.buffers import BufferPool
from app.service.compress import Compressor
from app.service.courier import Courier
from app.service.desk import Desk
from app.service.encoders import Encoders
from app.service.fetch import Fetcher
from app.service.job_blobs import new_id
from app.service.once import Once
from app.service.outbound import Outbound
from app.service.readiness import Readiness
from app.service.results import Results
from app.service.reuse import Reuse
from app.service.runner import Runner
from app.service.source_parts import SourceParts
from app.service.sweeper import Sweeper
from app.service.system_memory import find_memory_bytes
from app.service.upload import Upload
from app.service.webhook import WebhookSender
from app.settings import Settings
from app.wiring_cdn import CdnParts, assemble_cdn, assemble_finisher

#: A loop costs about a sixth of the encoders' time on a plain JPEG, and far less on longer work (perf/README.md).
_CORES_PER_LOOP: Final = 8
#: Of the memory, for the pictures of an API or of a worker: both may run here, and beside them what they are made of.
_BUDGET_SHARE: Final = 3 / 8
#: Redis and the store have this long where a job hangs on them: a refusal must still reach the client within 2 s.
_JOBS_TIMEOUT_S: Final = 1.5
#: At the end, results that were answered have this long to be written.
_KEEPING_S: Final = 5.0
#: A worker has nobody waiting, and rides out more.
_WORKER_TIMEOUT_S: Final = 5.0


def api_workers(settings: Settings) -> int:
    """How many event-loop processes one host runs."""
    return settings.api_workers or math.ceil((os.cpu_count() or 1) / _CORES_PER_LOOP)


def encode_processes(settings: Settings) -> int:
    """How many encode processes each event-loop process runs."""
    return math.ceil((settings.encode_processes or os.cpu_count() or 1) / api_workers(settings))


def encode_budget_bytes(settings: Settings) -> int:
    """How much memory the pictures in all encode processes of an API, or of a worker, may take together."""
    return settings.encode_budget_bytes or int(_BUDGET_SHARE * find_memory_bytes())


@asynccontextmanager
async def open_keys(settings: Settings) -> AsyncGenerator[RedisKeys]:
    """Reach the keys alone, for the command line."""
    client = open_client(settings.redis_address, settings.redis_timeout_s)
    try:
        yield RedisKeys(client, Breaker(), settings.pepper())
    finally:
        await client.aclose()


@asynccontextmanager
async def open_cdn_accounts(settings: Settings) -> AsyncGenerator[CdnAccounts]:
    """Reach signing keys and CDN accounts alone, for the command line."""
    client = open_client(settings.redis_address, settings.redis_timeout_s)
    try:
        yield RedisCdnAccounts(client, Breaker())
    finally:
        await client.aclose()


@asynccontextmanager
async def open_deliveries(settings: Settings) -> AsyncGenerator[Deliveries]:
    """Reach the webhooks alone, for the command line."""
    client = open_client(settings.redis_address, _WORKER_TIMEOUT_S)
    try:
        yield RedisDeliveries(client, Breaker())
    finally:
        await client.aclose()


async def redis_answers(settings: Settings) -> bool:
    """Tell whether there is a Redis at the settings' address."""
    client = open_client(settings.redis_address, settings.redis_timeout_s)
    try:
        return await _answers(client)
    finally:
        await client.aclose()


def open_blobs(settings: Settings, timeout_s: float) -> Blobs:
    """Choose the store by the URL's scheme; where it is a folder, the service itself serves its links."""
    if settings.store_url.startswith("s3://"):
        # Costs a second and 40 MB where nobody needs it.
        from app.adapters.s3 import S3Blobs

        return S3Blobs(
            settings.store_url, endpoint=settings.s3_endpoint, region=settings.s3_region, timeout_s=timeout_s
        )
    # Of the pepper, so that all hosts of an installation have the same; and not the pepper itself.
    return FilesystemBlobs(settings.store_folder, SignedLinks(hmac.digest(settings.pepper(), b"links", "sha256")))


@dataclass(frozen=True)
class Parts:
    """What one event-loop process works with."""

    settings: Settings
    clients: tuple[Redis, ...]
    keys: Keys
    limiter: Limiter
    once: Once
    blobs: Blobs
    served_blobs: ServedBlobs | None
    buffers: BufferPool
    encoders: Encoders
    outbound: Outbound
    results: Results
    desk: Desk
    story: Compression
    readiness: Readiness
    cdn: CdnParts
    eyes: Eyes

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Start what runs by itself, and end it."""
        everything = _running(self.eyes, self.encoders, self.buffers, self.outbound, self.blobs, self.clients)
        async with everything, self.cdn.running():
            try:
                yield
            finally:
                await self.results.drain(within_s=_KEEPING_S)


def assemble(settings: Settings) -> Parts:
    """Make the parts of one event-loop process; nothing is started or connected yet."""
    redis, patient = (
        open_client(settings.redis_address, timeout_s) for timeout_s in (settings.redis_timeout_s, _JOBS_TIMEOUT_S)
    )
    breaker, patient_breaker = Breaker(), Breaker()
    eyes = Eyes(settings, "api")
    processes = encode_processes(settings)
    encoders = Encoders(
        processes=processes,
        waiting_per_slot=settings.waiting_per_slot,
        wait_timeout_s=settings.wait_timeout_s,
        deadline_s=settings.encode_deadline_s,
        memory_bytes=settings.encode_memory_bytes,
        budget_bytes=encode_budget_bytes(settings) // api_workers(settings),
        limits=settings.limits,
        meter=eyes.meter,
        tracer=eyes.tracer,
    )
    limiter = RedisLimiter(redis, breaker, shares=settings.api_replicas * api_workers(settings))
    blobs = open_blobs(settings, _JOBS_TIMEOUT_S)
    jobs = _jobs(patient, patient_breaker, settings)
    results = Results(jobs, blobs, most_bytes=settings.keeping_max_bytes)
    # Behind the short time-out: a request that could be answered without waits for Redis no longer than that.
    reuse = Reuse(_jobs(redis, breaker, settings), blobs, results, is_on=settings.reuse_results)
    compressor = Compressor(
        encoders,
        jobs,
        reuse,
        results,
        smart_distance=settings.smart_distance,
        jpeg_encoder=settings.jpeg_encoder,
        keeps_results=settings.keep_sync_results,
        keep_s=settings.result_ttl_s,
        tracer=eyes.tracer,
    )
    # As many warm buffers as can be encoding or waiting at once.
    buffers = BufferPool(
        settings.sync_max_bytes + PIECE_BYTES,
        most=settings.max_uploads,
        kept=processes * (1 + settings.waiting_per_slot),
    )

    def begin_upload() -> Upload:
        parts = SourceParts(blobs, jobs)
        return Upload(buffers, parts, sync_max_bytes=settings.sync_max_bytes, max_bytes=settings.max_bytes)

    outbound = Outbound()
    fetcher = Fetcher(outbound, max_bytes=settings.max_bytes, total_timeout_s=settings.fetch_timeout_s)
    desk = Desk(jobs, blobs, results)
    once = Once(RedisIdempotency(patient, patient_breaker))
    breakers = {"requests": breaker, "jobs": patient_breaker}
    eyes.watch(encoders=encoders, jobs=jobs, breakers=breakers, limiter=limiter, results=results)
    return Parts(
        settings=settings,
        clients=(redis, patient),
        keys=RedisKeys(redis, breaker, settings.pepper()),
        limiter=limiter,
        once=once,
        blobs=blobs,
        served_blobs=blobs if isinstance(blobs, FilesystemBlobs) else None,
        buffers=buffers,
        encoders=encoders,
        outbound=outbound,
        results=results,
        desk=desk,
        story=Compression(compressor, desk, once, limiter, fetcher, begin_upload, settings),
        readiness=Readiness(encoders, lambda: _answers(redis)),
        cdn=assemble_cdn(
            settings, redis, breaker, jobs, blobs, encoders, fetcher, processes=processes, tracer=eyes.tracer
        ),
        eyes=eyes,
    )


@dataclass(frozen=True)
class WorkerParts:
    """What a worker process works with.

    Attributes
    ----------
    name
        Unlike any other worker's, also that of one that ran here before.
    slots
        Jobs that it runs at once.
    """

    name: str
    slots: int
    client: Redis
    jobs: Jobs
    blobs: Blobs
    buffers: BufferPool
    encoders: Encoders
    outbound: Outbound
    runner: Runner
    courier: Courier
    sweeper: Sweeper
    variant_sweeper: Sweeper
    eyes: Eyes

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Start what runs by itself, and end it."""
        async with _running(self.eyes, self.encoders, self.buffers, self.outbound, self.blobs, (self.client,)):
            yield


def assemble_worker(settings: Settings) -> WorkerParts:
    """Make the parts of a worker; nothing is started or connected yet."""
    client, breaker = open_client(settings.redis_address, _WORKER_TIMEOUT_S), Breaker()
    slots = settings.worker_processes or os.cpu_count() or 1
    eyes = Eyes(settings, "worker")
    encoders = Encoders(
        processes=slots,
        waiting_per_slot=1,
        wait_timeout_s=settings.job_deadline_s,
        deadline_s=settings.job_deadline_s,
        memory_bytes=settings.encode_memory_bytes,
        budget_bytes=encode_budget_bytes(settings),
        limits=settings.job_limits,
        meter=eyes.meter,
        tracer=eyes.tracer,
    )
    jobs = _jobs(client, breaker, settings)
    blobs = open_blobs(settings, _WORKER_TIMEOUT_S)
    variants = RedisVariants(client, client, breaker, max_bytes=settings.cdn_cache_max_bytes)
    buffers = BufferPool(settings.max_bytes, most=slots, kept=slots)
    outbound = Outbound()
    keys = RedisKeys(client, breaker, settings.pepper())
    eyes.watch(encoders=encoders, jobs=jobs, breakers={"jobs": breaker})
    return WorkerParts(
        name=f"{socket.gethostname()}-{os.getpid()}-{new_id()}",
        slots=slots,
        client=client,
        jobs=jobs,
        blobs=blobs,
        buffers=buffers,
        encoders=encoders,
        outbound=outbound,
        runner=Runner(
            jobs,
            blobs,
            encoders,
            buffers,
            assemble_finisher(settings, variants, blobs, encoders).fulfil,
            is_reusing=settings.reuse_results,
            meter=eyes.meter,
            tracer=eyes.tracer,
        ),
        courier=Courier(
            RedisDeliveries(client, breaker),
            keys,
            WebhookSender(outbound),
            public_url=settings.link_base,
            meter=eyes.meter,
            tracer=eyes.tracer,
        ),
        sweeper=Sweeper(jobs, blobs, every_s=settings.sweep_s),
        variant_sweeper=Sweeper(variants, blobs, every_s=settings.sweep_s),
        eyes=eyes,
    )


@asynccontextmanager
async def _running(
    eyes: Eyes, encoders: Encoders, buffers: BufferPool, outbound: Outbound, blobs: Blobs, clients: Iterable[Redis]
) -> AsyncGenerator[None]:
    """Start and end what every process has."""
    try:
        await blobs.answers()  # connects
        await encoders.start()
        async with eyes.open():
            yield
    finally:
        encoders.close()
        buffers.close()
        await outbound.close()
        await blobs.close()
        for client in clients:
            await client.aclose()


def _jobs(client: Redis, breaker: Breaker, settings: Settings) -> RedisJobs:
    return RedisJobs(client, breaker, most_of_account=settings.account_jobs, keep_s=settings.result_ttl_s)


async def _answers(redis: Redis) -> bool:
    try:
        return bool(await redis.ping())
    except (RedisError, OSError):
        return False
