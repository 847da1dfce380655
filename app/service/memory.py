"""Memory admission: large pictures are let in by what they will need, so that several at once cannot fill the machine.

A picture's pixels say nothing about its file: 48 megapixels may come in a kilobyte. So the number of jobs bounds no
memory, and a bound on each process bounds the machine only where it is far too small for one large picture.
"""

import asyncio
import math
import time
from collections import deque
from dataclasses import dataclass

from app.errors import ServiceError

#: Weight of the newest loan in the running mean that Retry-After is computed from.
_NEWEST_WEIGHT = 0.1
_MEGABYTE = 1 << 20


@dataclass(frozen=True, slots=True, eq=False)
class Loan:
    """Bytes that one job may use until they are given back; `since` is on the clock of `time.monotonic`."""

    bytes: int
    since: float


class MemoryBudget:
    """Lends bytes, first come first served: a large loan that has to wait holds up those behind it, so that it comes.

    Who waits must hold nothing that a borrower needs to end; then every loan ends, and every wait.

    Parameters
    ----------
    total_bytes
        What may be lent in all.
    room
        How many may wait.
    wait_timeout_s
        How long each of them may.
    """

    def __init__(self, total_bytes: int, *, room: int, wait_timeout_s: float) -> None:
        self.total_bytes = total_bytes
        self._room = room
        self._wait_timeout_s = wait_timeout_s
        self._free_bytes = total_bytes
        self._waiters: deque[tuple[int, asyncio.Future[Loan]]] = deque()
        self._mean_s = 1.0

    @property
    def free_bytes(self) -> int:
        """What is not lent."""
        return self._free_bytes

    @property
    def waiting(self) -> int:
        """Jobs that wait for memory."""
        return len(self._waiters)

    async def borrow(self, wanted_bytes: int) -> Loan:
        """Wait until `wanted_bytes` are free and everyone who came before is served.

        Raises
        ------
        ServiceError
            413 `image_too_large`: there is never so much. 503 `overloaded`: too many wait, or the wait took too long.
        """
        if wanted_bytes > self.total_bytes:
            raise ServiceError(
                "image_too_large",
                "The image needs more memory than this service has for one image; send it with fewer pixels.",
            )
        if not self._waiters and wanted_bytes <= self._free_bytes:
            return self._lend(wanted_bytes)
        if self.waiting >= self._room:
            raise self._overloaded()
        promise: asyncio.Future[Loan] = asyncio.get_running_loop().create_future()
        waiter = wanted_bytes, promise
        self._waiters.append(waiter)
        try:
            async with asyncio.timeout(self._wait_timeout_s):
                return await promise
        except BaseException as error:
            if promise.done() and not promise.cancelled():
                self.give_back(promise.result())  # it was lent in the same turn in which we gave up
            elif waiter in self._waiters:
                self._waiters.remove(waiter)
                self._serve()  # those behind it may need less
            if isinstance(error, TimeoutError):
                raise self._overloaded() from None
            raise

    def give_back(self, loan: Loan) -> None:
        """End a loan, once."""
        self._mean_s += _NEWEST_WEIGHT * (time.monotonic() - loan.since - self._mean_s)
        self._free_bytes += loan.bytes
        self._serve()

    def _serve(self) -> None:
        while self._waiters:
            wanted_bytes, promise = self._waiters[0]
            if not promise.done():  # done: it gave up, and has not run yet to leave
                if wanted_bytes > self._free_bytes:
                    return
                promise.set_result(self._lend(wanted_bytes))
            self._waiters.popleft()

    def _lend(self, wanted_bytes: int) -> Loan:
        self._free_bytes -= wanted_bytes
        return Loan(wanted_bytes, time.monotonic())

    def _overloaded(self) -> ServiceError:
        retry_after_s = max(1, math.ceil(self._mean_s * (self.waiting + 1)))
        return ServiceError(
            "overloaded",
            f"Large images fill the memory. Try again in {retry_after_s} s.",
            headers={"Retry-After": str(retry_after_s)},
        )
