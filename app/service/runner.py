"""Runs a job that a worker has claimed: the source from the store, through an encode process, the result back."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Final, cast

import structlog

from app.errors import ServiceError
from app.ports.blobs import BlobMissing, Blobs, BlobsUnavailable
from app.ports.jobs import HEARTBEAT_S, Claim, Failure, Job, Jobs, JobsUnavailable, Outcome
from app.ports.meter import HANDED_BACK, LOST, UNCOUNTED, Meter
from app.ports.tracer import UNTRACED, Tracer
from app.service import job_blobs
from app.service.buffers import BufferPool, SharedBuffer
from app.service.compress import outcome_of
from app.service.encoders import Encoders

_log = structlog.get_logger(__name__)
#: What the store or the queue refused is tried again after this pause, while the claim holds.
_PAUSE_S: Final = 0.5
#: Fulfils a job's order, of the source that the buffer holds; raises what `Runner` knows to handle: `ServiceError`,
#: BlobsUnavailable, JobsUnavailable.
Fulfil = Callable[[Job, SharedBuffer], Awaitable[Outcome]]
_LOST: Final = Failure("compression_failed", "The uploaded file was lost. Send it again.")


class _ClaimLost(Exception):
    """The job is another worker's by now."""


class Runner:
    """Runs jobs, each in an encode process of its own; any number at once.

    Parameters
    ----------
    buffers
        Each holds the largest source.
    fulfil
        What jobs with an order are handed to; it keeps what it makes.
    is_reusing
        Whether a result with the same content key serves.
    """

    def __init__(
        self,
        jobs: Jobs,
        blobs: Blobs,
        encoders: Encoders,
        buffers: BufferPool,
        fulfil: Fulfil,
        *,
        is_reusing: bool = True,
        meter: Meter = UNCOUNTED,
        tracer: Tracer = UNTRACED,
    ) -> None:
        self._tracer = tracer
        self._jobs = jobs
        self._blobs = blobs
        self._encoders = encoders
        self._buffers = buffers
        self._fulfil = fulfil
        self._is_reusing = is_reusing
        self._meter = meter
        #: By content key: jobs whose twins wait for their result.
        self._under_way: dict[str, asyncio.Event] = {}

    async def run(self, claim: Claim) -> None:
        """Bring a job to its end, whatever that is.

        A claim that is lost is dropped: the job has gone to another. On cancellation the job is handed back.
        """
        job, outcome = claim.job, LOST
        waited_s, taken = time.time() - job.created, time.monotonic()
        with self._tracer.span("job", kind="consumer", parent=job.traceparent) as span:
            try:
                outcome = await self._run(claim)
            except asyncio.CancelledError:
                outcome = HANDED_BACK
                raise
            finally:
                self._meter.count_job(job.lane, outcome, waited_s=waited_s, took_s=time.monotonic() - taken)
                span.note("compressorize.job_id", job.id)
                span.note("compressorize.outcome", outcome)

    async def _run(self, claim: Claim) -> str:
        """Bring a job to its end; tell which."""
        try:
            async with self._held(claim), self._leading(claim.job):
                begun = time.monotonic()
                end = await self._end(claim.job)
                while True:
                    try:
                        is_ours = await self._jobs.finish(claim, end, took_s=time.monotonic() - begun)
                        break
                    except JobsUnavailable:
                        await asyncio.sleep(_PAUSE_S)
        except _ClaimLost:
            _log.warning("job lost to another worker", job=claim.job.id)
            return LOST
        except asyncio.CancelledError:
            with suppress(JobsUnavailable):
                await self._jobs.hand_back(claim)
            raise
        if not is_ours:
            return LOST
        _log.info("job ended", job=claim.job.id, delivery=claim.delivery, end=type(end).__name__.lower())
        await self._delete_source(claim.job)
        return end.code if isinstance(end, Failure) else "complete"

    @asynccontextmanager
    async def _held(self, claim: Claim) -> AsyncIterator[None]:
        """Keep a claim alive, and end the work when it is lost."""
        work = cast("asyncio.Task[None]", asyncio.current_task())
        is_lost = False

        async def beat() -> None:
            nonlocal is_lost
            while True:
                await asyncio.sleep(HEARTBEAT_S)
                with suppress(JobsUnavailable):
                    if not await self._jobs.extend(claim):
                        is_lost = True
                        work.cancel()
                        return

        heart = asyncio.create_task(beat())
        try:
            yield
        except asyncio.CancelledError:
            if is_lost:
                work.uncancel()
                raise _ClaimLost from None
            raise
        finally:
            heart.cancel()

    @asynccontextmanager
    async def _leading(self, job: Job) -> AsyncIterator[None]:
        """Hold up jobs with the same content key until this one's end is told, so that they find its result."""
        while (twin := self._under_way.get(job.content_key)) is not None:
            await twin.wait()
        ended = asyncio.Event()
        if job.content_key and self._is_reusing:
            self._under_way[job.content_key] = ended
        try:
            yield
        finally:
            self._under_way.pop(job.content_key, None)
            ended.set()

    async def _end(self, job: Job) -> Outcome | Failure:
        while True:
            try:
                return await self._reuse(job) or await self._compress(job)
            except (BlobsUnavailable, JobsUnavailable):
                # No fault of the job's: it stays ours until the store is back.
                await asyncio.sleep(_PAUSE_S)
            except BlobMissing:
                return _LOST
            except ServiceError as error:
                if error.code == "overloaded":
                    await asyncio.sleep(_PAUSE_S)
                    continue
                return Failure(error.code, error.message)

    async def _reuse(self, job: Job) -> Outcome | None:
        """Take over a result with the same content key, if there is one."""
        if not job.content_key or not self._is_reusing:
            return None
        known = await self._jobs.find_content(job.content_key)
        if known is None or known.outcome is None or known.id == job.id:
            return None
        try:
            await self._blobs.copy(job_blobs.result(known.id), job_blobs.result(job.id))
        except BlobMissing:
            return None
        return known.outcome

    async def _compress(self, job: Job) -> Outcome:
        buffer = self._buffers.lend()
        if buffer is None:
            raise ServiceError("overloaded", "There is no memory for the source.")
        try:
            await self._load(job, buffer)
            if job.order:
                return await self._fulfil(job, buffer)
            encoded = await self._encoders.encode(buffer, job.options, account=job.account)
            await self._blobs.put(job_blobs.result(job.id), encoded.data)
            return outcome_of(encoded)
        finally:
            self._buffers.take_back(buffer)

    async def _load(self, job: Job, buffer: SharedBuffer) -> None:
        for number in range(job.source_parts):
            async for chunk in self._blobs.read(job_blobs.source_part(job.id, number)):
                buffer.write(memoryview(chunk))

    async def _delete_source(self, job: Job) -> None:
        # What cannot be deleted now goes with the result.
        with suppress(BlobsUnavailable):
            for number in range(job.source_parts):
                await self._blobs.delete(job_blobs.source_part(job.id, number))
