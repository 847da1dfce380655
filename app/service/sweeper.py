"""Removes what has expired: the blobs first, then the record, so that neither is left without the other."""

import asyncio
from typing import Final, Protocol

import structlog

from app.ports.blobs import Blobs, BlobsUnavailable
from app.ports.jobs import JobsUnavailable
from app.ports.variants import VariantsUnavailable

_log = structlog.get_logger(__name__)
_BATCH: Final = 100
#: Names that are removed side by side: each is several round trips to a store that is far away.
_AT_ONCE: Final = 16


class Expiring(Protocol):
    """Who knows which blobs are to go: `Jobs`, by the id under which they lie, and `Variants`, by name."""

    async def expired(self, *, most: int) -> list[str]:
        """Return what is to be removed now, leased to the caller for a minute."""
        ...

    async def forget(self, name: str, /) -> None:
        """Forget what has been removed."""
        ...


class Sweeper:
    """Sweeps every `every_s` seconds; any number of processes run one each."""

    def __init__(self, records: Expiring, blobs: Blobs, *, every_s: float) -> None:
        self._records = records
        self._blobs = blobs
        self._every_s = every_s

    async def run(self) -> None:
        """Sweep until cancelled."""
        while True:
            try:
                swept = await self.sweep()
            except (BlobsUnavailable, JobsUnavailable, VariantsUnavailable) as error:
                _log.warning("sweep failed", reason=str(error))
                swept = 0
            if swept < _BATCH:
                await asyncio.sleep(self._every_s)

    async def sweep(self) -> int:
        """Remove what is due, a batch at most; tell how many that were.

        Raises
        ------
        BlobsUnavailable, JobsUnavailable, VariantsUnavailable
            What was not removed is due again in a minute.
        """
        names = await self._records.expired(most=_BATCH)
        left = iter(names)

        async def remove_some() -> None:
            for name in left:
                await self._blobs.delete(name)
                await self._records.forget(name)

        ends = await asyncio.gather(*(remove_some() for _ in range(_AT_ONCE)), return_exceptions=True)
        # Not before all have ended: what one cannot remove the others still can, and nobody would wait for them.
        for failure in filter(None, ends):
            raise failure
        return len(names)
