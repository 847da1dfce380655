"""The two loops that make load: closed, which waits for answers, and open, which does not."""

import asyncio
import math
import random
import time
from collections.abc import Callable, Iterator
from typing import Final, Literal

import msgspec

from perf.load.client import Client, Request
from perf.load.samples import Kind, Samples, judge

Arrivals = Literal["poisson", "constant"]


class Closed(msgspec.Struct, frozen=True, tag="closed"):
    """So many clients, each of which sends its next request when the last is answered."""

    clients: int


class Open(msgspec.Struct, frozen=True, tag="open"):
    """So many requests a second, whatever becomes of them."""

    rate_per_s: float
    arrivals: Arrivals = "poisson"


Load = Closed | Open
#: A client in a closed loop that was turned away, or found nobody there, waits so long before it asks again.
_BACK_OFF_S: Final = 0.1


def schedule(load: Open, *, duration_s: float, seed: str, share: int = 0, shares: int = 1) -> Iterator[float]:
    """Yield when requests are due, in seconds from the begin: one process' share of the load.

    Poisson arrivals of several processes add up to Poisson arrivals; constant ones interleave.
    """
    dice = random.Random(f"{seed} arrivals {share}")  # noqa: S311 - it has to be repeatable
    if load.arrivals == "constant":
        # Rounded, or a thousand in 15 s, as a rate, would be a thousand and one.
        for number in range(share, math.ceil(round(duration_s * load.rate_per_s, 6)), shares):
            yield number / load.rate_per_s
        return
    due_s = dice.expovariate(load.rate_per_s / shares)
    while due_s < duration_s:
        yield due_s
        due_s += dice.expovariate(load.rate_per_s / shares)


class Loop:
    """Sends requests from `begin_at`, an instant on the monotonic clock, for `duration_s`, and keeps account.

    What is under way at the end is waited for.
    """

    def __init__(self, client: Client, requests: Callable[[], Request], *, begin_at: float, duration_s: float) -> None:
        self._client, self._requests = client, requests
        self._begin_at, self._duration_s = begin_at, duration_s
        self.samples = Samples()

    async def run_closed(self, clients: int) -> None:
        """Keep so many requests under way."""
        await asyncio.sleep(self._begin_at - time.monotonic())
        end_at = self._begin_at + self._duration_s

        async def send_on() -> None:
            while (now := time.monotonic()) < end_at:
                if await self._send(now) in {"refused", "failed"}:
                    await asyncio.sleep(_BACK_OFF_S)

        async with asyncio.TaskGroup() as group:
            for _ in range(clients):
                group.create_task(send_on())

    async def run_open(self, due_s: Iterator[float]) -> None:
        """Start a request at each of `due_s`, however many are still under way."""
        async with asyncio.TaskGroup() as group:
            for due in due_s:
                due_at = self._begin_at + due
                while (wait_s := due_at - time.monotonic()) > 0:  # noqa: ASYNC110 - time is not an event
                    await asyncio.sleep(wait_s)
                group.create_task(self._send(due_at))

    async def _send(self, due_at: float) -> Kind:
        started_at = time.monotonic()
        request = self._requests()
        outcome = await self._client.send(request)
        self.samples.add(
            outcome.label,
            due_s=due_at - self._begin_at,
            lag_s=started_at - due_at,
            head_s=outcome.headed_at - due_at,
            latency_s=outcome.ended_at - due_at,
            sent=request.picture_bytes,
            received=outcome.received,
        )
        kind = judge(outcome.label)
        if kind == "accepted":
            self.samples.cache.update([outcome.cache or "none"])
            self.samples.variants.update([outcome.variant] if outcome.variant else [])
            self.samples.stages_ms.update(outcome.stages_ms())
        return kind
