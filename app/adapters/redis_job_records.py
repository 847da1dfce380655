"""What is kept of jobs in Redis, and when it goes.

| key of Redis | holds |
| --- | --- |
| `{cz}:job:ID` | hash: `job`, as submitted; `end`, `finished`, `expires`; `entry`, `token`, `worker` are the queue's |
| `{cz}:jobs:due` | sorted set: job ID by when its blobs go |
| `{cz}:content:KEY` | string: ID of the complete job with that content key |

Redis itself removes a record, and the content key that leads to it, when the job expires. Times in Redis are Unix
milliseconds of its own clock.
"""

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from redis.asyncio import Redis

from app.adapters.asking_redis import ROOT, asking_redis, to_ms
from app.adapters.breaker import Breaker
from app.adapters.redis_client import read_script
from app.ports.jobs import KEEP_S, Failure, Job, Outcome

#: Fields of a record, or of a webhook's copy of it, that `decode_job` reads.
JOB_FIELDS: Final = ("job", "end", "finished", "expires")

_DUE: Final = ROOT + "jobs:due"
#: Whoever removes blobs gets this long, until another tries.
_SWEEP_LEASE_S: Final = 60.0


class _End(msgspec.Struct, frozen=True, omit_defaults=True):
    outcome: Outcome | None = None
    failure: Failure | None = None


class RedisJobRecords:
    """The records of `Jobs` in Redis.

    Parameters
    ----------
    breaker
        Shared with whatever else asks the same Redis.
    keep_s
        How long a result is kept, counted from completion.
    """

    def __init__(self, client: Redis, breaker: Breaker, *, keep_s: float = KEEP_S) -> None:
        self._client = client
        self._breaker = breaker
        self._keep_s = keep_s
        self._reserve = client.register_script(read_script("reserve_blobs"))
        self._lease_due = client.register_script(read_script("lease_due"))
        self._forget = client.register_script(read_script("forget_job"))

    async def reserve(self, *job_ids: str, for_s: float) -> None:
        """Promise that blobs are removed; see `Jobs.reserve`."""
        with asking_redis(self._breaker):
            await self._reserve(keys=[_DUE, *map(_record, job_ids)], args=[to_ms(for_s), *job_ids])

    async def keep(self, jobs: Sequence[Job]) -> None:
        """Record jobs that are finished already; see `Jobs.keep`."""
        # A transaction for all of them: a record without its place among those that go would stay for good.
        pipeline = self._client.pipeline(transaction=True)
        for job in jobs:
            if job.finished is None:
                raise ValueError("A job to keep has finished")
            expires_ms = to_ms(job.finished + self._keep_s)
            submitted, end = encode_job(job)
            fields: dict[Any, Any] = {"job": submitted, "end": end, "finished": to_ms(job.finished)}
            pipeline.hset(_record(job.id), mapping=fields | {"expires": expires_ms})
            pipeline.pexpireat(_record(job.id), expires_ms)
            pipeline.zadd(_DUE, {job.id: expires_ms})
            if job.content_key and job.outcome:
                pipeline.set(_content(job.content_key), job.id, pxat=expires_ms)
        with asking_redis(self._breaker):
            await pipeline.execute()

    async def find(self, job_id: str) -> Job | None:
        """Return a job; see `Jobs.find`."""
        with asking_redis(self._breaker):
            return decode_job(await self._client.hmget(_record(job_id), JOB_FIELDS))

    async def find_content(self, content_key: str) -> Job | None:
        """Return a complete job with this content key; see `Jobs.find_content`."""
        with asking_redis(self._breaker):
            job_id: Any = await self._client.get(_content(content_key))
        return None if job_id is None else await self.find(job_id.decode())

    async def expired(self, *, most: int) -> list[str]:
        """Return ids whose blobs are to be removed now; see `Jobs.expired`."""
        with asking_redis(self._breaker):
            ids = await self._lease_due(keys=[_DUE], args=[most, to_ms(_SWEEP_LEASE_S)])
        return [job_id.decode() for job_id in ids]

    async def forget(self, job_id: str) -> None:
        """Remove a record or a promise; see `Jobs.forget`."""
        with asking_redis(self._breaker):
            await self._forget(keys=[_record(job_id), _DUE], args=[job_id])


def encode_job(job: Job) -> tuple[bytes, bytes]:
    """Write a job as it was submitted, and how it ended."""
    submitted = msgspec.structs.replace(
        job, state="processing", finished=None, expires=None, outcome=None, failure=None
    )
    end = _End(job.outcome, job.failure)
    return msgspec.msgpack.encode(submitted), msgspec.msgpack.encode(end)


def encode_end(end: Outcome | Failure) -> bytes:
    """Write how a job ended."""
    return msgspec.msgpack.encode(_End(outcome=end) if isinstance(end, Outcome) else _End(failure=end))


def decode_job(fields: list[Any]) -> Job | None:
    """Read the values of `JOB_FIELDS`; None where there is no record."""
    submitted, written_end, finished_ms, expires_ms = fields
    if submitted is None:
        return None
    job = msgspec.msgpack.decode(submitted, type=Job)
    if written_end is None:
        return job
    end = msgspec.msgpack.decode(written_end, type=_End)
    return msgspec.structs.replace(
        job,
        state="complete" if end.outcome else "failed",
        finished=int(finished_ms) / 1000,
        expires=int(expires_ms) / 1000,
        outcome=end.outcome,
        failure=end.failure,
    )


def _record(job_id: str) -> str:
    return f"{ROOT}job:{job_id}"


def _content(content_key: str) -> str:
    return f"{ROOT}content:{content_key}"
