"""API keys in Redis: HMACs of keys, never a key. Look-ups are remembered for less than a second.

| key of Redis | holds |
| --- | --- |
| `{cz}:key:DIGEST` | hash: the fields of `ApiKey` |
| `{cz}:key_ids` | hash: id -> digest, of every key ever made |
| `{cz}:keys_of:ACCOUNT` | set: digests of all its keys |
| `{cz}:live_keys_of:ACCOUNT` | set: digests of those that are not revoked |
| `{cz}:webhook_secret:ACCOUNT` | string, readable: workers sign with it |
"""

import asyncio
import time
from collections.abc import Coroutine, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, Final

import msgspec
from redis.asyncio import Redis
from redis.exceptions import RedisError

from app.adapters.breaker import Breaker
from app.adapters.key_format import SHOWN, digest, is_well_formed, make_key, make_key_id, make_webhook_secret
from app.adapters.lookups import Lookups
from app.adapters.redis_client import read_script
from app.ports.keys import LIVE_KEYS_PER_ACCOUNT, PER_MINUTE, ApiKey, KeysUnavailable, NewKey, Plan

_LAST_USED_EVERY_S: Final = 60.0
_MAX_ACCOUNT_CHARACTERS: Final = 200
#: Records read in one round trip.
_BATCH: Final = 500


class RedisKeys:
    """`Keys` in Redis. One for each event loop.

    Parameters
    ----------
    breaker
        Shared with whatever else asks the same Redis.
    pepper
        The secret that keys are hashed with; with another one, no key is found.
    """

    def __init__(self, client: Redis, breaker: Breaker, pepper: bytes) -> None:
        self._client = client
        self._pepper = pepper
        self._create = client.register_script(read_script("create_key"))
        self._lookups = Lookups(self._read_live, breaker, KeysUnavailable)
        self._background: set[asyncio.Task[None]] = set()

    async def find(self, key: str) -> ApiKey | None:
        """Return the live key's record, at most a second old; see `Keys.find`."""
        if not is_well_formed(key):
            return None
        return await self._lookups.find(digest(self._pepper, key))

    async def create(self, *, account: str, plan: Plan, per_minute: int | None = None) -> NewKey:
        """Make a key for `account`; see `Keys.create`."""
        check_account(account)
        key = make_key()
        record = ApiKey(
            id=make_key_id(),
            account=account,
            prefix=key[:SHOWN],
            plan=plan,
            per_minute=_per_minute(plan, per_minute),
            created=time.time(),
        )
        name = digest(self._pepper, key)
        fields = [text for pair in msgspec.structs.asdict(record).items() if pair[1] is not None for text in pair]
        with _asking_redis():
            secret = await self._create(
                keys=[_record(name), _live_of(account), _all_of(account), _secret_of(account), _IDS],
                args=[LIVE_KEYS_PER_ACCOUNT, name, record.id, make_webhook_secret(), *fields],
            )
        if secret is None:
            raise ValueError(f"{account} has {LIVE_KEYS_PER_ACCOUNT} live keys already: revoke one first")
        return NewKey(key=key, webhook_secret=secret.decode(), record=record)

    async def list(self, account: str | None = None) -> list[ApiKey]:
        """All keys, newest first; see `Keys.list`."""
        with _asking_redis():
            if account is None:
                names: list[Any] = await self._client.hvals(_IDS)
            else:
                names = list(await self._client.smembers(_all_of(account)))
            records: list[ApiKey | None] = []
            for start in range(0, len(names), _BATCH):
                pipeline = self._client.pipeline(transaction=False)
                for name in names[start : start + _BATCH]:
                    pipeline.hgetall(_record(name.decode()))
                records += map(_decode, await pipeline.execute())
        return sorted((record for record in records if record), key=lambda record: record.created, reverse=True)

    async def revoke(self, key_id: str) -> ApiKey | None:
        """End a key everywhere within a second; see `Keys.revoke`."""
        name, record = await self._read_by_id(key_id)
        if record is None:
            return None
        with _asking_redis():
            pipeline = self._client.pipeline(transaction=True)
            pipeline.hsetnx(_record(name), "revoked", str(time.time()))
            pipeline.srem(_live_of(record.account), name)
            pipeline.hgetall(_record(name))
            *_, fields = await pipeline.execute()
        self._lookups.forget(name)
        return _decode(fields)

    async def rotate(self, key_id: str) -> NewKey | None:
        """Make another key on the same account and plan; see `Keys.rotate`."""
        _, record = await self._read_by_id(key_id)
        if record is None:
            return None
        if record.revoked is not None:
            raise ValueError(f"{key_id} is revoked: create a key instead")
        own_number = None if record.plan in PER_MINUTE else record.per_minute
        return await self.create(account=record.account, plan=record.plan, per_minute=own_number)

    async def webhook_secret(self, account: str) -> str | None:
        """Return what the account's webhooks are signed with; see `Keys.webhook_secret`."""
        with _asking_redis():
            secret: Any = await self._client.get(_secret_of(account))
        return None if secret is None else secret.decode()

    async def _read_by_id(self, key_id: str) -> tuple[str, ApiKey | None]:
        with _asking_redis():
            name: Any = await self._client.hget(_IDS, key_id)
            if name is None:
                return "", None
            return name.decode(), _decode(await self._client.hgetall(_record(name.decode())))

    async def _read_live(self, name: str) -> ApiKey | None:
        record = _decode(await self._client.hgetall(_record(name)))
        if record is None or record.revoked is not None:
            return None
        now = time.time()
        if record.last_used is None or now - record.last_used >= _LAST_USED_EVERY_S:
            self._run_behind(self._write_last_used(name, now))
        return record

    def _run_behind(self, work: Coroutine[Any, Any, None]) -> None:
        # The event loop itself holds tasks only weakly.
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def _write_last_used(self, name: str, now: float) -> None:
        # The next look-up finds it still old and writes it again.
        with suppress(RedisError, OSError):
            await self._client.hset(_record(name), "last_used", str(now))


def check_account(account: str) -> None:
    """Raise ValueError for what cannot be an account's name."""
    if not 1 <= len(account) <= _MAX_ACCOUNT_CHARACTERS or not account.isprintable():
        raise ValueError(f"An account's name has 1 to {_MAX_ACCOUNT_CHARACTERS} printable characters")


_IDS: Final = "{cz}:key_ids"


def _record(name: str) -> str:
    return f"{{cz}}:key:{name}"


def _all_of(account: str) -> str:
    return f"{{cz}}:keys_of:{account}"


def _live_of(account: str) -> str:
    return f"{{cz}}:live_keys_of:{account}"


def _secret_of(account: str) -> str:
    return f"{{cz}}:webhook_secret:{account}"


def _per_minute(plan: Plan, own_number: int | None) -> int:
    fixed = PER_MINUTE.get(plan)
    if fixed is not None and own_number is None:
        return fixed
    if fixed is None and own_number is not None and own_number >= 1:
        return own_number
    raise ValueError("The custom plan needs a number of 1 or more a minute, the others take none")


def _decode(fields: Mapping[Any, Any]) -> ApiKey | None:
    # A record that was lost may hold a late `last_used` and nothing else.
    if b"id" not in fields:
        return None
    return msgspec.convert({name.decode(): text.decode() for name, text in fields.items()}, ApiKey, strict=False)


@contextmanager
def _asking_redis() -> Iterator[None]:
    try:
        yield
    except (RedisError, OSError) as error:
        raise KeysUnavailable("Redis does not answer") from error
