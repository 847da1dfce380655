"""From the first format that is encoded to the smallest: here until the deadline, then behind it or as a job."""

import asyncio
import time
from collections.abc import Sequence

from app.errors import ServiceError
from app.ports.variants import Kind
from app.service.cdn.freshness import read_freshness
from app.service.cdn.orders import Orders, draw_up
from app.service.cdn.origin import SourceFile
from app.service.cdn.shelf import Looked
from app.service.cdn.telling import Teller
from app.service.cdn.work import OURS, Work
from app.service.encoders import Encoded, Encoders
from app.service.slots import Slots
from pixels.formats import FormatName


class Improver:
    """Looks for something smaller than a first encode.

    What has begun by the deadline is finished here, where its source lies in memory. What has not becomes an order of
    the queue, and the source is let go: so a storm of new URLs leaves this process to first answers, and what is left
    survives it. What cannot be queued is finished here all the same.

    Parameters
    ----------
    turns
        Lent to the formats behind the first: one fewer than there are encode processes, where these are two or more,
        so that AVIF never holds up a first answer.
    deadline_s
        From the request on. What is ready by then is the answer.
    """

    def __init__(
        self, turns: Slots[int], encoders: Encoders, teller: Teller, orders: Orders, *, deadline_s: float
    ) -> None:
        self._turns = turns
        self._encoders = encoders
        self._teller = teller
        self._orders = orders
        self._deadline_s = deadline_s

    def left_s(self, work: Work) -> float:
        """Tell how long it is until the deadline; 0 where it is over."""
        return max(0.0, work.begun + self._deadline_s - time.monotonic())

    async def improve(
        self, work: Work, source: SourceFile, best: Encoded, formats: Sequence[FormatName], looked: Looked
    ) -> None:
        """Answer with the smallest of `best` and what `formats` make; at the deadline, with the smallest so far."""
        kind: Kind = "final"
        is_staying = False
        for position, name in enumerate(formats):
            try:
                turn = await self._turn_in_time(work)
                if turn is None:
                    if not is_staying and await self._hand_on(work, source, best, formats[position:], looked):
                        return
                    is_staying = True
                    turn = await self._turns.acquire(work.account)
                encoded = await self._encode(work, source, best, name, turn, looked)
            except ServiceError as error:
                if error.code in OURS:
                    kind = "interim"  # what was left out for want of an encoder is tried again soon
                continue
            work.note(encoded)
            best = encoded if len(encoded.data) < len(best.data) else best
        await self._teller.tell(work, source, best, looked, kind)

    async def _turn_in_time(self, work: Work) -> int | None:
        """Wait for a turn until the deadline; None behind it, and where there is no place to wait."""
        left_s = self.left_s(work)
        if not left_s:
            return None
        try:
            async with asyncio.timeout(left_s):
                return await self._turns.acquire(work.account)
        except (TimeoutError, ServiceError):
            return None

    async def _hand_on(
        self, work: Work, source: SourceFile, best: Encoded, formats: Sequence[FormatName], looked: Looked
    ) -> bool:
        """Answer with the best so far, and leave the rest to a job; False where it cannot be queued."""
        parts = self._orders.begin()
        # Before the job can end: what it keeps takes the place of this.
        interim = await self._teller.tell(work, source, best, looked, "interim", job=parts.job_id)
        if looked.since is None or not read_freshness(source.facts.headers, source.facts.asked_at).storable:
            return True  # nobody would ever see a better one: nothing can be kept
        if interim is None:
            return False
        order = draw_up(work, source, formats, interim_bytes=interim.size, since=looked.since)
        return await self._orders.submit(parts, order, source.buffer)

    async def _encode(
        self, work: Work, source: SourceFile, best: Encoded, name: FormatName, turn: int, looked: Looked
    ) -> Encoded:
        """Encode; at the deadline, answer with the best so far and go on."""
        begun = time.monotonic()
        encoding = asyncio.create_task(
            self._encoders.encode(source.buffer, work.recipe.encode_options(name), account=work.account)
        )
        try:
            if not work.first.done():
                await asyncio.wait({encoding}, timeout=self.left_s(work))
                if not encoding.done():
                    await self._teller.tell(work, source, best, looked, "interim")
            return await encoding
        finally:
            # Before the memory of the source goes to another.
            encoding.cancel()
            self._turns.release(turn, time.monotonic() - begun)
