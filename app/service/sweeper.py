"""Removes what has expired: the blobs first, then the record, so that neither is left without the other."""

import asyncio
from typing import Final

import structlog

from app.ports.blobs import Blobs, BlobsUnavailable
from app.ports.jobs import Jobs, JobsUnavailable

_log = structlog.get_logger(__name__)
_BATCH: Final = 100


class Sweeper:
    """Sweeps every `every_s` seconds; any number of processes run one each."""

    def __init__(self, jobs: Jobs, blobs: Blobs, *, every_s: float) -> None:
        self._jobs = jobs
        self._blobs = blobs
        self._every_s = every_s

    async def run(self) -> None:
        """Sweep until cancelled."""
        while True:
            try:
                swept = await self.sweep()
            except (BlobsUnavailable, JobsUnavailable) as error:
                _log.warning("sweep failed", reason=str(error))
                swept = 0
            if swept < _BATCH:
                await asyncio.sleep(self._every_s)

    async def sweep(self) -> int:
        """Remove what is due, a batch at most; tell how many jobs that was.

        Raises
        ------
        BlobsUnavailable, JobsUnavailable
            What was not removed is due again in a minute.
        """
        ids = await self._jobs.expired(most=_BATCH)
        for job_id in ids:
            await self._blobs.delete(job_id)
            await self._jobs.forget(job_id)
        return len(ids)
