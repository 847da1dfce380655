"""Admission: as many jobs at once as there are slots, a short waiting room, and a refusal beyond it.

An unbounded queue only moves the wait: beyond the capacity a prototype answered after seconds, where four waiting a
slot kept the 99th percentile under a tenth of one.
"""

import asyncio
import math
from collections import deque
from typing import Generic, TypeVar

from app.errors import ServiceError

Slot = TypeVar("Slot")
#: Weight of the newest job in the running mean that Retry-After is computed from.
_NEWEST_WEIGHT = 0.1


class Slots(Generic[Slot]):
    """Lends slots, first come first served.

    Attributes
    ----------
    waiting
        Requests in the waiting room.
    """

    def __init__(self, *, count: int, waiting_per_slot: int, wait_timeout_s: float) -> None:
        self._count = count
        self._room = count * waiting_per_slot
        self._wait_timeout_s = wait_timeout_s
        self._idle: deque[Slot] = deque()
        self._waiters: deque[asyncio.Future[Slot]] = deque()
        self._mean_s = 0.1

    @property
    def waiting(self) -> int:
        """Requests in the waiting room."""
        return len(self._waiters)

    @property
    def idle(self) -> int:
        """Slots that nobody uses."""
        return len(self._idle)

    def refuse_if_full(self) -> None:
        """Turn a request away before its body is read.

        Raises
        ------
        ServiceError
            503 `overloaded` with Retry-After: no slot is free and the waiting room is full.
        """
        if not self._idle and self.waiting >= self._room:
            raise self._overloaded()

    async def acquire(self) -> Slot:
        """Wait for a slot.

        Raises
        ------
        ServiceError
            503 `overloaded`: the waiting room is full, or the wait took too long.
        """
        if self._idle:
            # The slot used last: its memory is still in the processor's cache.
            return self._idle.pop()
        self.refuse_if_full()
        waiter: asyncio.Future[Slot] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        try:
            async with asyncio.timeout(self._wait_timeout_s):
                return await waiter
        except BaseException as error:
            if waiter.done() and not waiter.cancelled():
                self.release(waiter.result())  # it was handed over in the same turn in which we gave up
            elif waiter in self._waiters:
                self._waiters.remove(waiter)
            if isinstance(error, TimeoutError):
                raise self._overloaded() from None
            raise

    def release(self, slot: Slot, used_s: float | None = None) -> None:
        """Give a slot back, or add a new one; `used_s` is how long its job took."""
        if used_s is not None:
            self._mean_s += _NEWEST_WEIGHT * (used_s - self._mean_s)
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():  # done: it gave up, and has not run yet to leave the room
                waiter.set_result(slot)
                return
        self._idle.append(slot)

    def withdraw(self, slot: Slot) -> None:
        """Take an idle slot out for good."""
        if slot in self._idle:
            self._idle.remove(slot)

    def _overloaded(self) -> ServiceError:
        retry_after_s = max(1, math.ceil(self._mean_s * (self.waiting + 1) / self._count))
        return ServiceError(
            "overloaded",
            f"All encoders are busy. Try again in {retry_after_s} s.",
            headers={"Retry-After": str(retry_after_s)},
        )
