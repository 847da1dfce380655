"""Signing keys and CDN accounts in Redis. Look-ups are remembered for less than a second: see `lookups`.

| key of Redis | holds |
| --- | --- |
| `{cz}:signing_key:ID` | hash: the fields of `SigningKey`; the secret is readable, because URLs are signed with it |
| `{cz}:signing_key_ids` | set: ids of every key ever made |
| `{cz}:signing_keys_of:ACCOUNT` | set: ids of all its keys |
| `{cz}:live_signing_keys_of:ACCOUNT` | set: ids of those that are not revoked |
| `{cz}:cdn_accounts` | hash: account -> `CdnAccount` in JSON |
"""

import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import msgspec
from redis.asyncio import Redis
from redis.exceptions import RedisError

from app.adapters.blob_names import check_name
from app.adapters.breaker import Breaker
from app.adapters.key_format import make_signing_key_id, make_signing_secret
from app.adapters.lookups import Lookups
from app.adapters.redis_client import read_script
from app.adapters.redis_keys import check_account
from app.ports.cdn_accounts import (
    LIVE_SIGNING_KEYS,
    MAX_ORIGINS,
    CdnAccount,
    CdnAccountsUnavailable,
    SigningKey,
)

_KEY_ID: Final = re.compile(r"cdn_[0-9A-Za-z]{1,28}")


class RedisCdnAccounts:
    """`CdnAccounts` in Redis. One for each event loop.

    Parameters
    ----------
    breaker
        Shared with whatever else asks the same Redis.
    """

    def __init__(self, client: Redis, breaker: Breaker) -> None:
        self._client = client
        self._create = client.register_script(read_script("create_signing_key"))
        self._keys = Lookups(self._read_live_key, breaker, CdnAccountsUnavailable)
        self._accounts = Lookups(self._read_account, breaker, CdnAccountsUnavailable)

    async def find_key(self, key_id: str) -> SigningKey | None:
        """Return the live key of this id, at most a second old; see `CdnAccounts.find_key`."""
        return await self._keys.find(key_id) if _KEY_ID.fullmatch(key_id) else None

    async def find_account(self, account: str) -> CdnAccount:
        """Return what the account allows, at most a second old; see `CdnAccounts.find_account`."""
        found = await self._accounts.find(account)
        return CdnAccount(account) if found is None else found

    async def create_key(self, account: str) -> SigningKey:
        """Make a key for `account`; see `CdnAccounts.create_key`."""
        check_account(account)
        key = SigningKey(make_signing_key_id(), account, make_signing_secret(), created=time.time())
        fields = [text for pair in msgspec.structs.asdict(key).items() if pair[1] is not None for text in pair]
        with _asking_redis():
            is_made = await self._create(
                keys=[_record(key.id), _live_of(account), _all_of(account), _IDS],
                args=[LIVE_SIGNING_KEYS, key.id, *fields],
            )
        if not is_made:
            raise ValueError(f"{account} has {LIVE_SIGNING_KEYS} live signing keys already: revoke one first")
        return key

    async def list_keys(self, account: str | None = None) -> list[SigningKey]:
        """All keys, newest first; see `CdnAccounts.list_keys`."""
        with _asking_redis():
            ids: Any = await self._client.smembers(_IDS if account is None else _all_of(account))
            pipeline = self._client.pipeline(transaction=False)
            for key_id in ids:
                pipeline.hgetall(_record(key_id.decode()))
            keys = map(_decode, await pipeline.execute())
        return sorted((key for key in keys if key), key=lambda key: key.created, reverse=True)

    async def revoke_key(self, key_id: str) -> SigningKey | None:
        """End a key everywhere within a second; see `CdnAccounts.revoke_key`."""
        with _asking_redis():
            key = _decode(await self._client.hgetall(_record(key_id)))
            if key is None:
                return None
            pipeline = self._client.pipeline(transaction=True)
            pipeline.hsetnx(_record(key_id), "revoked", str(time.time()))
            pipeline.srem(_live_of(key.account), key_id)
            pipeline.hgetall(_record(key_id))
            *_, fields = await pipeline.execute()
        self._keys.forget(key_id)
        return _decode(fields)

    async def write_account(self, account: CdnAccount) -> None:
        """Keep what the account allows from now on; see `CdnAccounts.write_account`."""
        check_account(account.account)
        if len(account.origins) > MAX_ORIGINS:
            raise ValueError(f"An account has at most {MAX_ORIGINS} origins")
        if account.bucket_prefix is not None:
            check_name(account.bucket_prefix)
        with _asking_redis():
            await self._client.hset(_ACCOUNTS, account.account, msgspec.json.encode(account).decode())
        self._accounts.forget(account.account)

    async def list_accounts(self) -> list[CdnAccount]:
        """All accounts that were ever written, by name; see `CdnAccounts.list_accounts`."""
        with _asking_redis():
            found: Any = await self._client.hvals(_ACCOUNTS)
        accounts = [msgspec.json.decode(text, type=CdnAccount) for text in found]
        return sorted(accounts, key=lambda one: one.account)

    async def _read_live_key(self, key_id: str) -> SigningKey | None:
        key = _decode(await self._client.hgetall(_record(key_id)))
        return None if key is None or key.revoked is not None else key

    async def _read_account(self, account: str) -> CdnAccount | None:
        found: Any = await self._client.hget(_ACCOUNTS, account)
        return None if found is None else msgspec.json.decode(found, type=CdnAccount)


_IDS: Final = "{cz}:signing_key_ids"
_ACCOUNTS: Final = "{cz}:cdn_accounts"


def _record(key_id: str) -> str:
    return f"{{cz}}:signing_key:{key_id}"


def _all_of(account: str) -> str:
    return f"{{cz}}:signing_keys_of:{account}"


def _live_of(account: str) -> str:
    return f"{{cz}}:live_signing_keys_of:{account}"


def _decode(fields: Mapping[Any, Any]) -> SigningKey | None:
    if not fields:
        return None
    return msgspec.convert({name.decode(): text.decode() for name, text in fields.items()}, SigningKey, strict=False)


@contextmanager
def _asking_redis() -> Iterator[None]:
    try:
        yield
    except (RedisError, OSError) as error:
        raise CdnAccountsUnavailable("Redis does not answer") from error
