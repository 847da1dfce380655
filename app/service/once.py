"""Requests with an `Idempotency-Key`: however often one is sent, the work is done, and counted, once."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from app.errors import ServiceError, unavailable
from app.ports.idempotency import RENEW_S, Idempotency
from app.ports.jobs import JobsUnavailable
from app.service.job_blobs import new_id

#: A request that finds another with its key under way looks this often whether that has ended ...
_POLL_S: Final = 0.05
#: ... for so long: no request answered at once takes longer.
_PATIENCE_S: Final = 45.0


@dataclass(slots=True)
class Claim:
    """One request's claim on its key.

    Attributes
    ----------
    is_mine
        Whether this request does the work.
    fingerprint
        What the request asks for, once its body has been read.
    """

    account: str
    key: str
    token: str
    is_mine: bool
    fingerprint: str = ""
    is_settled: bool = False


def fingerprint_of(*parts: Any) -> str:
    """Name what a request asks for: its source and all its parameters, in builtin types or Structs."""
    return hashlib.sha256(msgspec.msgpack.encode(parts)).hexdigest()


class Once:
    """Lets one request of those with the same account and key do the work."""

    def __init__(self, idempotency: Idempotency) -> None:
        self._idempotency = idempotency

    async def claim(self, account: str, key: str) -> Claim:
        """Take a key, or find that another request has it.

        Raises
        ------
        ServiceError
            503 `unavailable`: it cannot be looked up, so that nothing could be promised.
        """
        token = new_id()
        try:
            entry = await self._idempotency.claim(account, key, token)
        except JobsUnavailable:
            raise unavailable() from None
        return Claim(account, key, token, entry.state == "mine")

    @asynccontextmanager
    async def held(self, claim: Claim) -> AsyncIterator[None]:
        """Keep a key while its request is handled; give it up where nothing came of that."""
        renewal = asyncio.create_task(self._renew(claim))
        try:
            yield
        finally:
            renewal.cancel()
            if claim.is_mine and not claim.is_settled:
                await self.release(claim)

    async def resolve(self, claim: Claim, fingerprint: str) -> str | None:
        """Find out what became of the first request with the key.

        Returns
        -------
        str or None
            The id of the job that it made; None where this request is the one to do the work.

        Raises
        ------
        ServiceError
            409 `idempotency_conflict`: it asked for something else, or takes too long. 503 `unavailable`.
        """
        claim.fingerprint = fingerprint
        try:
            if claim.is_mine:
                # Now, so that others need not wait to learn that they ask for something else.
                await self._idempotency.renew(claim.account, claim.key, claim.token, fingerprint)
                return None
            return await self._follow(claim)
        except JobsUnavailable:
            raise unavailable() from None

    async def settle(self, claim: Claim, job_id: str) -> None:
        """Write what came of the request, for those who repeat it.

        Raises
        ------
        ServiceError
            503 `unavailable`: it cannot be written, so that a repetition would do the work again.
        """
        try:
            await self._idempotency.settle(claim.account, claim.key, claim.token, claim.fingerprint, job_id)
        except JobsUnavailable:
            raise unavailable() from None
        claim.is_settled = True

    async def release(self, claim: Claim) -> None:
        """Give a key up; where that fails, its lease ends by itself."""
        with suppress(JobsUnavailable):
            await self._idempotency.release(claim.account, claim.key, claim.token)

    async def _follow(self, claim: Claim) -> str | None:
        deadline = asyncio.get_running_loop().time() + _PATIENCE_S
        while asyncio.get_running_loop().time() < deadline:
            entry = await self._idempotency.claim(claim.account, claim.key, claim.token)
            if entry.state == "mine":  # the first one came to nothing
                claim.is_mine = True
                await self._idempotency.renew(claim.account, claim.key, claim.token, claim.fingerprint)
                return None
            if entry.fingerprint and entry.fingerprint != claim.fingerprint:
                raise conflict("This Idempotency-Key was used with another file or other parameters.")
            if entry.state == "done":
                return entry.job_id
            await asyncio.sleep(_POLL_S)
        raise conflict("A request with this Idempotency-Key is still under way.")

    async def _renew(self, claim: Claim) -> None:
        while True:
            await asyncio.sleep(RENEW_S)
            if claim.is_mine:
                with suppress(JobsUnavailable):
                    await self._idempotency.renew(claim.account, claim.key, claim.token)


def conflict(message: str) -> ServiceError:
    """409 for a key that is taken."""
    return ServiceError("idempotency_conflict", message)
