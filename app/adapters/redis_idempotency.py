"""Idempotency keys in Redis: `{cz}:idempotency:ACCOUNT:SHA-256 of the key` is a hash for each."""

import hashlib
from typing import Any, Final

from redis.asyncio import Redis

from app.adapters.asking_redis import ROOT, asking_redis, to_ms
from app.adapters.breaker import Breaker
from app.adapters.redis_client import read_script
from app.ports.idempotency import REMEMBER_S, RENEW_S, Entry

_LEASE_MS: Final = to_ms(3 * RENEW_S)


class RedisIdempotency:
    """`Idempotency` in Redis.

    Parameters
    ----------
    breaker
        Shared with whatever else asks the same Redis.
    """

    def __init__(self, client: Redis, breaker: Breaker) -> None:
        self._breaker = breaker
        self._claim = client.register_script(read_script("claim_idempotency_key"))
        self._hold = client.register_script(read_script("hold_idempotency_key"))

    async def claim(self, account: str, key: str, token: str) -> Entry:
        """Take the key, or tell who has it; see `Idempotency.claim`."""
        with asking_redis(self._breaker):
            taken, *known = await self._claim(keys=[_name(account, key)], args=[token, _LEASE_MS])
        if taken:
            return Entry("mine")
        fingerprint, job_id = (text.decode() for text in known)
        return Entry("done" if job_id else "under_way", fingerprint, job_id)

    async def renew(self, account: str, key: str, token: str, fingerprint: str = "") -> None:
        """Hold a key that is taken; see `Idempotency.renew`."""
        fields = ["fingerprint", fingerprint] if fingerprint else []
        await self._write(account, key, token, _LEASE_MS, *fields)

    async def settle(self, account: str, key: str, token: str, fingerprint: str, job_id: str) -> None:
        """Write what came of the request; see `Idempotency.settle`."""
        await self._write(account, key, token, to_ms(REMEMBER_S), "fingerprint", fingerprint, "job", job_id)

    async def release(self, account: str, key: str, token: str) -> None:
        """Forget a key; see `Idempotency.release`."""
        await self._write(account, key, token, 0)

    async def _write(self, account: str, key: str, token: str, lifetime_ms: int, *fields: Any) -> None:
        with asking_redis(self._breaker):
            await self._hold(keys=[_name(account, key)], args=[token, lifetime_ms, *fields])


def _name(account: str, key: str) -> str:
    # Keys are a customer's own text, and may be secret to them.
    return f"{ROOT}idempotency:{account}:{hashlib.sha256(key.encode()).hexdigest()}"
