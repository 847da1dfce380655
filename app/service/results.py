"""Keeps the results of answers that were given at once, behind the answer: each is a job that can be downloaded."""

import asyncio

import structlog

from app.ports.blobs import BlobMissing, Blobs, BlobsUnavailable
from app.ports.jobs import Job, Jobs, JobsUnavailable
from app.service import job_blobs

_log = structlog.get_logger(__name__)
#: A write that failed is tried again after these pauses.
_PAUSES_S = (0.5, 2.0)


class Results:
    """Writes results while the next requests are served.

    Parameters
    ----------
    most_bytes
        Results may wait in memory up to this size; beyond it, answers wait for room.
    writers
        Results written at once.

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
        self._pending: dict[str, tuple[Job, asyncio.Task[bool]]] = {}

    async def keep(self, job: Job, data: bytes, *, copy_of: str | None = None) -> None:
        """Take a result to be written; waits while too much is waiting already.

        Where it is that of the job `copy_of`, the store is asked for a copy, which may cost it nothing.
        """
        async with self._room:
            # One that is larger than all room is taken when it is alone.
            await self._room.wait_for(
                lambda: not self._waiting_bytes or self._waiting_bytes + len(data) <= self._most_bytes
            )
            self._waiting_bytes += len(data)
        self._pending[job.id] = job, asyncio.create_task(self._write(job, data, copy_of))

    def find(self, job_id: str) -> Job | None:
        """Return a job whose result is being written."""
        found = self._pending.get(job_id)
        return found[0] if found else None

    async def written(self, job_id: str) -> bool:
        """Wait until the result is written, if it is being; False where it could not be."""
        found = self._pending.get(job_id)
        return found is None or await asyncio.shield(found[1])

    async def drain(self, *, within_s: float) -> None:
        """Wait until everything is written; give up what is not by then."""
        if not self._pending:
            return
        _, late = await asyncio.wait([task for _, task in self._pending.values()], timeout=within_s)
        for task in late:
            task.cancel()
        self.lost += len(late)
        if late:
            _log.error("results could not be kept in time", count=len(late))
            await asyncio.wait(late)

    async def _write(self, job: Job, data: bytes, copy_of: str | None) -> bool:
        try:
            async with self._gate:
                # In an outage each gets one try: the others, and answers, would wait behind its pauses.
                for pause_s in (None,) if self._is_failing else (*_PAUSES_S, None):
                    try:
                        # The record first: it has the date when the blob goes.
                        await self._jobs.keep(job)
                        if copy_of is None or not await self._copy(copy_of, job.id):
                            # The client has it already: it need not wait for the disk too.
                            await self._blobs.put(job_blobs.result(job.id), data, durable=False)
                        self._is_failing = False
                        return True
                    except (JobsUnavailable, BlobsUnavailable) as error:
                        if pause_s is None:
                            await self._give_up(job, error)
                        else:
                            await asyncio.sleep(pause_s)
                return False
        finally:
            del self._pending[job.id]
            async with self._room:
                self._waiting_bytes -= len(data)
                self._room.notify_all()

    async def _copy(self, source_id: str, job_id: str) -> bool:
        try:
            await self._blobs.copy(job_blobs.result(source_id), job_blobs.result(job_id))
        except BlobMissing:
            return False
        return True

    async def _give_up(self, job: Job, error: Exception) -> None:
        self.lost += 1
        self._is_failing = True
        _log.error("a result could not be kept", job=job.id, reason=str(error))
        try:
            await self._jobs.forget(job.id)
        except JobsUnavailable:
            return
