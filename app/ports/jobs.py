"""Jobs: what is kept of one, and the queue that they wait in."""

from collections.abc import Sequence
from typing import Final, Literal, Protocol

import msgspec

from pixels.formats import FormatName
from pixels.options import Options

Lane = Literal["paid", "free"]
State = Literal["processing", "complete", "failed"]
#: How long a result is kept, counted from completion.
KEEP_S: Final = 24 * 3600
#: How long the record of a job with an `order` is kept: nobody downloads anything, but who asks for the same meanwhile
#: is to learn that it failed.
KEEP_ORDER_S: Final = 600
#: A job whose worker died this many times has failed: it may be what killed them.
MOST_DELIVERIES: Final = 3
#: A worker tells this often that it is alive. Three times missed, and its jobs are another's.
HEARTBEAT_S: Final = 1.5
#: A worker announces itself this often; after three times missed, its slots no longer count.
ANNOUNCE_S: Final = 5.0


class Outcome(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a finished compression is: the facts that answers, `status` and webhooks tell."""

    size: int
    format: FormatName
    width: int
    height: int
    quality: int
    distance: float | None = None
    original_returned: bool = False


class Failure(msgspec.Struct, frozen=True):
    """Why a job failed: a code of the error table and a sentence."""

    code: str
    message: str


class Job(msgspec.Struct, frozen=True, omit_defaults=True):
    """One job.

    Attributes
    ----------
    id
        96 random bits, fit for URLs and names of blobs.
    original_size
        Bytes of the source.
    created, finished, expires
        Unix seconds; the last two are None while it is processing. At `expires` the record goes, then the blobs.
    source_parts
        Blobs `NAME/source.0`, `NAME/source.1` ... that hold the source; 0 where it never was in the store.
    content_key
        The same for the same source, parameters and encoder version within one account; empty: reuse is off.
    traceparent
        The span of the request that it came with, for those of its worker; empty where nothing is traced.
    order
        What is to be made of the source where that is no result to be downloaded, in the words of `service.cdn.orders`;
        empty for what customers send. Such a job's id is told to nobody, and `options` are those of its first encode.
    """

    id: str
    account: str
    lane: Lane
    options: Options
    original_size: int
    created: float
    source_parts: int = 0
    content_key: str = ""
    webhook_url: str = ""
    traceparent: str = ""
    order: bytes = b""
    state: State = "processing"
    finished: float | None = None
    expires: float | None = None
    outcome: Outcome | None = None
    failure: Failure | None = None


class Claim(msgspec.Struct, frozen=True):
    """A job that one worker has taken; `delivery` counts from 1. `token` is the queue's own name for the claim."""

    job: Job
    delivery: int
    token: int


class LaneState(msgspec.Struct, frozen=True):
    """How a lane stands at one moment.

    Attributes
    ----------
    depth
        Jobs that wait or run.
    running
        Of these, those that a worker has.
    held
        Jobs that are held back beside them, because their account has as many in the lanes as it may.
    oldest_s
        Seconds that the oldest job which nobody works on has been in the lane; 0 where there is none.
    """

    depth: int
    running: int
    held: int
    oldest_s: float


class JobsUnavailable(Exception):
    """The queue does not answer, or cannot keep what it was told."""


class Jobs(Protocol):
    """The queue and the records. Every method may raise JobsUnavailable."""

    async def reserve(self, *job_ids: str, for_s: float) -> None:
        """Promise that the blobs under `job_ids` are removed after `for_s` seconds, whatever becomes of this process.

        A later call moves the time, so that a slow upload can renew its promise. `submit` and `keep` replace it; once
        one of them has recorded a job, this changes nothing for it.
        """
        ...

    async def submit(self, job: Job) -> float:
        """Put a job in its lane; the same id twice is one job. On return a kill of the queue's server loses nothing.

        Where this raises JobsUnavailable the job may have been taken or not: to submit it again is safe.

        Returns
        -------
        float
            The seconds until it is expected to be complete; 0 where it is finished already.
        """
        ...

    async def keep(self, jobs: Sequence[Job]) -> None:
        """Record jobs that are finished already: `state`, `finished` and `outcome` or `failure` are set.

        Where it raises, some may have been recorded; to keep them again is safe.
        """
        ...

    async def find(self, job_id: str) -> Job | None:
        """Return a job; None for an id that is unknown or expired."""
        ...

    async def announce(self, worker: str, *, slots: int) -> None:
        """Tell, every `ANNOUNCE_S` seconds, that `worker` is there and runs `slots` jobs at once: estimates need it."""
        ...

    async def retire(self, worker: str) -> None:
        """Take the announcement back."""
        ...

    async def claim(self, worker: str, *, wait_s: float) -> Claim | None:
        """Take the next job, or one whose worker has gone silent; None when there is none for `wait_s` seconds.

        Paid goes before free, but every fifth job comes from free while there is one. An account has only so many jobs
        in the lanes at once, and as many orders; the rest are held back, in order, and others do not wait for them. A
        job that was delivered `MOST_DELIVERIES` times without an end is failed with ``compression_failed`` here, and
        never returned. A claim that is cancelled takes nothing.
        """
        ...

    async def extend(self, claim: Claim) -> bool:
        """Tell, every `HEARTBEAT_S` seconds, that the worker is alive; False where the claim has gone to another.

        True also once `finish` has ended the job under this claim.
        """
        ...

    async def finish(self, claim: Claim, end: Outcome | Failure, *, took_s: float) -> bool:
        """End a job, once: False where the claim has gone to another, and then nothing is changed.

        One atomic step writes the outcome, its expiry, the webhook to be sent and frees the lane; on return a kill of
        the queue's server loses nothing. Where this raises JobsUnavailable, to call it again is safe: a claim that has
        ended its job is told True.

        Parameters
        ----------
        took_s
            Seconds that the job held its worker's slot; estimates learn from it where `end` is an Outcome.
        """
        ...

    async def hand_back(self, claim: Claim) -> None:
        """Give a job back, unfinished, to be claimed at once; this delivery is not counted against it."""
        ...

    async def find_content(self, content_key: str) -> Job | None:
        """Return a complete job with this content key, if one is kept."""
        ...

    async def expired(self, *, most: int) -> list[str]:
        """Return ids whose blobs are to be removed now, leased to the caller for a minute."""
        ...

    async def forget(self, job_id: str) -> None:
        """Remove a record or the promise of `reserve`, after the blobs. A job under way is left alone."""
        ...

    async def depth(self) -> dict[Lane, int]:
        """Jobs held back, queued and running in each lane, exactly."""
        ...

    async def lanes(self) -> dict[Lane, LaneState]:
        """How each lane stands, exactly."""
        ...
