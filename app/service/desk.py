"""Where clients ask after jobs: those that are queued, and the results that were given at once."""

import asyncio
import time
from typing import Final

from app.errors import ServiceError, unavailable
from app.ports.blobs import BlobLink, BlobMissing, Blobs, BlobsUnavailable
from app.ports.jobs import Job, Jobs, JobsUnavailable
from app.service import job_blobs
from app.service.results import GATHER_S, Results
from pixels.formats import FORMATS

#: A link is good for so long, or for as long as the result is.
LINK_S = 3600
#: What another process has just answered is not recorded yet.
_SECOND_LOOK_S: Final = 3 * GATHER_S


class Desk:
    """Finds jobs for the account that they belong to."""

    def __init__(self, jobs: Jobs, blobs: Blobs, results: Results) -> None:
        self._jobs = jobs
        self._blobs = blobs
        self._results = results

    async def find(self, job_id: str, account: str) -> Job:
        """Return a job.

        Raises
        ------
        ServiceError
            404 `not_found`: there is none, it has expired, or it is somebody else's. 503 `unavailable`.
        """
        try:
            for pause_s in (0, _SECOND_LOOK_S):
                await asyncio.sleep(pause_s)
                job = self._results.find(job_id) or await self._jobs.find(job_id)
                # Of an order nobody was told the id, and there is nothing to download.
                if job is not None and job.account == account and not job.order:
                    return job
        except JobsUnavailable:
            raise unavailable() from None
        raise ServiceError("not_found", "There is no such job, or it has expired.")

    async def link(self, job: Job) -> str:
        """Make a URL from which the result can be downloaded for a while.

        Raises
        ------
        ServiceError
            422 `not_ready`: there is no result, or not yet. 503 `unavailable`.
        """
        if job.outcome is None:
            why = "failed" if job.state == "failed" else "is not complete yet"
            raise ServiceError("not_ready", f"There is nothing to download: the job {why}.")
        await self._results.written(job.id)
        kind = FORMATS[job.outcome.format]
        left_s = LINK_S if job.expires is None else int(job.expires - time.time())
        link = BlobLink(kind.media_type, f"compressed.{kind.extension}")
        try:
            return await self._blobs.link(job_blobs.result(job.id), link, valid_s=max(1, min(LINK_S, left_s)))
        except BlobsUnavailable:
            raise unavailable() from None

    async def read(self, job: Job) -> bytes | None:
        """Return a result's bytes; None where they have gone.

        Raises
        ------
        ServiceError
            503 `unavailable`.
        """
        await self._results.written(job.id)
        try:
            return await job_blobs.read_result(self._blobs, job.id)
        except BlobMissing:
            return None
        except BlobsUnavailable:
            raise unavailable() from None
