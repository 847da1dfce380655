"""What other processes do to variants: purges, which memory follows at once, and work that somebody waits for."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import structlog

from app.ports.variants import Purge, Variants, VariantsUnavailable
from app.service.cdn.memory import Memory

_log = structlog.get_logger(__name__)
_PAUSE_S: Final = 0.2


class News:
    """Listens, for one event loop.

    Parameters
    ----------
    on_purge
        Told of every purge after memory has followed it.
    """

    def __init__(self, variants: Variants, memory: Memory, on_purge: Callable[[Purge], None]) -> None:
        self._variants = variants
        self._memory = memory
        self._on_purge = on_purge
        self._waiting: defaultdict[str, set[asyncio.Event]] = defaultdict(set)

    @contextmanager
    def expecting(self, key: str) -> Iterator[asyncio.Event]:
        """Have an event set whenever something is kept under `key`, or given up."""
        event = asyncio.Event()
        self._waiting[key].add(event)
        try:
            yield event
        finally:
            self._waiting[key].discard(event)
            if not self._waiting[key]:
                del self._waiting[key]

    async def listen(self) -> None:
        """Listen until cancelled."""
        place: tuple[str, str] | None = None
        while True:
            try:
                if place is None:
                    place = await self._variants.place()
                    # What was purged before is not known: nothing may be answered from memory that was held then.
                    self._memory.clear()
                told = await self._variants.news(place)
            except VariantsUnavailable as error:
                if place is not None:
                    _log.warning("purges cannot be followed", reason=str(error))
                place = None
                await asyncio.sleep(_PAUSE_S)
                continue
            if told is None:
                place = None
                continue
            place = told.place
            for purge in told.purges:
                self._memory.purge(purge)
                self._on_purge(purge)
            for key in told.ended:
                self._memory.drop_unfinished(key)
                for event in self._waiting.get(key, ()):
                    event.set()
