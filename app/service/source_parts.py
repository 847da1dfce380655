"""A large source on its way into the store, in parts as large as the buffer that it arrives in.

S3's own multipart uploads have parts of 5 MiB at least: a hundred uploads at once would hold 500 MiB. A part here is a
blob of its own and no larger than the one buffer that an upload has anyway, so that nothing is held twice.
"""

from contextlib import suppress
from typing import Final

from app.errors import unavailable
from app.ports.blobs import Blobs, BlobsUnavailable
from app.ports.jobs import Jobs, JobsUnavailable
from app.service import job_blobs

#: An upload that never becomes a job has its parts removed after this; each part that arrives renews it. Longer than
#: an upload takes by far, because Redis' clock may be set forward meanwhile.
_RESERVED_S: Final = 2 * 3600.0


class SourceParts:
    """Writes the parts of one job's source.

    Attributes
    ----------
    job_id
        Of the job that the upload becomes.
    count
        Parts written.
    """

    def __init__(self, blobs: Blobs, jobs: Jobs) -> None:
        self.job_id = job_blobs.new_id()
        self.count = 0
        self._is_kept = False
        self._blobs = blobs
        self._jobs = jobs

    async def put(self, data: memoryview) -> None:
        """Write the next part; `data` must stay as it is until this returns.

        Raises
        ------
        ServiceError
            503 `unavailable`: the store or the queue does not answer.
        """
        try:
            # Before the first byte: should this process die, somebody knows what to remove.
            await self._jobs.reserve(self.job_id, for_s=_RESERVED_S)
            await self._blobs.put(job_blobs.source_part(self.job_id, self.count), data)
        except (BlobsUnavailable, JobsUnavailable):
            raise unavailable() from None
        self.count += 1

    def keep(self) -> None:
        """Leave what was written to the job; from here on `discard` does nothing."""
        self._is_kept = True

    async def discard(self) -> None:
        """Remove what was written; what cannot be removed now, the sweeper removes later."""
        if self.count and not self._is_kept:
            self.count = 0
            with suppress(BlobsUnavailable, JobsUnavailable):
                await self._blobs.delete(self.job_id)
                await self._jobs.forget(self.job_id)
