"""The queue in Redis: a stream for each lane, one consumer group, and a script for each step.

| key of Redis | holds |
| --- | --- |
| `{cz}:jobs:paid`, `{cz}:jobs:free` | stream: jobs queued and running (pending in the group `workers`) |
| `{cz}:jobs:held:ACCOUNT` | list: jobs of an account that has as many as it may in the lanes; its orders apart |
| `{cz}:jobs:load`, `{cz}:jobs:load:ACCOUNT` | hash: jobs held, and the milliseconds that jobs are expected to take |
| `{cz}:jobs:rates` | hash: milliseconds and bytes of each kind of work lately |
| `{cz}:workers` | hash: each worker's slots, and until when they count |

A claim is a pending entry whose idle time its worker keeps low; Redis counts its deliveries. What a crash can stop
half-way is one script at most, and a script happens whole or not at all.
"""

import asyncio
import time
from contextlib import suppress
from typing import Any, Final

import msgspec
from redis.asyncio import Redis
from redis.commands.core import AsyncScript

from app.adapters.append_only import NotWritten, wait_until_written
from app.adapters.asking_redis import ROOT, asking_redis, to_ms
from app.adapters.breaker import Breaker
from app.adapters.job_estimate import (
    PAID_IN_A_ROW,
    AccountLoad,
    LaneLoad,
    Load,
    estimate_s,
    kind_of_work,
    prior_ms_per_byte,
)
from app.adapters.redis_client import read_script
from app.adapters.redis_job_records import RedisJobRecords, encode_end, encode_job
from app.ports.deliveries import KEEP_DELIVERY_S
from app.ports.jobs import (
    ANNOUNCE_S,
    HEARTBEAT_S,
    KEEP_ORDER_S,
    KEEP_S,
    MOST_DELIVERIES,
    Claim,
    Failure,
    Job,
    JobsUnavailable,
    Lane,
    LaneState,
    Outcome,
)

#: An idle worker asks this often. A blocking XREADGROUP would wake for new jobs alone: not for silent, held or handed-
#: back ones; it takes from both lanes at once, and needs a connection for each that waits.
_POLL_S: Final = 0.2
#: The idle time of what was handed back: longer than any lease, so that nobody waits for one to end.
_HANDED_BACK_MS: Final = 7 * 24 * 3600 * 1000
#: A claim that lay before Redis for longer takes nothing: its sender may have given up, and did not know that Redis
#: was away, so that silence meant nothing.
_PATIENCE_MS: Final = 500
_POISONED: Final = Failure("compression_failed", f"Compression failed {MOST_DELIVERIES} times.")


