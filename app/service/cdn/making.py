"""Making one variant: the source, its first encode, or what there is already."""

import asyncio
import time
from collections.abc import Sequence

import msgspec

from app.errors import ServiceError
from app.service.cdn.answers import (
    Lives,
    failure_of,
    is_storable,
    make_failure,
    may_be_used_unasked,
    promote,
    renew,
    renew_unasked,
    stands_in_until,
)
from app.service.cdn.improving import Improver
from app.service.cdn.memory import Held
from app.service.cdn.orders import Orders
from app.service.cdn.origin import Origin, SourceFile, Unchanged, is_gone
from app.service.cdn.recipe import HEAD_BYTES
from app.service.cdn.shelf import Looked, Shelf
from app.service.cdn.telling import Teller
from app.service.cdn.work import OURS, Work
from app.service.encoders import Encoded, Encoders
from app.service.slots import Slots
from pixels.formats import FormatName


class Maker:
    """Makes variants, and keeps them.

    Parameters
    ----------
    turns
        Lent to variants that have their source, for the quickest of their formats: as many as there are encode
        processes, whose own waiting room is for bursts. So a storm of new URLs leaves the event loop to what is kept.
    improver
        Has the deadline, by which there is an answer.
    """

    def __init__(
        self,
        origin: Origin,
        turns: Slots[int],
        encoders: Encoders,
        shelf: Shelf,
        teller: Teller,
        improver: Improver,
        orders: Orders,
        *,
        lives: Lives,
    ) -> None:
        self._origin = origin
        self._turns = turns
        self._encoders = encoders
        self._shelf = shelf
        self._teller = teller
        self._improver = improver
        self._orders = orders
        self._lives = lives

    async def make(self, work: Work, looked: Looked) -> None:
        """Make a variant, settle `work` as soon as there is an answer, and return when there is nothing left to do.

        Parameters
        ----------
        looked
            What is kept, as it was found before the source is asked for.

        Raises
        ------
        ServiceError
            There is no answer, and why.
        """
        looked, is_ordered = await self._follow_order(looked)
        old = looked.held
        if old is not None and is_ordered:
            waiting = Held(renew_unasked(old.variant, self._lives), old.data)
            if may_be_used_unasked(waiting.variant):
                work.settle(waiting)
                await self._shelf.keep(waiting, looked)
                return
        # Of what is no final answer, and will be none, the source is wanted whole.
        known = old.variant if old is not None and (is_ordered or old.variant.kind == "final") else None
        try:
            async with self._origin.opened(work.account, work.recipe.source, known) as source:
                work.timings_ms["fetch"] = (time.monotonic() - work.begun) * 1e3
                if isinstance(source, SourceFile):
                    await self._compress(work, source, looked)
                elif old is not None:
                    await self._renew(work, source, old, looked)
        except ServiceError as error:
            await self._do_without(work, error, looked)

    async def _follow_order(self, looked: Looked) -> tuple[Looked, bool]:
        """Look what became of the job that an interim answer waits for: whether it waits still.

        Where the job has failed, after three workers died of it, the interim answer counts as the final one: who made
        it anew would begin the next such job.
        """
        old = looked.held
        if old is None or not old.variant.job:
            return looked, False
        state = await self._orders.state(old.variant.job)
        if state == "failed":
            looked = looked._replace(held=Held(promote(old.variant), old.data))
        return looked, state == "processing"

    async def _renew(self, work: Work, source: Unchanged, old: Held, looked: Looked) -> None:
        is_short = old.variant.kind != "final"
        held = Held(renew(old.variant, source, self._lives, is_short=is_short), old.data)
        work.settle(held)
        if is_storable(held.variant):
            await self._shelf.keep(held, looked)

    async def _do_without(self, work: Work, error: ServiceError, looked: Looked) -> None:
        """Answer with what there was, or tell that there is nothing and remember it for a moment."""
        old, now = looked.held, time.time()
        until = 0.0
        if old is not None and old.variant.kind != "failure" and not is_gone(error):
            until = min(stands_in_until(old.variant, self._lives), now + self._lives.failure_s)
        if old is not None and until > now:
            held = Held(msgspec.structs.replace(old.variant, fresh_until=until), old.data)
            work.settle(held)
            await self._shelf.keep(held, looked)
            return
        if error.code in OURS:
            raise error
        failure = make_failure(work.recipe, work.key, error, self._lives)
        work.fail(failure_of(failure, time.time()))
        await self._shelf.keep(Held(failure, b""), looked)

    async def _compress(self, work: Work, source: SourceFile, looked: Looked) -> None:
        asked = time.monotonic()
        left_s = self._improver.left_s(work)
        try:
            # Who cannot get the source instead waits as long as anybody waits for an encode.
            async with asyncio.timeout(left_s if work.recipe.may_stand_in(source.facts.format) else None):
                turn = await self._turns.acquire(work.account)
        except TimeoutError:
            await self._answer_with_source(work, source, looked, None)
            return
        except ServiceError as error:
            await self._answer_with_source(work, source, looked, error)
            return
        work.timings_ms["queue"] = (time.monotonic() - asked) * 1e3
        begun = time.monotonic()
        formats = work.recipe.formats_for(source.facts.format, source.buffer.head(HEAD_BYTES))
        try:
            first, left = await self._encode_first(work, source, formats)
        finally:
            self._turns.release(turn, time.monotonic() - begun)
        if isinstance(first, Encoded):
            await self._improver.improve(work, source, first, left, looked)
        else:
            await self._answer_with_source(work, source, looked, first)

    async def _encode_first(
        self, work: Work, source: SourceFile, formats: Sequence[FormatName]
    ) -> tuple[Encoded | ServiceError | None, Sequence[FormatName]]:
        """Encode in the first format in which that works, and tell which are left; or why none does."""
        problem = None
        for position, name in enumerate(formats, 1):
            try:
                encoded = await self._encoders.encode(
                    source.buffer, work.recipe.encode_options(name), account=work.account
                )
            except ServiceError as error:
                problem = error
                if error.code in OURS:
                    break  # the others would fare no better
            else:
                work.note(encoded)
                return encoded, formats[position:]
        return problem, ()

    async def _answer_with_source(
        self, work: Work, source: SourceFile, looked: Looked, problem: ServiceError | None
    ) -> None:
        """Answer with the source, where it may stand in; `problem` is why, None for want of time."""
        is_ours = problem is None or problem.code in OURS
        has_better = looked.held is not None and looked.held.variant.kind in {"final", "interim"}
        may_stand_in = work.recipe.may_stand_in(source.facts.format) and not (is_ours and has_better)
        if not may_stand_in or not await self._teller.tell_source(work, source, looked, is_kept=not is_ours):
            raise problem or ServiceError("overloaded", "All encoders are busy.")
