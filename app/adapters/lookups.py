"""Look-ups in Redis that are remembered for less than a second, and believed for longer while Redis is away."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Final, Generic, NamedTuple, TypeVar

from redis.exceptions import RedisError

from app.adapters.breaker import Breaker

#: A look-up is believed this long, counted from when it was sent. Under the second in which a revocation must hold,
#: by what the next look-up may take.
_FRESH_S: Final = 0.8
#: While Redis does not answer, what was found this long ago still passes.
_TRUSTED_S: Final = 600.0
#: Remembered at most; only what exists counts against the first, so inventing names cannot push it out.
_MOST_FOUND: Final = 16_384
_MOST_ABSENT: Final = 4_096

Record = TypeVar("Record")


class _Seen(NamedTuple, Generic[Record]):
    asked_at: float
    record: Record


class Lookups(Generic[Record]):
    """Records by name. One for each event loop.

    Parameters
    ----------
    read
        Asks Redis for the record of a name; None where there is none that counts.
    breaker
        Shared with whatever else asks the same Redis.
    unavailable
        What `find` raises where Redis does not answer and nothing is remembered.
    """

    def __init__(
        self, read: Callable[[str], Awaitable[Record | None]], breaker: Breaker, unavailable: Callable[[str], Exception]
    ) -> None:
        self._read = read
        self._breaker = breaker
        self._unavailable = unavailable
        # Both are ordered by when they were asked, oldest first.
        self._found: OrderedDict[str, _Seen[Record]] = OrderedDict()
        self._absent: OrderedDict[str, float] = OrderedDict()
        self._under_way: dict[str, asyncio.Task[Record | None]] = {}

    async def find(self, name: str) -> Record | None:
        """Return the record of `name`, at most a second old; None where there is none.

        While Redis does not answer, a record of the last ten minutes.
        """
        fresh_since = time.monotonic() - _FRESH_S
        seen = self._found.get(name)
        if seen is not None and seen.asked_at > fresh_since:
            return seen.record
        if self._absent.get(name, fresh_since) > fresh_since:
            return None
        # Hundreds of requests of one name ask Redis once; one that is cancelled leaves the others their answer.
        lookup = self._under_way.get(name)
        if lookup is None:
            lookup = self._under_way[name] = asyncio.create_task(self._look_up(name))
            lookup.add_done_callback(lambda done: self._end(name, done))
        return await asyncio.shield(lookup)

    def forget(self, name: str) -> None:
        """Have the next `find` of `name` ask, because it was changed here."""
        self._found.pop(name, None)
        self._absent.pop(name, None)

    async def _look_up(self, name: str) -> Record | None:
        asked_at = time.monotonic()
        if self._breaker.allows():
            try:
                record = await self._read(name)
            except (RedisError, OSError):
                self._breaker.fail()
            else:
                self._breaker.succeed()
                self._remember(name, record, asked_at)
                return record
        seen = self._found.get(name)
        if seen is not None and seen.asked_at > asked_at - _TRUSTED_S:
            return seen.record
        raise self._unavailable("Redis does not answer")

    def _remember(self, name: str, record: Record | None, asked_at: float) -> None:
        self.forget(name)
        if record is None:
            self._absent[name] = asked_at
            if len(self._absent) > _MOST_ABSENT:
                self._absent.popitem(last=False)
        else:
            self._found[name] = _Seen(asked_at, record)
            if len(self._found) > _MOST_FOUND:
                self._found.popitem(last=False)

    def _end(self, name: str, lookup: asyncio.Task[Record | None]) -> None:
        del self._under_way[name]
        # Marks its error as seen: those who waited may all have been cancelled.
        if not lookup.cancelled():
            lookup.exception()
