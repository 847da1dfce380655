"""Telling an answer to those who wait for it, and keeping it."""

from app.ports.variants import Kind, Variant
from app.service.cdn.answers import Lives, is_storable, make_variant
from app.service.cdn.memory import Held
from app.service.cdn.origin import SourceFile
from app.service.cdn.shelf import Looked, Shelf
from app.service.cdn.standing_in import stand_in
from app.service.cdn.work import Work
from app.service.encode_protocol import Done
from app.service.encoders import Encoded


class Teller:
    """Makes answers of encodes; never one with more bytes than its source, where that may be the answer."""

    def __init__(self, shelf: Shelf, lives: Lives) -> None:
        self._shelf = shelf
        self._lives = lives

    async def tell(
        self, work: Work, source: SourceFile, best: Encoded, looked: Looked, kind: Kind, *, job: str = ""
    ) -> Variant | None:
        """Answer with an encode, or with the source where that is smaller, and keep it.

        Parameters
        ----------
        job
            Where the answer is an interim one: the job that is to make the final one.

        Returns
        -------
        Variant | None
            The variant, once it is kept.
        """
        original = None
        if len(best.data) > source.buffer.size and work.recipe.may_be_source(source.facts.format):
            original = await stand_in(source, work.recipe.options.keep)
        data, facts = (best.data, best.facts) if original is None else (original, None)
        held = self._make(work, source, data, facts, kind, job)
        work.settle(held)
        is_kept = is_storable(held.variant) and await self._shelf.keep(held, looked)
        return held.variant if is_kept else None

    async def tell_source(self, work: Work, source: SourceFile, looked: Looked, *, is_kept: bool) -> bool:
        """Answer with the source, which cannot be compressed now; where it is not to be kept, memory alone has it.

        Returns
        -------
        bool
            False where it cannot be the answer, because its metadata cannot be cut out.
        """
        data = await stand_in(source, work.recipe.options.keep)
        if data is None:
            return False
        held = self._make(work, source, data, None, "original", "")
        work.settle(held)
        if not is_storable(held.variant):
            return True
        if is_kept:
            await self._shelf.keep(held, looked)
        else:  # in a storm, what is made anew in a moment is not worth the store's time
            self._shelf.memory.put(held, epoch=looked.epoch)
        return True

    def _make(self, work: Work, source: SourceFile, data: bytes, facts: Done | None, kind: Kind, job: str) -> Held:
        return Held(
            make_variant(work.recipe, work.key, source, data, facts, kind=kind, lives=self._lives, job=job), data
        )
