"""What POST /compress does once it has a source and its options: an answer at once, or a job."""

import math
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass

import msgspec

from app.errors import unavailable
from app.ports.blobs import BlobsUnavailable
from app.ports.jobs import Job, Jobs, JobsUnavailable, Lane, Outcome
from app.ports.meter import Stage
from app.ports.tracer import UNTRACED, Tracer
from app.service.encoders import Encoded, Encoders
from app.service.results import Results
from app.service.reuse import CacheState, Reuse
from app.service.upload import Upload
from pixels.options import JpegEncoder, Options


@dataclass(frozen=True, slots=True)
class Answer:
    """A result that is returned at once.

    Attributes
    ----------
    timings_ms
        By stage: queue, handover, decode, search, encode. Empty where nothing was encoded.
    cache
        How it came about; None where nothing is ever shared.
    """

    job: Job
    outcome: Outcome
    data: bytes
    timings_ms: Mapping[Stage, float]
    cache: CacheState | None


@dataclass(frozen=True, slots=True)
class Ticket:
    """A job that was taken, and the whole seconds until it is expected to be complete."""

    job: Job
    estimated_s: int
    cache: CacheState | None


class Compressor:
    """Compresses small sources at once, as many as there are encode processes, and queues large ones.

    Parameters
    ----------
    keeps_results
        Whether what was answered at once can be downloaded afterwards.
    keep_s
        How long, counted from completion.
    """

    def __init__(
        self,
        encoders: Encoders,
        jobs: Jobs,
        reuse: Reuse,
        results: Results,
        *,
        smart_distance: float,
        jpeg_encoder: JpegEncoder,
        keeps_results: bool,
        keep_s: float,
        tracer: Tracer = UNTRACED,
    ) -> None:
        self._tracer = tracer
        self._encoders = encoders
        self._jobs = jobs
        self._reuse = reuse
        self._results = results
        self._smart_distance = smart_distance
        self._jpeg_encoder = jpeg_encoder
        self._keeps_results = keeps_results
        self._keep_s = keep_s

    def expecting(self, account: str) -> AbstractContextManager[None]:
        """Raise 503 `overloaded` on entry while there is no room for `account`; to be held while its body comes."""
        return self._encoders.slots.expecting(account)

    async def compress(self, upload: Upload, options: Options, *, account: str, lane: Lane, keep: bool) -> Answer:
        """Compress a small source.

        Parameters
        ----------
        keep
            Keep the result even where the setting says that none is, and return when it is kept.

        Raises
        ------
        ServiceError
            413, 415, 422, 500 or 503, each with its reason.
        """
        job = self._make_job(upload, options, account, lane, webhook_url="")
        found = await self._reuse.find(job.content_key)
        if found is not None:
            answer = Answer(self._finish(job, found.outcome), found.outcome, found.data, {}, "hit")
        else:
            encoded, state = await self._reuse.share(job.content_key, lambda: self._encode(upload, job))
            outcome = outcome_of(encoded)
            cache = state if job.content_key else None
            answer = Answer(self._finish(job, outcome), outcome, encoded.data, encoded.stages_ms, cache)
        if self._keeps_results or keep:
            await self._results.keep(answer.job, answer.data, copy_of=found.job_id if found else None)
        if keep and not await self._results.written(answer.job.id):
            raise unavailable()
        return answer

    async def submit(self, upload: Upload, options: Options, *, account: str, lane: Lane, webhook_url: str) -> Ticket:
        """Make a job of a large source, which then is the job's.

        Raises
        ------
        ServiceError
            503 `unavailable`: the store or the queue does not answer.
        """
        await upload.finish()
        job = self._make_job(upload, options, account, lane, webhook_url)
        job = msgspec.structs.replace(job, traceparent=self._tracer.context())
        try:
            known = await self._jobs.find_content(job.content_key) if job.content_key else None
            # Even where this fails, the job may have been taken. If it was not, the sweeper removes the parts.
            upload.parts.keep()
            expected_s = await self._jobs.submit(job)
        except (JobsUnavailable, BlobsUnavailable):
            raise unavailable() from None
        cache: CacheState | None = None
        if job.content_key:
            cache = "hit" if known else "miss"
        return Ticket(job, math.ceil(expected_s), cache)

    async def _encode(self, upload: Upload, job: Job) -> Encoded:
        with upload.handed_over() as source:
            return await self._encoders.encode(source, job.options, account=job.account)

    def _finish(self, job: Job, outcome: Outcome) -> Job:
        now = time.time()
        return msgspec.structs.replace(job, state="complete", finished=now, expires=now + self._keep_s, outcome=outcome)

    def _make_job(self, upload: Upload, options: Options, account: str, lane: Lane, webhook_url: str) -> Job:
        options = msgspec.structs.replace(options, smart_distance=self._smart_distance, jpeg_encoder=self._jpeg_encoder)
        return Job(
            id=upload.parts.job_id,
            account=account,
            lane=lane,
            options=options,
            original_size=upload.size,
            created=time.time(),
            source_parts=upload.parts.count,
            content_key=self._reuse.key(account, upload.digest, options),
            webhook_url=webhook_url,
        )


def outcome_of(encoded: Encoded) -> Outcome:
    """Take from an encode what is kept of it."""
    facts = encoded.facts
    return Outcome(
        size=len(encoded.data),
        format=facts.format,
        width=facts.width,
        height=facts.height,
        quality=facts.quality,
        distance=facts.distance,
        original_returned=facts.original_returned,
    )
