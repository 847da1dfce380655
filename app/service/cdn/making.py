"""Making one variant: the source, its encodes, the smallest of them in the end and the best so far in time."""

import asyncio
import time
from typing import Final

import msgspec

from app.errors import ServiceError
from app.ports.variants import Kind, Variant
from app.service.cdn.answers import Lives, failure_of, is_storable, make_failure, make_variant, renew
from app.service.cdn.memory import Held
from app.service.cdn.origin import Origin, SourceFile, Unchanged, is_gone
from app.service.cdn.recipe import HEAD_BYTES, Recipe
from app.service.cdn.shelf import Looked, Shelf
from app.service.encoders import Encoded, Encoders
from app.service.job_blobs import new_id

#: Our own troubles, of which the next request may be free.
_OURS: Final = frozenset({"overloaded", "unavailable"})


class Work:
    """One variant on its way.

    Parameters
    ----------
    old
        What there is already, and is no longer fresh.

    Attributes
    ----------
    first
        The first answer that is good enough; more may follow for those who come later.
    is_joined
        Whether another process has made it.
    """

    def __init__(self, recipe: Recipe, key: str, old: Held | None) -> None:
        self.id = new_id()
        self.recipe = recipe
        self.key = key
        self.begun = time.monotonic()
        self.is_joined = False
        self.timings_ms: dict[str, float] = {}
        self.first: asyncio.Future[Held] = asyncio.get_running_loop().create_future()
        # Where nobody waits, nobody has to be told either.
        self.first.add_done_callback(lambda first: first.cancelled() or first.exception())
        self._old = old

    @property
    def account(self) -> str:
        """Whose it is."""
        return self.recipe.account.account

    @property
    def place(self) -> tuple[str, str]:
        """What purges know it by: account and source."""
        return self.account, self.recipe.source.canonical()

    def is_answered_by(self, variant: Variant) -> bool:
        """Whether what was found is newer than what it began with, and fresh."""
        return (self._old is None or variant != self._old.variant) and time.time() < variant.fresh_until

    def settle(self, held: Held) -> None:
        """Answer those who wait; nothing where they have an answer."""
        if not self.first.done():
            self.first.set_result(held)

    def fail(self, error: ServiceError) -> None:
        """Refuse those who wait; nothing where they have an answer."""
        if not self.first.done():
            self.first.set_exception(error)


class Maker:
    """Makes variants, and keeps them.

    Parameters
    ----------
    deadline_s
        From the request on. What is ready by then is the answer, though something better is still being made.
    """

    def __init__(self, origin: Origin, encoders: Encoders, shelf: Shelf, *, deadline_s: float, lives: Lives) -> None:
        self._origin = origin
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
            async with self._origin.opened(work.recipe.source, known) as source:
                work.timings_ms["fetch"] = (time.monotonic() - work.begun) * 1e3
                if isinstance(source, SourceFile):
                    await self._compress(work, source, looked)
                elif old is not None:
                    await self._renew(work, source, old, looked)
        except ServiceError as error:
            await self._do_without(work, error, looked)

    async def _renew(self, work: Work, source: Unchanged, old: Held, looked: Looked) -> None:
        held = Held(renew(old.variant, source.headers, self._lives), old.data)
        work.settle(held)
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
        recipe, best, problem = work.recipe, None, None
        for name in recipe.formats_for(source.format, source.buffer.head(HEAD_BYTES)):
            encoding = asyncio.create_task(
                self._encoders.encode(source.buffer, recipe.encode_options(name), account=work.account)
            )
            try:
                if best is not None:
                    await self._answer_in_time(work, source, best, encoding, looked)
                encoded = await encoding
            except ServiceError as error:
                problem = error
                if error.code in _OURS:
                    break  # the others would fare no better
                continue
            finally:
                # Before the memory of the source goes to another.
                encoding.cancel()
            _note(work, encoded)
            best = encoded if best is None or len(encoded.data) < len(best.data) else best
        if best is None:
            await self._answer_with_source(work, source, problem, looked)
            return
        # What was left out for want of an encoder is tried again soon.
        kind: Kind = "interim" if problem is not None and problem.code in _OURS else "final"
        await self._finish(work, source, best, looked, kind)

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
        self, work: Work, source: SourceFile, problem: ServiceError | None, looked: Looked
    ) -> None:
        if problem is not None and not work.recipe.may_be_source(source.format):
            raise problem
        await self._tell(work, source, bytes(source.buffer.view()), None, looked, "original")

    async def _finish(self, work: Work, source: SourceFile, best: Encoded, looked: Looked, kind: Kind) -> None:
        if len(best.data) > source.buffer.size and work.recipe.may_be_source(source.format):
            await self._tell(work, source, bytes(source.buffer.view()), None, looked, kind)
        else:
            await self._tell(work, source, best.data, best, looked, kind)

    async def _tell(
        self, work: Work, source: SourceFile, data: bytes, encoded: Encoded | None, looked: Looked, kind: Kind
    ) -> None:
        facts = None if encoded is None else encoded.facts
        variant = make_variant(work.recipe, work.key, source, data, facts, kind=kind, lives=self._lives)
        held = Held(variant, data)
        work.settle(held)
        if is_storable(variant):
            await self._shelf.keep(held, looked)


def _note(work: Work, encoded: Encoded) -> None:
    """Add the stages of an encode to what the work took; no more once somebody is being told."""
    if work.first.done():
        return
    facts, timings = encoded.facts, work.timings_ms
    for stage, took_ms in (
        ("queue", encoded.queue_ms),
        ("decode", facts.decode_ms),
        ("search", facts.search_ms),
        ("encode", facts.encode_ms),
    ):
        timings[stage] = timings.get(stage, 0) + took_ms
