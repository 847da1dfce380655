"""Making one variant: the source, its encodes, the smallest of them in the end and the best so far in time."""

import asyncio
import time
from collections.abc import Iterator
from typing import Final

import msgspec

from app.errors import ServiceError
from app.ports.variants import Kind
from app.service.cdn.answers import Lives, failure_of, is_storable, make_failure, make_variant, renew
from app.service.cdn.memory import Held
from app.service.cdn.origin import Origin, SourceFile, Unchanged, is_gone
from app.service.cdn.recipe import HEAD_BYTES
from app.service.cdn.shelf import Looked, Shelf
from app.service.cdn.work import Work
from app.service.encoders import Encoded, Encoders
from app.service.slots import Slots
from pixels.formats import FormatName

#: Our own troubles, of which the next request may be free.
_OURS: Final = frozenset({"overloaded", "unavailable"})


class Maker:
    """Makes variants, and keeps them.

    Parameters
    ----------
    turns
        Lent to variants that have their source, for the quickest of their formats: as many as there are encode
        processes, whose own waiting room is for bursts. So a storm of new URLs leaves the event loop to what is kept.
    slow_turns
        Lent for the other formats. One fewer, where there are two or more: AVIF never holds up a first answer.
    deadline_s
        From the request on. What is ready by then is the answer, though something better is still being made.
    """

    def __init__(
        self,
        origin: Origin,
        turns: Slots[int],
        slow_turns: Slots[int],
        encoders: Encoders,
        shelf: Shelf,
        *,
        deadline_s: float,
        lives: Lives,
    ) -> None:
        self._origin = origin
        self._turns = turns
        self._slow_turns = slow_turns
        self._encoders = encoders
        self._shelf = shelf
        self._deadline_s = deadline_s
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
        old = looked.held
        # Of what is no final answer, the source is wanted whole.
        known = old.variant if old is not None and old.variant.kind == "final" else None
        try:
            async with self._origin.opened(work.account, work.recipe.source, known) as source:
                work.timings_ms["fetch"] = (time.monotonic() - work.begun) * 1e3
                if isinstance(source, SourceFile):
                    await self._compress(work, source, looked)
                elif old is not None:
                    await self._renew(work, source, old, looked)
        except ServiceError as error:
            await self._do_without(work, error, looked)

    async def _renew(self, work: Work, source: Unchanged, old: Held, looked: Looked) -> None:
        held = Held(renew(old.variant, source, self._lives), old.data)
        work.settle(held)
        if is_storable(held.variant):
            await self._shelf.keep(held, looked)

    async def _do_without(self, work: Work, error: ServiceError, looked: Looked) -> None:
        """Answer with what there was, or tell that there is nothing and remember it for a moment."""
        old = looked.held
        until = time.time() + self._lives.failure_s
        if old is not None and old.variant.kind != "failure" and not is_gone(error):
            held = Held(msgspec.structs.replace(old.variant, fresh_until=until), old.data)
            work.settle(held)
            await self._shelf.keep(held, looked)
            return
        if error.code in _OURS:
            raise error
        failure = make_failure(work.recipe, work.key, error, self._lives)
        work.fail(failure_of(failure, time.time()))
        await self._shelf.keep(Held(failure, b""), looked)

    async def _compress(self, work: Work, source: SourceFile, looked: Looked) -> None:
        asked = time.monotonic()
        left_s = max(0.0, work.begun + self._deadline_s - asked)
        try:
            # Who cannot get the source instead waits as long as anybody waits for an encode.
            async with asyncio.timeout(left_s if work.recipe.may_be_source(source.format) else None):
                turn = await self._turns.acquire(work.account)
        except TimeoutError:
            await self._answer_with_source(work, source, looked, None)
            return
        except ServiceError as error:
            await self._answer_with_source(work, source, looked, error)
            return
        work.timings_ms["queue"] = (time.monotonic() - asked) * 1e3
        begun = time.monotonic()
        names = iter(work.recipe.formats_for(source.format, source.buffer.head(HEAD_BYTES)))
        try:
            first = await self._encode_first(work, source, names)
        finally:
            self._turns.release(turn, time.monotonic() - begun)
        if isinstance(first, Encoded):
            await self._improve(work, source, first, names, looked)
        else:
            await self._answer_with_source(work, source, looked, first)

    async def _encode_first(
        self, work: Work, source: SourceFile, names: Iterator[FormatName]
    ) -> Encoded | ServiceError | None:
        """Encode in the first format in which that works; return why none does."""
        problem = None
        for name in names:
            try:
                encoded = await self._encoders.encode(
                    source.buffer, work.recipe.encode_options(name), account=work.account
                )
            except ServiceError as error:
                problem = error
                if error.code in _OURS:
                    break  # the others would fare no better
            else:
                work.note(encoded)
                return encoded
        return problem

    async def _improve(
        self, work: Work, source: SourceFile, best: Encoded, names: Iterator[FormatName], looked: Looked
    ) -> None:
        """Answer with the smallest there is; at the deadline, with the smallest so far."""
        kind: Kind = "final"
        for name in names:
            encoding = asyncio.create_task(self._encode_behind(work, source, name))
            try:
                await self._answer_in_time(work, source, best, encoding, looked)
                encoded = await encoding
            except ServiceError as error:
                if error.code in _OURS:
                    kind = "interim"  # what was left out for want of an encoder is tried again soon
                continue
            finally:
                # Before the memory of the source goes to another.
                encoding.cancel()
            work.note(encoded)
            best = encoded if len(encoded.data) < len(best.data) else best
        await self._finish(work, source, best, looked, kind)

    async def _encode_behind(self, work: Work, source: SourceFile, name: FormatName) -> Encoded:
        turn = await self._slow_turns.acquire(work.account)
        begun = time.monotonic()
        try:
            return await self._encoders.encode(source.buffer, work.recipe.encode_options(name), account=work.account)
        finally:
            self._slow_turns.release(turn, time.monotonic() - begun)

    async def _answer_in_time(
        self, work: Work, source: SourceFile, best: Encoded, encoding: "asyncio.Task[Encoded]", looked: Looked
    ) -> None:
        """Wait for an encode; at the deadline, answer with the best so far and return."""
        if work.first.done():
            return
        await asyncio.wait({encoding}, timeout=max(0.0, work.begun + self._deadline_s - time.monotonic()))
        if not encoding.done():
            await self._finish(work, source, best, looked, "interim")

    async def _answer_with_source(
        self, work: Work, source: SourceFile, looked: Looked, problem: ServiceError | None
    ) -> None:
        """Answer with the source as it is, where it may be; `problem` is why, None for want of time."""
        is_ours = problem is None or problem.code in _OURS
        has_better = looked.held is not None and looked.held.variant.kind in {"final", "interim"}
        if not work.recipe.may_be_source(source.format) or (is_ours and has_better):
            raise problem or ServiceError("overloaded", "All encoders are busy.")
        data = bytes(source.buffer.view())
        await self._tell(work, source, data, None, looked, "original", is_kept=not is_ours)

    async def _finish(self, work: Work, source: SourceFile, best: Encoded, looked: Looked, kind: Kind) -> None:
        if len(best.data) > source.buffer.size and work.recipe.may_be_source(source.format):
            await self._tell(work, source, bytes(source.buffer.view()), None, looked, kind)
        else:
            await self._tell(work, source, best.data, best, looked, kind)

    async def _tell(
        self,
        work: Work,
        source: SourceFile,
        data: bytes,
        encoded: Encoded | None,
        looked: Looked,
        kind: Kind,
        *,
        is_kept: bool = True,
    ) -> None:
        facts = None if encoded is None else encoded.facts
        variant = make_variant(work.recipe, work.key, source, data, facts, kind=kind, lives=self._lives)
        held = Held(variant, data)
        work.settle(held)
        if not is_storable(variant):
            return
        if is_kept:
            await self._shelf.keep(held, looked)
        else:  # in a storm, what is made anew in a moment is not worth the store's time
            self._shelf.memory.put(held, epoch=looked.epoch)
