"""Signing keys and accounts: at most two live keys, remembered for under a second, changed everywhere within one."""

import asyncio
import os
import re
import signal
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import redis

from app.adapters import lookups
from app.adapters.breaker import Breaker
from app.adapters.embedded import EmbeddedValkey
from app.adapters.redis_cdn_accounts import RedisCdnAccounts
from app.adapters.redis_client import open_client
from app.ports.cdn_accounts import MAX_ORIGINS, CdnAccount, CdnAccountsUnavailable
from app.service.cdn.source import parse_origin

ADA = CdnAccount("ada", (parse_origin("https://*.img.example/a"),), client_hints=True, bucket_prefix="ada/pictures")


@asynccontextmanager
async def keeping(address: str, timeout_s: float = 30.0) -> AsyncIterator[RedisCdnAccounts]:
    async with open_client(address, timeout_s) as client:
        yield RedisCdnAccounts(client, Breaker(pause_s=0.05))


def run(scenario: Coroutine[Any, Any, None]) -> None:
    """Run a scenario; one that hangs fails."""

    async def guarded() -> None:
        async with asyncio.timeout(60):
            await scenario

    asyncio.run(guarded())


def test_a_key_that_was_made_is_found_everywhere_and_no_other(redis_address: str) -> None:
    async def scenario() -> None:
        async with keeping(redis_address) as accounts, keeping(redis_address) as elsewhere:
            made = await accounts.create_key("ada")
            assert re.fullmatch(r"cdn_[0-9A-Za-z]{8}", made.id)
            assert re.fullmatch(r"cdnsec_[0-9A-Za-z]{43}", made.secret)
            assert await accounts.find_key(made.id) == made == await elsewhere.find_key(made.id)
            assert await accounts.find_key("cdn_00000000") is None

    run(scenario())


def test_what_is_no_keys_id_is_refused_without_asking_redis() -> None:
    async def scenario() -> None:
        async with keeping("unix:///absent/s") as accounts:
            for key_id in ("", "cdn_", "key_abc", "cdn_a:b", "cdn_" + "a" * 40):
                assert await accounts.find_key(key_id) is None
            with pytest.raises(CdnAccountsUnavailable):
                await accounts.find_key("cdn_00000000")

    run(scenario())


def test_an_account_has_two_live_keys_so_that_one_can_replace_the_other(redis_address: str) -> None:
    async def scenario() -> None:
        async with keeping(redis_address) as accounts:
            old, new = await accounts.create_key("ada"), await accounts.create_key("ada")
            with pytest.raises(ValueError, match="2 live"):
                await accounts.create_key("ada")
            other = await accounts.create_key("bob")
            assert await accounts.find_key(old.id)
            revoked = await accounts.revoke_key(old.id)
            assert revoked is not None
            assert revoked.revoked is not None
            assert await accounts.revoke_key(old.id) == revoked
            assert await accounts.find_key(old.id) is None
            third = await accounts.create_key("ada")
            assert await accounts.list_keys("ada") == [third, new, revoked]
            assert await accounts.list_keys() == [third, other, new, revoked]
            assert await accounts.revoke_key("cdn_00000000") is None

    run(scenario())


def test_of_many_keys_made_at_once_two_live(redis_address: str) -> None:
    async def scenario() -> None:
        async with keeping(redis_address) as accounts:
            made = await asyncio.gather(*(accounts.create_key("ada") for _ in range(8)), return_exceptions=True)
            assert sum(not isinstance(one, BaseException) for one in made) == 2

    run(scenario())


def test_a_revocation_and_a_change_hold_in_other_processes_within_a_second(redis_address: str) -> None:
    async def scenario() -> None:
        async with keeping(redis_address) as here, keeping(redis_address) as elsewhere:
            key = await here.create_key("ada")
            assert await elsewhere.find_key(key.id)
            assert await elsewhere.find_account("ada") == CdnAccount("ada")
            await here.revoke_key(key.id)
            await here.write_account(ADA)
            assert await here.find_account("ada") == ADA
            await asyncio.sleep(1)
            assert await elsewhere.find_key(key.id) is None
            assert await elsewhere.find_account("ada") == ADA

    run(scenario())


def test_what_was_found_a_moment_ago_costs_redis_nothing(redis_address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookups, "_FRESH_S", 60.0)

    async def scenario() -> None:
        async with keeping(redis_address) as accounts:
            key = await accounts.create_key("ada")
            await accounts.write_account(ADA)
            await accounts.find_key(key.id)
            await accounts.find_account("ada")
            with redis.Redis.from_url(redis_address) as client:
                client.config_resetstat()
                for _ in range(50):
                    assert await accounts.find_key(key.id) == key
                    assert await accounts.find_account("ada") == ADA
                assert not client.info("commandstats").keys() & {"cmdstat_hgetall", "cmdstat_hget"}

    run(scenario())


def test_while_redis_is_away_what_was_seen_serves_on(
    valkey: EmbeddedValkey, short_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        address = f"unix://{short_folder / 's'}"
        async with keeping(address, timeout_s=0.1) as accounts, keeping(address) as patient:
            key, unseen = await patient.create_key("ada"), await patient.create_key("ada")
            await patient.write_account(ADA)
            for find, name in ((accounts.find_key, key.id), (accounts.find_account, "ada")):
                while True:
                    # A server that is up may be slow for a moment, too.
                    with suppress(CdnAccountsUnavailable):
                        await find(name)
                        break
            monkeypatch.setattr(lookups, "_FRESH_S", 0.0)
            os.kill(valkey.pid, signal.SIGSTOP)
            try:
                assert await accounts.find_key(key.id) == key
                assert await accounts.find_account("ada") == ADA
                for call in (
                    accounts.find_key(unseen.id),
                    accounts.find_account("bob"),
                    accounts.create_key("bob"),
                    accounts.list_keys(),
                    accounts.revoke_key(key.id),
                    accounts.write_account(ADA),
                    accounts.list_accounts(),
                ):
                    with pytest.raises(CdnAccountsUnavailable):
                        await call
            finally:
                os.kill(valkey.pid, signal.SIGCONT)

    run(scenario())


def test_accounts_are_kept_as_they_were_written(redis_address: str) -> None:
    async def scenario() -> None:
        async with keeping(redis_address) as accounts:
            bob = CdnAccount("bob")
            await accounts.write_account(bob)
            await accounts.write_account(ADA)
            assert await accounts.list_accounts() == [ADA, bob]

    run(scenario())


@pytest.mark.parametrize(
    "account",
    [
        CdnAccount(""),
        CdnAccount("a\nb"),
        CdnAccount("ada", bucket_prefix="../x"),
        CdnAccount("ada", bucket_prefix=""),
        CdnAccount("ada", bucket_prefix="a/"),
        CdnAccount("ada", (parse_origin("https://a.example"),) * (MAX_ORIGINS + 1)),
    ],
)
def test_an_account_that_could_not_hold_is_not_written(redis_address: str, account: CdnAccount) -> None:
    async def scenario() -> None:
        async with keeping(redis_address) as accounts:
            with pytest.raises(ValueError, match=r"\S"):
                await accounts.write_account(account)
            assert await accounts.list_accounts() == []

    run(scenario())
