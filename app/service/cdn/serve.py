"""The CDN origin: one answer to one request, from memory, from the store, or made now; once, however many ask."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final, Literal, NamedTuple

import structlog

from app.errors import ServiceError
from app.ports.variants import LEAD_EVERY_S, Purge, Variants, VariantsUnavailable
from app.service.cdn.answers import failure_of
from app.service.cdn.making import Maker
from app.service.cdn.memory import Held
from app.service.cdn.news import News
from app.service.cdn.recipe import Recipe
from app.service.cdn.shelf import Looked, Shelf
from app.service.cdn.work import Work

_log = structlog.get_logger(__name__)
#: Uses that memory has answered are told to the index this often. What is used less often is not hot.
_NOTE_USES_S: Final = 10.0

#: How an answer came about: found fresh; found stale, and asked about behind the answer; made for it; made for another
#: request at the same time.
CdnCacheState = Literal["hit", "stale", "miss", "join"]


class Served(NamedTuple):
    """An answer; `timings_ms` by stage, empty where nothing was made for it."""

    held: Held
    cache: CdnCacheState
    timings_ms: dict[str, float]


class Cdn:
    """Answers requests whose signature was found good."""

    def __init__(self, shelf: Shelf, variants: Variants, maker: Maker) -> None:
        self.shelf = shelf
        self._variants = variants
        self._maker = maker
        self._news = News(variants, shelf.memory, self._follow_purge)
        self._works: dict[str, Work] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Listen for what other processes do."""
        behind = [asyncio.create_task(work) for work in (self._news.listen(), self._note_uses())]
        try:
            yield
        finally:
            # What is being made is worth nothing to anybody after the last answer: it is made again.
            for task in (*behind, *self._tasks):
                task.cancel()
            await asyncio.gather(*behind, *self._tasks, return_exceptions=True)

    async def answer(self, recipe: Recipe) -> Served:
        """Answer one request.

        Raises
        ------
        ServiceError
            The source cannot be had, and was never; its `Cache-Control` tells for how long not to ask again. Or 503.
        """
        key = recipe.key()
        held = await self.shelf.find(key)
        now = time.time()
        if held is not None and now < held.variant.fresh_until:
            return Served(_told(held, now), "hit", {})
        if held is not None and now < held.variant.stale_until:
            self._begin(recipe, key, held)
            return Served(held, "stale", {})
        work, is_new = self._begin(recipe, key, held)
        held = await asyncio.shield(work.first)
        is_join = not is_new or work.is_joined
        return Served(_told(held, time.time()), "join" if is_join else "miss", {} if is_join else work.timings_ms)

    async def purge(self, purge: Purge) -> int:
        """Remove what a purge covers, everywhere within a second; return how many variants were kept.

        Raises
        ------
        VariantsUnavailable
            It may have been done in part, and has to be repeated.
        """
        return await self._variants.purge(purge)

    def _begin(self, recipe: Recipe, key: str, old: Held | None) -> tuple[Work, bool]:
        """Return the work on a variant, and whether it begins now."""
        work = self._works.get(key)
        if work is not None:
            return work, False
        work = self._works[key] = Work(recipe, key, old)
        task = asyncio.create_task(self._run(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return work, True

    async def _run(self, work: Work) -> None:
        """Bring a work to its end, whatever that is; it goes on when nobody waits for it any more."""
        heart = None
        try:
            looked = await self._take_lead(work)
            if looked is not None:
                heart = asyncio.create_task(self._keep_lead(work))
                await self._maker.make(work, looked)
        except ServiceError as error:
            work.fail(error)
        except Exception:
            _log.exception("a variant could not be made", key=work.key)
            work.fail(ServiceError("compression_failed", "Something went wrong on our side. Try again."))
        finally:
            if heart is not None:
                heart.cancel()
            if self._works.get(work.key) is work:
                del self._works[work.key]
            work.fail(ServiceError("unavailable", "The service is ending. Try again.", headers={"Retry-After": "1"}))
            await self.shelf.resign(work.key, work.id)

    async def _take_lead(self, work: Work) -> Looked | None:
        """Wait until this process is the one that makes the variant; None where another has made it meanwhile."""
        with self._news.expecting(work.key) as ended:
            while True:
                ended.clear()
                leads, looked = await self.shelf.lead(work.key, work.id)
                if looked.held is not None and work.is_answered_by(looked.held.variant):
                    work.is_joined = True
                    work.settle(looked.held)
                    return None
                if leads:
                    return looked
                with suppress(TimeoutError):
                    # A leader that died tells nothing: its lease runs out.
                    await asyncio.wait_for(ended.wait(), LEAD_EVERY_S)

    async def _keep_lead(self, work: Work) -> None:
        while True:
            await asyncio.sleep(LEAD_EVERY_S)
            if self._works.get(work.key) is not work:
                return  # a purge has given the lead to who asks from now on
            with suppress(VariantsUnavailable):
                await self._variants.lead(work.key, work.id)

    async def _note_uses(self) -> None:
        while True:
            await asyncio.sleep(_NOTE_USES_S)
            await self.shelf.note_uses()

    def _follow_purge(self, purge: Purge) -> None:
        """Let nobody who asks from now on join a work whose source was got before."""
        for key, work in list(self._works.items()):
            # Of a work under way no tags are known yet: one that has none of them is begun anew for nothing.
            is_covered = purge.account == work.account if purge.by == "tag" else purge.covers(*work.place, ())
            if is_covered:
                del self._works[key]
                resigning = asyncio.create_task(self.shelf.resign(work.key, work.id))
                self._tasks.add(resigning)
                resigning.add_done_callback(self._tasks.discard)


def _told(held: Held, now: float) -> Held:
    if held.variant.kind == "failure":
        raise failure_of(held.variant, now)
    return held
