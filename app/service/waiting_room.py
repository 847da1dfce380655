"""Who waits for a slot, by account: whose turn it is, and who must go so that one account does not crowd others out."""

import asyncio
from collections import Counter, deque
from typing import Generic, TypeVar

Slot = TypeVar("Slot")


class WaitingRoom(Generic[Slot]):
    """Waiters by account, and how many slots each account holds.

    An account's load is what it holds and what it has waiting.
    """

    def __init__(self) -> None:
        #: In the order of their turns: an account goes to the end when it comes and when it is served.
        self._queues: dict[str, deque[asyncio.Future[Slot]]] = {}
        self._held: Counter[str] = Counter()
        self._waiting = 0

    def __len__(self) -> int:
        """Everybody who waits."""
        return self._waiting

    def load(self, account: str) -> int:
        """Slots that the account holds and requests that it has waiting."""
        return self._held[account] + len(self._queues.get(account, ()))

    def hold(self, account: str) -> None:
        """Count a slot as the account's."""
        self._held[account] += 1

    def let_go(self, account: str) -> None:
        """Count a slot as the account's no more."""
        self._held[account] -= 1
        if not self._held[account]:
            del self._held[account]

    def enter(self, account: str, waiter: asyncio.Future[Slot]) -> None:
        """Wait behind the account's others."""
        self._queues.setdefault(account, deque()).append(waiter)
        self._waiting += 1

    def leave(self, account: str, waiter: asyncio.Future[Slot]) -> None:
        """Wait no longer; nothing where `waiter` has been called or shown out."""
        queue = self._queues.get(account, deque())
        if waiter in queue:
            queue.remove(waiter)
            self._waited(account, queue)

    def call(self, after: str | None) -> tuple[str, asyncio.Future[Slot]] | None:
        """Take the one whose turn it is when `after` has given a slot back.

        It is the first of the account that holds fewest slots; of equals, the one served longest ago, and `after` last.
        By slots held and not by requests served, so that an account with long jobs gets no more time than one with
        short ones, and a single request never waits behind two of a flood.
        """
        if not self._queues:
            return None
        account = min(self._queues, key=lambda one: (self._held[one], one == after))
        queue = self._queues.pop(account)
        waiter = queue.popleft()
        self._queues[account] = queue
        self._waited(account, queue)
        return account, waiter

    def show_out(self) -> tuple[str, asyncio.Future[Slot]] | None:
        """Take the newest of the account with the greatest load among those that wait."""
        if not self._queues:
            return None
        account = max(self._queues, key=self.load)
        queue = self._queues[account]
        waiter = queue.pop()
        self._waited(account, queue)
        return account, waiter

    def greatest_load(self) -> int:
        """The load of the account that `show_out` would take from; 0 where nobody waits."""
        return max(map(self.load, self._queues), default=0)

    def _waited(self, account: str, queue: deque[asyncio.Future[Slot]]) -> None:
        self._waiting -= 1
        if not queue:
            del self._queues[account]
