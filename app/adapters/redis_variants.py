"""The index of variants in Redis: what is kept of each, when it was last used, and what it can be purged by.

Names, and what lies under them, are told in ``lua/variants.lua``. The bytes are in the object store. Whatever is
written there is promised away in Redis first, and what leaves the index is promised away in the same script: so nothing
is in the store that the index has forgotten.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import msgspec
from redis.asyncio import Redis
from redis.commands.core import AsyncScript

from app.adapters.asking_redis import ROOT, asking_redis, to_ms
from app.adapters.breaker import Breaker
from app.adapters.redis_client import read_script
from app.ports.jobs import JobsUnavailable
from app.ports.variants import GRACE_S, LEAD_EVERY_S, Found, News, Purge, Variant, VariantsUnavailable

_CDN: Final = ROOT + "cdn:"
_DUE: Final = _CDN + "due"
_PURGES: Final = _CDN + "purges"
_ENDED: Final = _CDN + "ended"
#: What a variant counts for beside its bytes. Its record and its places in the index take about 2 kB of Redis, of which
#: there is less than of the store: so Redis holds an eighth of the bound at most.
_RECORD_BYTES: Final = 16 * 1024
#: Removed by one script: about 10 ms of Redis' time.
_PURGE_BATCH: Final = 500
_SWEEP_LEASE_S: Final = 60.0
_NEWS_WAIT_S: Final = 0.5
#: As many as the log of purges holds.
_MOST_NEWS: Final = 1000


class RedisVariants:
    """`Variants` in Redis. One for each event loop.

    Parameters
    ----------
    listening
        For `news` alone, which hold a connection for half a second: its time-out is longer.
    breaker
        Shared with whatever else asks through `client`.
    max_bytes
        What all variants together may have in the store.
    """

    def __init__(self, client: Redis, listening: Redis, breaker: Breaker, *, max_bytes: int) -> None:
        self._client = client
        self._listening = listening
        self._breaker = breaker
        self._max_bytes = max_bytes
        self._lease_due = client.register_script(read_script("lease_due"))
        self._find, self._touch, self._reserve, self._keep, self._purge, self._lead, self._resign = (
            client.register_script(read_script("variants") + read_script(name))
            for name in (
                *("find_variant", "touch_variants", "reserve_variant", "keep_variant"),
                *("purge_variants", "lead_variant", "resign_variant"),
            )
        )

    async def find(self, key: str) -> Found:
        """Look a variant up; see `Variants.find`."""
        record, since = await self._run(self._find, key)
        return _found(record, since)

    async def touch(self, keys: list[str]) -> None:
        """Count uses; see `Variants.touch`."""
        await self._run(self._touch, *keys)

    async def reserve(self, blob: str, *, for_s: float) -> None:
        """Promise that a blob is removed; see `Variants.reserve`."""
        await self._run(self._reserve, blob, to_ms(for_s))

    async def keep(self, variant: Variant, *, since: str) -> bool:
        """Keep a variant; see `Variants.keep`."""
        return bool(
            await self._run(
                self._keep,
                variant.key,
                msgspec.msgpack.encode(variant),
                variant.account,
                variant.source,
                " ".join(variant.tags),
                variant.blob,
                variant.size + _RECORD_BYTES,
                self._max_bytes,
                since,
                to_ms(GRACE_S),
            )
        )

    async def purge(self, purge: Purge) -> int:
        """Remove what a purge covers; see `Variants.purge`."""
        removed = 0
        while True:
            count: int = await self._run(self._purge, *purge, _PURGE_BATCH, int(removed == 0), to_ms(GRACE_S))
            removed += count
            if count < _PURGE_BATCH:
                return removed

    async def lead(self, key: str, owner: str) -> tuple[bool, Found]:
        """Take the lead, or keep it; see `Variants.lead`."""
        leads, record, since = await self._run(self._lead, key, owner, to_ms(3 * LEAD_EVERY_S))
        return bool(leads), _found(record, since)

    async def resign(self, key: str, owner: str) -> None:
        """Give up the lead; see `Variants.resign`."""
        await self._run(self._resign, key, owner)

    async def place(self) -> tuple[str, str]:
        """Tell where news begin; see `Variants.place`."""
        with _asking(self._breaker):
            purges = await self._client.xrevrange(_PURGES, count=1)
            ended = await self._client.xrevrange(_ENDED, count=1)
        return _last_id(purges, "0-0"), _last_id(ended, "0-0")

    async def news(self, place: tuple[str, str]) -> News | None:
        """Wait for what happens; see `Variants.news`."""
        with _asking(self._breaker):
            streams: Any = {_PURGES: place[0], _ENDED: place[1]}
            answer: Any = await self._listening.xread(streams, count=_MOST_NEWS, block=to_ms(_NEWS_WAIT_S))
        read = {name.decode(): entries for name, entries in answer or ()}
        purges, ended = read.get(_PURGES, ()), read.get(_ENDED, ())
        if len(purges) >= _MOST_NEWS:
            return None
        told = [
            Purge(fields[b"account"].decode(), fields[b"by"].decode(), fields[b"value"].decode())
            for _, fields in purges
        ]
        return News(
            told,
            [fields[b"key"].decode() for _, fields in ended],
            (_last_id(purges[-1:], place[0]), _last_id(ended[-1:], place[1])),
        )

    async def expired(self, *, most: int) -> list[str]:
        """Return blobs that are to be removed now; see `Variants.expired`."""
        with _asking(self._breaker):
            blobs = await self._lease_due(keys=[_DUE], args=[most, to_ms(_SWEEP_LEASE_S)])
        return [blob.decode() for blob in blobs]

    async def forget(self, blob: str) -> None:
        """Forget a blob; see `Variants.forget`."""
        with _asking(self._breaker):
            await self._client.zrem(_DUE, blob)

    async def _run(self, script: AsyncScript, *args: Any) -> Any:
        with _asking(self._breaker):
            return await script(keys=[_CDN], args=args)


@contextmanager
def _asking(breaker: Breaker) -> Iterator[None]:
    """Turn failures of what it surrounds into VariantsUnavailable."""
    try:
        with asking_redis(breaker):
            yield
    except JobsUnavailable as error:
        raise VariantsUnavailable(str(error)) from error


def _found(record: bytes | None, since: bytes) -> Found:
    return Found(None if record is None else msgspec.msgpack.decode(record, type=Variant), since.decode())


def _last_id(entries: Any, otherwise: str) -> str:
    return entries[0][0].decode() if entries else otherwise