class RedisJobs(RedisJobRecords):
    """`Jobs` in Redis. One for each event loop.

    Parameters
    ----------
    most_of_account
        Jobs that one account may have in the lanes, queued or running; its others are held back.
    lease_s
        A claim that was not extended for so long is another's.

    Attributes
    ----------
    poisoned
        Jobs that were failed because their workers died, for a metric.

    Notes
    -----
    Workers take a client with a time-out of a second or more. What is claimed after its worker stopped listening would
    lie until the lease ends.
    """

    def __init__(
        self,
        client: Redis,
        breaker: Breaker,
        *,
        most_of_account: int,
        keep_s: float = KEEP_S,
        lease_s: float = 3 * HEARTBEAT_S,
    ) -> None:
        super().__init__(client, breaker, keep_s=keep_s)
        self.poisoned = 0
        self._most_of_account = most_of_account
        self._lease_s = lease_s
        self._contact = _Contact(lease_s / 2)
        #: The server's clock less ours, as of its last answer; unknown at first, so that a first claim is asked twice.
        self._server_ahead_ms = 0
        self._submit = self._script("submit_job")
        self._announce = self._script("announce_worker")
        self._claim = self._script("claim_job")
        self._extend = self._script("extend_claim")
        self._finish = self._script("finish_job")
        self._hand_back = self._script("hand_back_job")
        self._lane_state = self._script("lane_state")

    async def submit(self, job: Job) -> float:
        """Put a job in its lane; see `Jobs.submit`."""
        record, _ = encode_job(job)
        answer = await self._run(
            self._submit,
            job.id,
            record,
            _share_of(job),
            job.lane,
            self._most_of_account,
            job.original_size,
            kind_of_work(job),
            prior_ms_per_byte(job),
            is_to_last=True,
        )
        if len(answer) == 1:
            return 0.0
        _, own_ms, slots, *counts = answer
        load = Load(own_ms, slots, LaneLoad(*counts[:4]), LaneLoad(*counts[4:8]), AccountLoad(*counts[8:]))
        return estimate_s(load, job.lane, most_of_account=self._most_of_account)

    async def announce(self, worker: str, *, slots: int) -> None:
        """Tell that a worker is there; see `Jobs.announce`."""
        await self._run(self._announce, worker, slots, to_ms(3 * ANNOUNCE_S))

    async def retire(self, worker: str) -> None:
        """Take the announcement back; see `Jobs.retire`."""
        with asking_redis(self._breaker):
            await self._client.hdel(ROOT + "workers", worker)

    async def claim(self, worker: str, *, wait_s: float) -> Claim | None:
        """Take the next job; see `Jobs.claim`."""
        deadline = time.monotonic() + wait_s
        while True:
            claim = await self._claim_whole(worker)
            if claim is not None and claim.delivery <= MOST_DELIVERIES:
                return claim
            if claim is not None:
                self.poisoned += await self.finish(claim, _POISONED, took_s=0)
            elif (left_s := deadline - time.monotonic()) > 0:
                await asyncio.sleep(min(_POLL_S, left_s))
            else:
                return None

    async def extend(self, claim: Claim) -> bool:
        """Tell that the worker is alive; see `Jobs.extend`."""
        return bool(await self._run(self._extend, claim.job.id, claim.job.lane, claim.token))

    async def finish(self, claim: Claim, end: Outcome | Failure, *, took_s: float) -> bool:
        """End a job, once; see `Jobs.finish`."""
        job = claim.job
        is_complete = isinstance(end, Outcome)
        return bool(
            await self._run(
                self._finish,
                job.id,
                job.lane,
                claim.token,
                encode_end(end),
                to_ms(min(KEEP_ORDER_S, self._keep_s) if job.order else self._keep_s),
                self._most_of_account,
                job.content_key if is_complete else "",
                # Made from the job's id: a job that ends again, because its end was lost, tells it under the same id.
                f"msg_{job.id}" if job.webhook_url else "",
                to_ms(KEEP_DELIVERY_S),
                job.original_size,
                kind_of_work(job),
                prior_ms_per_byte(job),
                to_ms(took_s) if is_complete else "",
                is_to_last=True,
            )
        )

    async def hand_back(self, claim: Claim) -> None:
        """Give a job back; see `Jobs.hand_back`."""
        await self._run(self._hand_back, claim.job.id, claim.job.lane, claim.token, claim.delivery - 1, _HANDED_BACK_MS)

    async def depth(self) -> dict[Lane, int]:
        """Jobs held back, queued and running; see `Jobs.depth`."""
        with asking_redis(self._breaker):
            pipeline = self._client.pipeline(transaction=True)
            pipeline.xlen(ROOT + "jobs:paid")
            pipeline.xlen(ROOT + "jobs:free")
            pipeline.hmget(ROOT + "jobs:load", "paid:held", "free:held")
            paid, free, (paid_held, free_held) = await pipeline.execute()
        return {"paid": paid + int(paid_held or 0), "free": free + int(free_held or 0)}

    async def lanes(self) -> dict[Lane, LaneState]:
        """How each lane stands; see `Jobs.lanes`."""
        counts = await self._run(self._lane_state, _HANDED_BACK_MS)
        lanes: tuple[Lane, ...] = ("paid", "free")
        return {
            lane: LaneState(depth, running, held, oldest_ms / 1000)
            for lane, (depth, running, held, oldest_ms) in zip(lanes, (counts[:4], counts[4:]), strict=True)
        }

    async def _claim_whole(self, worker: str) -> Claim | None:
        """Claim without waiting; whoever is cancelled meanwhile takes nothing."""
        asking = asyncio.create_task(self._claim_next(worker))
        try:
            return await asyncio.shield(asking)
        except asyncio.CancelledError:
            # The job would lie until its lease ends, and have used up a delivery.
            with suppress(JobsUnavailable):
                claim = await asking
                if claim is not None:
                    await self.hand_back(claim)
            raise

    async def _claim_next(self, worker: str) -> Claim | None:
        for _ in range(2):
            silent_ms = to_ms(self._lease_s) if self._contact.is_steady() else _HANDED_BACK_MS
            now_ms, is_late, *found = await self._run(
                self._claim,
                worker,
                silent_ms,
                PAID_IN_A_ROW,
                self._most_of_account,
                to_ms(time.monotonic()) + self._server_ahead_ms,
                _PATIENCE_MS,
            )
            ahead_ms = now_ms - to_ms(time.monotonic())
            self._contact.note_clock(jumped_s=(ahead_ms - self._server_ahead_ms) / 1000)
            self._server_ahead_ms = ahead_ms
            if not is_late:
                break
        if not found:
            return None
        record, delivery, token = found
        return Claim(msgspec.msgpack.decode(record, type=Job), delivery, token)

    def _script(self, name: str) -> AsyncScript:
        return self._client.register_script(read_script("lanes") + read_script(name))

    async def _run(self, script: AsyncScript, *args: Any, is_to_last: bool = False) -> Any:
        with asking_redis(self._breaker):
            answer = await script(keys=[ROOT], args=args)
            self._contact.note()
            if is_to_last:
                try:
                    await wait_until_written(self._client)
                except NotWritten as error:
                    raise JobsUnavailable(str(error)) from error
        return answer


def _share_of(job: Job) -> str:
    """Name whose share of the lanes a job takes: an account's orders have one of their own, so that its jobs go by."""
    # With a tab, which is in no account's name.
    return f"{job.account}\torders" if job.order else job.account


class _Contact:
    """Whether Redis has answered this process steadily: an outage of Redis, or a jump of its clock, kills no workers.

    Nobody could extend a claim meanwhile, so all look silent after it. Workers that live get `pause_s` to speak.
    """

    def __init__(self, pause_s: float) -> None:
        self._pause_s = pause_s
        self._since = self._last = float("-inf")

    def note(self) -> None:
        """Note an answer."""
        now = time.monotonic()
        if now - self._last > self._pause_s:
            self._since = now
        self._last = now

    def note_clock(self, *, jumped_s: float) -> None:
        """Note by how much Redis' clock has moved against ours since it was last looked at."""
        if jumped_s > self._pause_s:
            self._since = time.monotonic()

    def is_steady(self) -> bool:
        """Whether answers have come for `pause_s` without a gap of that length, until now."""
        now = time.monotonic()
        return now - self._last <= self._pause_s <= now - self._since
