"""Keeps the results of answers that were given at once, behind the answer: each is a job that can be downloaded."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import structlog

from app.ports.blobs import BlobMissing, Blobs, BlobsUnavailable
from app.ports.jobs import Job, Jobs, JobsUnavailable
from app.service import job_blobs

#: Results that come within so long are written together: by itself, each would cost an answer a tenth of its time.
GATHER_S: Final = 0.04
#: A write that failed is tried again after these pauses.
_PAUSES_S: Final = (0.5, 2.0)
#: What was written and could not be recorded goes after this.
_RESERVED_S: Final = 3600.0
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class PendingResult:
    """A result that is being written, or is about to be.

    Attributes
    ----------
    copy_of
        The job that has the same result, in the store or about to be there.
    """

    job: Job
    data: bytes
    copy_of: str | None
    written: asyncio.Future[bool] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Results:
    """Writes results while the next requests are served.

    Parameters
    ----------
    most_bytes
        Results may wait in memory up to this size; beyond it, answers wait for room.
    writers
        Times that results are written at once.

    Attributes
    ----------
    lost
        Results that could not be kept, for a metric.
    """

    def __init__(self, jobs: Jobs, blobs: Blobs, *, most_bytes: int, writers: int = 8) -> None:
        self.lost = 0
        self._jobs = jobs
        self._blobs = blobs
        self._most_bytes = most_bytes
        self._waiting_bytes = 0
        self._room = asyncio.Condition()
        self._gate = asyncio.Semaphore(writers)
        self._is_failing = False
        self._pending: dict[str, PendingResult] = {}
        self._pending_contents: dict[str, PendingResult] = {}
        self._gathered: list[PendingResult] = []
        self._timer: asyncio.TimerHandle | None = None
        self._writes: set[asyncio.Task[None]] = set()

    async def keep(self, job: Job, data: bytes, *, copy_of: str | None = None) -> None:
        """Take a result to be written; waits while too much is waiting already.

        Where it is that of the job `copy_of`, the store is asked for a copy, which may cost it nothing.
        """
        if self._waiting_bytes and self._waiting_bytes + len(data) > self._most_bytes:
            async with self._room:
                # One that is larger than all room is taken when it is alone.
                await self._room.wait_for(
                    lambda: not self._waiting_bytes or self._waiting_bytes + len(data) <= self._most_bytes
                )
        self._waiting_bytes += len(data)
        result = self._pending[job.id] = PendingResult(job, data, copy_of)
        if job.content_key:
            self._pending_contents[job.content_key] = result
        self._gathered.append(result)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(GATHER_S, self._write_gathered)

    def find(self, job_id: str) -> Job | None:
        """Return a job whose result is being written."""
        found = self._pending.get(job_id)
        return found.job if found else None

    def find_content(self, content_key: str) -> PendingResult | None:
        """Return a result with this content key that is being written."""
        return self._pending_contents.get(content_key)

    async def written(self, job_id: str) -> bool:
        """Wait until the result is written, if it is being; False where it could not be."""
        found = self._pending.get(job_id)
        if found is None:
            return True
        self._write_gathered()
        return await asyncio.shield(found.written)

    async def drain(self, *, within_s: float) -> None:
        """Wait until everything is written; give up what is not by then."""
        self._write_gathered()
        if not self._writes:
            return
        _, late = await asyncio.wait(self._writes, timeout=within_s)
        if late:
            self.lost += len(self._pending)
            _log.error("results could not be kept in time", count=len(self._pending))
            for write in late:
                write.cancel()
            await asyncio.wait(late)

    def _write_gathered(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._gathered:
            write = asyncio.create_task(self._write(self._gathered))
            self._gathered = []
            self._writes.add(write)
            write.add_done_callback(self._writes.discard)

    async def _write(self, results: Sequence[PendingResult]) -> None:
        is_written = False
        try:
            async with self._gate:
                is_written = await self._try_to_write(results)
        finally:
            for result in results:
                del self._pending[result.job.id]
                if self._pending_contents.get(result.job.content_key) is result:
                    del self._pending_contents[result.job.content_key]
                result.written.set_result(is_written)
                self._waiting_bytes -= len(result.data)
            async with self._room:
                self._room.notify_all()

    async def _try_to_write(self, results: Sequence[PendingResult]) -> bool:
        # In an outage they get one try: others, and answers, would wait behind its pauses.
        for pause_s in (None,) if self._is_failing else (*_PAUSES_S, None):
            try:
                # First when they go, whatever happens then; and the records last: what is found can be downloaded.
                await self._jobs.reserve(*(result.job.id for result in results), for_s=_RESERVED_S)
                # The clients have them already: they need not wait for the disk too.
                await self._blobs.put_many(
                    {job_blobs.result(result.job.id): result.data for result in results if not await self._copy(result)}
                )
                await self._jobs.keep([result.job for result in results])
                self._is_failing = False
                return True
            except (JobsUnavailable, BlobsUnavailable) as error:
                if pause_s is not None:
                    await asyncio.sleep(pause_s)
                    continue
                # What was written all the same goes when it was said to.
                self.lost += len(results)
                self._is_failing = True
                for result in results:
                    _log.error("a result could not be kept", job=result.job.id, reason=str(error))
        return False

    async def _copy(self, result: PendingResult) -> bool:
        if result.copy_of is None:
            return False
        try:
            await self._blobs.copy(job_blobs.result(result.copy_of), job_blobs.result(result.job.id))
        except BlobMissing:
            return False
        return True
