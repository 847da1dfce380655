"""Webhooks to be sent, in Redis; lua/finish_job.lua adds them.

| key of Redis | holds |
| --- | --- |
| `{cz}:delivery:ID` | hash: a copy of the job's record, and the fields of `Delivery`; gone after 7 days |
| `{cz}:deliveries` | sorted set: ID by when its record goes |
| `{cz}:deliveries:due` | sorted set: ID by its next attempt, of those that wait for one |

Times in Redis are Unix milliseconds of its own clock.
"""

from typing import Any, Final, cast

from redis.asyncio import Redis

from app.adapters.asking_redis import ROOT, asking_redis, to_ms
from app.adapters.breaker import Breaker
from app.adapters.redis_client import read_script
from app.adapters.redis_job_records import JOB_FIELDS, decode_job
from app.ports.deliveries import KEEP_DELIVERY_S, Delivery, DeliveryState

_ALL: Final = ROOT + "deliveries"
_DUE: Final = ROOT + "deliveries:due"
_FIELDS: Final = (*JOB_FIELDS, "created", "attempts", "state", "next_at", "last_result")
#: Records read in one round trip.
_BATCH: Final = 500


class RedisDeliveries:
    """`Deliveries` in Redis.

    Parameters
    ----------
    breaker
        Shared with whatever else asks the same Redis.
    """

    def __init__(self, client: Redis, breaker: Breaker) -> None:
        self._client = client
        self._breaker = breaker
        self._lease_due = client.register_script(read_script("lease_due"))
        self._record = client.register_script(read_script("record_delivery"))
        self._replay = client.register_script(read_script("replay_delivery"))

    async def due(self, *, most: int, lease_s: float) -> list[Delivery]:
        """Return webhooks whose time has come; see `Deliveries.due`."""
        with asking_redis(self._breaker):
            ids = await self._lease_due(keys=[_DUE], args=[most, to_ms(lease_s)])
            found = await _read(self._client, ids)
            if gone := set(ids) - {delivery.id.encode() for delivery in found}:
                await self._client.zrem(_DUE, *gone)
        return found

    async def record(self, delivery: Delivery) -> None:
        """Write what an attempt came to; see `Deliveries.record`."""
        with asking_redis(self._breaker):
            await self._record(
                keys=[_hash(delivery.id), _DUE],
                args=[
                    delivery.id,
                    delivery.attempts,
                    delivery.state,
                    to_ms(delivery.next_at),
                    delivery.last_result,
                ],
            )

    async def list(self, *, account: str | None = None, state: DeliveryState | None = None) -> list[Delivery]:
        """All that are kept, newest first; see `Deliveries.list`."""
        with asking_redis(self._breaker):
            ids: Any = await self._client.zrange(_ALL, 0, -1)
            found = await _read(self._client, ids)
        asked = (
            delivery for delivery in found if account in {None, delivery.account} and state in {None, delivery.state}
        )
        return sorted(asked, key=lambda delivery: delivery.created, reverse=True)

    async def replay(self, delivery_id: str) -> Delivery | None:
        """Make one due now with its schedule begun anew; see `Deliveries.replay`."""
        with asking_redis(self._breaker):
            keys = [_hash(delivery_id), _DUE, _ALL]
            if not await self._replay(keys=keys, args=[delivery_id, to_ms(KEEP_DELIVERY_S)]):
                return None
            return next(iter(await _read(self._client, [delivery_id.encode()])), None)


async def _read(client: Redis, ids: list[bytes]) -> list[Delivery]:
    found: list[Delivery | None] = []
    for start in range(0, len(ids), _BATCH):
        batch = [delivery_id.decode() for delivery_id in ids[start : start + _BATCH]]
        pipeline = client.pipeline(transaction=False)
        for delivery_id in batch:
            pipeline.hmget(_hash(delivery_id), _FIELDS)
        found += map(_decode, batch, await pipeline.execute())
    return [delivery for delivery in found if delivery]


def _hash(delivery_id: str) -> str:
    return f"{ROOT}delivery:{delivery_id}"


def _decode(delivery_id: str, fields: list[Any]) -> Delivery | None:
    job = decode_job(fields[: len(JOB_FIELDS)])
    if job is None:
        return None
    created_ms, attempts, state, next_at_ms, last_result = fields[len(JOB_FIELDS) :]
    return Delivery(
        id=delivery_id,
        job=job,
        created=int(created_ms) / 1000,
        attempts=int(attempts),
        state=cast("DeliveryState", state.decode()),
        next_at=int(next_at_ms) / 1000,
        last_result=last_result.decode(),
    )
