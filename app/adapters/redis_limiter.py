"""Rate limits in Redis, and in this process alone while Redis is away."""

import math
import time
from collections import OrderedDict
from typing import Any

import msgspec
from redis.asyncio import Redis
from redis.exceptions import RedisError

from app.adapters.breaker import Breaker
from app.adapters.redis_client import read_script
from app.ports.limiter import WINDOW_S, Budget, Window


class RedisLimiter:
    """The `Limiter` that all processes and hosts of one Redis share.

    While Redis is down or slower than the client's time-out, each process holds ``ceil(limit / shares)`` by itself.

    Parameters
    ----------
    breaker
        Shared with whatever else asks the same Redis.
    shares
        How many processes share the limits: API hosts times event-loop processes on each.

    Attributes
    ----------
    decided_locally
        Requests decided without Redis, for a metric.
    """

    def __init__(self, client: Redis, breaker: Breaker, *, shares: int = 1) -> None:
        self.decided_locally = 0
        self._breaker = breaker
        self._shares = shares
        self._local = _LocalWindows()
        self._spend = client.register_script(read_script("rate_limit"))

    async def spend(self, budget: Budget, key_id: str, limit: int, cost: int = 1) -> Window:
        """Count `cost` requests of `key_id` against `limit`; see `Limiter.spend`."""
        if self._breaker.allows():
            try:
                # The braces keep a key's budgets in one hash slot.
                answer = await self._spend(keys=[f"rl:{{{key_id}}}:{budget}"], args=[limit, cost, WINDOW_S * 1000])
            except (RedisError, OSError):
                self._breaker.fail()
            else:
                self._breaker.succeed()
                return _window(limit, *answer)
        self.decided_locally += 1
        return self._local.spend((budget, key_id), math.ceil(limit / self._shares), cost)


def _window(limit: int, allowed: int, remaining: int, ends_ms: int, now_ms: int) -> Window:
    """Read the script's answer. Whole milliseconds, so that rounding up is exact."""
    return Window(
        allowed=bool(allowed),
        limit=limit,
        remaining=remaining,
        reset_at=-(-ends_ms // 1000),
        reset_in_s=-(-(ends_ms - now_ms) // 1000),
    )


class _LocalWindow(msgspec.Struct):
    ends_monotonic: float
    reset_at: int
    spent: int = 0


class _LocalWindows:
    """The script's rule in this process's memory."""

    def __init__(self) -> None:
        # All windows are equally long, so the order of insertion is the order of their ends.
        self._windows: OrderedDict[Any, _LocalWindow] = OrderedDict()

    def spend(self, name: tuple[str, str], limit: int, cost: int) -> Window:
        now = time.monotonic()
        while self._windows and next(iter(self._windows.values())).ends_monotonic <= now:
            self._windows.popitem(last=False)
        window = self._windows.get(name)
        if window is None:
            window = _LocalWindow(now + WINDOW_S, math.ceil(time.time() + WINDOW_S))
        allowed = cost == 0 or window.spent + cost <= limit
        if allowed and cost:
            window.spent += cost
            self._windows[name] = window
        return Window(
            allowed=allowed,
            limit=limit,
            remaining=max(limit - window.spent, 0),
            reset_at=window.reset_at,
            reset_in_s=math.ceil(window.ends_monotonic - now),
        )
