"""The worker's share of the CDN origin: makes what an order has left, and keeps the final variant."""

import asyncio
from typing import Final

from app.errors import ServiceError
from app.ports.jobs import Job, JobsUnavailable, Outcome
from app.ports.variants import VariantsUnavailable
from app.service.buffers import SharedBuffer
from app.service.cdn.answers import Lives, make_variant, promote, renew
from app.service.cdn.memory import Held
from app.service.cdn.orders import Order, read_order
from app.service.cdn.origin import SourceFile
from app.service.cdn.shelf import Looked, Shelf
from app.service.cdn.work import OURS
from app.service.compress import outcome_of
from app.service.encoders import Encoded, Encoders

#: Who makes the same variant anew has it in a moment, and is asked again after this.
_PAUSE_S: Final = 0.2


class Finisher:
    """Fulfils orders.

    Parameters
    ----------
    shelf
        What is kept there, all processes learn.
    """

    def __init__(self, shelf: Shelf, encoders: Encoders, lives: Lives) -> None:
        self._shelf = shelf
        self._encoders = encoders
        self._lives = lives

    async def fulfil(self, job: Job, source: SharedBuffer) -> Outcome:
        """Encode in the formats that are left, and keep the smallest of these and the interim answer as the final one.

        Nothing is kept where the variant was purged meanwhile, or is being made anew of another source.

        Returns
        -------
        Outcome
            Of the smallest of these encodes, whichever was kept.

        Raises
        ------
        ServiceError
            503 `overloaded`. Or why none of the formats works: then the interim answer is the final one.
        BlobsUnavailable, JobsUnavailable
            The store or the index does not answer, and nothing was kept.
        """
        order = read_order(job)
        best, problem = await self._encode(order, source, account=job.account)
        await self._keep(order, job.id, source, best)
        if best is None:
            raise problem or ServiceError("compression_failed", "The order names no format.")
        return outcome_of(best)

    async def _encode(
        self, order: Order, source: SharedBuffer, *, account: str
    ) -> tuple[Encoded | None, ServiceError | None]:
        best, problem = None, None
        for name in order.formats:
            try:
                encoded = await self._encoders.encode(source, order.recipe.encode_options(name), account=account)
            except ServiceError as error:
                if error.code in OURS:
                    raise
                problem = error
                continue
            if best is None or len(encoded.data) < len(best.data):
                best = encoded
        return best, problem

    async def _keep(self, order: Order, job_id: str, source: SharedBuffer, best: Encoded | None) -> None:
        try:
            looked = await self._take_lead(order, job_id)
            try:
                held = self._choose(order, job_id, source, best, looked.held)
                if held is not None:
                    await self._shelf.store(held, looked._replace(since=order.since))
            finally:
                await self._shelf.resign(order.key, job_id)
        except VariantsUnavailable as error:
            raise JobsUnavailable(str(error)) from error

    async def _take_lead(self, order: Order, job_id: str) -> Looked:
        """Wait until nobody else makes the variant, so that nothing newer is replaced."""
        while True:
            leads, looked = await self._shelf.lead(order.key, job_id)
            if looked.since is None:
                raise VariantsUnavailable("The index of variants does not answer.")
            if leads:
                return looked
            await asyncio.sleep(_PAUSE_S)

    def _choose(
        self, order: Order, job_id: str, buffer: SharedBuffer, best: Encoded | None, found: Held | None
    ) -> Held | None:
        """Return the final variant; None where there is none, or what is there is not this order's any more."""
        if found is not None and found.variant.job != job_id:
            return None
        if best is not None and len(best.data) < order.interim_bytes:
            source = SourceFile(buffer, order.facts)
            variant = make_variant(
                order.recipe, order.key, source, best.data, best.facts, kind="final", lives=self._lives
            )
            return Held(variant, best.data)
        # Pushed out, if it is not there: then it is made anew for whoever asks.
        return None if found is None else Held(renew(promote(found.variant), order.facts, self._lives), found.data)
