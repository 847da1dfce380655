"""Orders: what is left to be made of a variant, as a job of the queue, so that the process can let go of its source."""

import time
from collections.abc import Sequence
from typing import Final, Literal

import msgspec
import structlog

from app.errors import ServiceError
from app.ports.blobs import Blobs, BlobsUnavailable
from app.ports.cdn_accounts import CdnAccount
from app.ports.jobs import Job, Jobs, JobsUnavailable, Lane
from app.ports.tracer import UNTRACED, Tracer
from app.service.buffers import SharedBuffer
from app.service.cdn.origin import SourceFacts, SourceFile
from app.service.cdn.recipe import Recipe
from app.service.cdn.work import Work
from app.service.source_parts import SourceParts
from pixels.formats import FormatName

_log = structlog.get_logger(__name__)
#: Nobody waits for it: what customers sent as paid jobs goes first.
_LANE: Final[Lane] = "free"
#: As long as so many wait in that lane, of whomever, processes finish what they began: each order lies in the store
#: with its source, and nothing else would bound that.
_MOST_WAITING: Final = 1000
#: What the store copies of a source at a time.
_PART_BYTES: Final = 2 * 1024 * 1024


class Order(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a worker has to know to make the final variant.

    Attributes
    ----------
    recipe
        Of its account, the name alone.
    key
        Of the variant.
    formats
        Those that are left, the quickest to encode first; at least one.
    interim_bytes
        What has to be undercut: the size of the best so far, which is kept as the interim answer.
    facts
        Of the source, whose bytes the job carries.
    since
        What was purged after it is not to be kept: see `Looked`.
    """

    recipe: Recipe
    key: str
    formats: tuple[FormatName, ...]
    interim_bytes: int
    facts: SourceFacts
    since: str


def draw_up(work: Work, source: SourceFile, formats: Sequence[FormatName], *, interim_bytes: int, since: str) -> Order:
    """Write down what is left of a work."""
    return Order(
        # Its origins are checked when somebody asks, and may be a hundred.
        recipe=msgspec.structs.replace(work.recipe, account=CdnAccount(work.account)),
        key=work.key,
        formats=tuple(formats),
        interim_bytes=interim_bytes,
        facts=source.facts,
        since=since,
    )


def read_order(job: Job) -> Order:
    """Read a job's order."""
    return msgspec.msgpack.decode(job.order, type=Order)


class Orders:
    """Submits orders, and tells what became of them."""

    def __init__(self, jobs: Jobs, blobs: Blobs, *, tracer: Tracer = UNTRACED) -> None:
        self._jobs = jobs
        self._blobs = blobs
        self._tracer = tracer

    def begin(self) -> SourceParts:
        """Name the job of an order that may be submitted."""
        return SourceParts(self._blobs, self._jobs)

    async def submit(self, parts: SourceParts, order: Order, source: SharedBuffer) -> bool:
        """Put the source into the store and the order into the queue; False where that cannot be done now."""
        first = order.formats[0]
        try:
            if (await self._jobs.depth())[_LANE] >= _MOST_WAITING:
                return False
            for start in range(0, source.size, _PART_BYTES):
                await parts.put(source.view()[start : start + _PART_BYTES])
            job = Job(
                id=parts.job_id,
                account=order.recipe.account.account,
                lane=_LANE,
                options=order.recipe.encode_options(first),
                original_size=source.size,
                created=time.time(),
                source_parts=parts.count,
                traceparent=self._tracer.context(),
                order=msgspec.msgpack.encode(order),
            )
            # Even where this fails, the job may have been taken. If it was not, the sweeper removes the parts.
            parts.keep()
            await self._jobs.submit(job)
        except (ServiceError, JobsUnavailable, BlobsUnavailable) as error:
            _log.warning("a variant is finished here, because it cannot be queued", key=order.key, reason=str(error))
            return False
        finally:
            await parts.discard()
        return True

    async def state(self, job_id: str) -> Literal["processing", "failed", "gone"]:
        """Tell what became of an order: ``gone`` where it has ended well, or nobody knows it."""
        try:
            job = await self._jobs.find(job_id)
        except JobsUnavailable:
            return "processing"  # and asked about again soon
        if job is None or job.state == "complete":
            return "gone"
        return job.state
