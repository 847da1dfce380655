"""Admission: as many jobs at once as there are slots, a waiting room that is shared fairly, and refusals beyond it.

An unbounded queue only moves the wait: beyond the capacity a prototype answered after seconds, where four waiting a
slot kept the 99th percentile under a tenth of one. Four are for bursts. While more comes than can ever be done, waiting
does not get anybody more done, so there is hardly any; what is taken then is answered nearly as fast as ever.
"""

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import Final, Generic, Literal, NamedTuple, TypeVar

from app.errors import ServiceError
from app.service.overload import Overload
from app.service.waiting_room import WaitingRoom

Slot = TypeVar("Slot", bound=Hashable)
#: Weight of the newest job in the running mean that Retry-After is computed from.
_NEWEST_WEIGHT: Final = 0.1
#: In overload one may wait for each slot whose job has run for so much of a mean job.
_DUE: Final = 0.7
#: A body that takes longer counts no more: a slow client must not keep others out.
_PROMPT_S: Final = 0.25


class _Lease(NamedTuple):
    account: str
    since_s: float


class Slots(Generic[Slot]):
    """Lends slots to accounts.

    Of those who wait, the account that holds fewest slots is next, and of equals the one served longest ago; within an
    account, first come first served. Where the room is full, an account that has at least two fewer than the greediest,
    at work and waiting, takes the place of the greediest's newest, who is refused. Where most of those who are refused
    are one account's, each other account may have one request all the same. So nobody can fill the room for others.

    Parameters
    ----------
    waiting_per_slot
        Places in the room for each slot, except in overload.
    clock
        Seconds that never go back.
    """

    def __init__(
        self,
        *,
        count: int,
        waiting_per_slot: int,
        wait_timeout_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._count = count
        self._full_room = count * waiting_per_slot
        self._wait_timeout_s = wait_timeout_s
        self._clock = clock
        self._idle: deque[Slot] = deque()
        self._leases: dict[Slot, _Lease] = {}
        self._room: WaitingRoom[Slot] = WaitingRoom()
        #: Requests whose bodies are coming, and since when.
        self._coming: dict[object, float] = {}
        self._overload = Overload(self._full_room)
        self._mean_s = 0.1

    @property
    def waiting(self) -> int:
        """Requests in the waiting room."""
        return len(self._room)

    @property
    def idle(self) -> int:
        """Slots that nobody uses."""
        return len(self._idle)

    @property
    def lent(self) -> int:
        """Slots that are at work."""
        return len(self._leases)

    @property
    def is_overloaded(self) -> bool:
        """Whether so many were refused of late that the room is small."""
        return self._overload.is_on(self._clock())

    @contextmanager
    def expecting(self, account: str) -> Iterator[None]:
        """Turn a request of `account` away before its body is read, or expect it while its body comes.

        In overload it takes a place meanwhile, if its body comes promptly. Else all that come while one place is free
        would send their bodies for it.

        Raises
        ------
        ServiceError
            503 `overloaded` with Retry-After: no slot is free, and no place in the waiting room.
        """
        now = self._clock()
        coming = sum(since_s > now - _PROMPT_S for since_s in self._coming.values()) if self.is_overloaded else 0
        if self._find_place(account, coming) == "none":
            raise self._refuse(account)
        request = object()
        self._coming[request] = now
        try:
            yield
        finally:
            del self._coming[request]

    async def acquire(self, account: str) -> Slot:
        """Wait for a slot.

        Raises
        ------
        ServiceError
            503 `overloaded` with Retry-After: there is no place in the waiting room, somebody else's account needs it
            more, or the wait took too long.
        """
        if self._idle:
            # The slot used last: its memory is still in the processor's cache.
            return self._lend(self._idle.pop(), account)
        match self._find_place(account):
            case "none":
                raise self._refuse(account)
            case "another's":
                self._show_one_out()
        waiter: asyncio.Future[Slot] = asyncio.get_running_loop().create_future()
        self._room.enter(account, waiter)
        try:
            async with asyncio.timeout(self._wait_timeout_s):
                return await waiter
        except BaseException as error:
            self._room.leave(account, waiter)
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                self.release(waiter.result())  # it was handed over in the same turn in which we gave up
            if isinstance(error, TimeoutError):
                raise self._overloaded() from None
            raise

    def release(self, slot: Slot, used_s: float | None = None) -> None:
        """Give a slot back, or add a new one; `used_s` is how long its job took."""
        if used_s is not None:
            self._mean_s += _NEWEST_WEIGHT * (used_s - self._mean_s)
        last = self._end_lease(slot)
        while (called := self._room.call(after=last)) is not None:
            account, waiter = called
            if not waiter.done():  # done: it gave up, and has not run yet to leave the room
                waiter.set_result(self._lend(slot, account))
                break
        else:
            self._idle.append(slot)

    def withdraw(self, slot: Slot) -> None:
        """Take a slot out for good, lent or idle."""
        if self._end_lease(slot) is None and slot in self._idle:
            self._idle.remove(slot)

    def _lend(self, slot: Slot, account: str) -> Slot:
        self._leases[slot] = _Lease(account, self._clock())
        self._room.hold(account)
        return slot

    def _end_lease(self, slot: Slot) -> str | None:
        lease = self._leases.pop(slot, None)
        if lease is None:
            return None
        self._room.let_go(lease.account)
        return lease.account

    def _places(self) -> int:
        if not self.is_overloaded:
            return self._full_room
        due = self._clock() - _DUE * self._mean_s
        return min(self._full_room, sum(lease.since_s <= due for lease in self._leases.values()))

    def _find_place(self, account: str, coming: int = 0) -> Literal["free", "another's", "none"]:
        if self.waiting + coming < self._places() + self.idle:
            return "free"
        load = self._room.load(account)
        # Two fewer: with one, the two would only change places, and could go on doing so.
        if load + 2 <= self._room.greatest_load():
            return "another's"
        # A flood's overload is no reason to refuse everybody else.
        return "free" if load == 0 and self.waiting < self._full_room and self._overload.is_one_to_blame() else "none"

    def _show_one_out(self) -> None:
        shown_out = self._room.show_out()
        if shown_out is not None:
            account, waiter = shown_out
            if not waiter.done():
                waiter.set_exception(self._refuse(account))

    def _refuse(self, account: str) -> ServiceError:
        if self._overload.note_refusal(account, self._clock(), self._mean_s):
            # Of a flood's overload, one of each other account is spared here too.
            spared = 1 if self._overload.is_one_to_blame() else 0
            while self.waiting > self._places() and self._room.greatest_load() > spared:
                self._show_one_out()
        return self._overloaded()

    def _overloaded(self) -> ServiceError:
        retry_after_s = max(1, math.ceil(self._mean_s * (self.waiting + 1) / self._count))
        return ServiceError(
            "overloaded",
            f"All encoders are busy. Try again in {retry_after_s} s.",
            headers={"Retry-After": str(retry_after_s)},
        )
