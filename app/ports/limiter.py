"""Rate limits: a fixed window of 60 s that begins at a key's first request in it."""

from typing import Final, Literal, Protocol

import msgspec

WINDOW_S: Final = 60

#: What is counted apart: compressions, and asking after them.
Budget = Literal["compress", "poll"]


class Window(msgspec.Struct, frozen=True):
    """Where a key stands in its window after a request.

    Attributes
    ----------
    allowed
        Whether this request is within the limit. A refused one is not counted.
    limit
        What was held: the limit asked for, or this process's share of it while the shared counter is away.
    remaining
        Requests left in this window, 0 or more.
    reset_at
        Unix seconds, rounded up, when the window ends; the same for every request in it.
    reset_in_s
        Whole seconds until then, rounded up, by the counter's own clock (1-60).
    """

    allowed: bool
    limit: int
    remaining: int
    reset_at: int
    reset_in_s: int


class Limiter(Protocol):
    """Counts requests over all processes and hosts that share it."""

    async def spend(self, budget: Budget, key_id: str, limit: int, cost: int = 1) -> Window:
        """Count `cost` requests of `key_id` against `limit`, all of them or none.

        A cost of 0 only looks: it is always allowed, counts nothing and begins no window (where none runs, the answer
        is the window that would begin now). Never raises: it degrades to a window of this process alone.
        """
        ...
