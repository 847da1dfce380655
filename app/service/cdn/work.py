"""One variant on its way, and those who wait for it."""

import asyncio
import time
from typing import Final

from app.errors import ServiceError
from app.ports.variants import Variant
from app.service.cdn.memory import Held
from app.service.cdn.recipe import Recipe
from app.service.encoders import Encoded
from app.service.job_blobs import new_id

#: Our own troubles, of which the next request may be free.
OURS: Final = frozenset({"overloaded", "unavailable"})


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

    def note(self, encoded: Encoded) -> None:
        """Add the stages of an encode to what the work took; no more once there is an answer."""
        if self.first.done():
            return
        facts, timings = encoded.facts, self.timings_ms
        for stage, took_ms in (
            ("queue", encoded.queue_ms),
            ("decode", facts.decode_ms),
            ("search", facts.search_ms),
            ("encode", facts.encode_ms),
        ):
            timings[stage] = timings.get(stage, 0) + took_ms
