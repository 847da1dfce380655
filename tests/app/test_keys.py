"""API keys: checked before anybody is asked, never kept, revoked everywhere within a second."""

import asyncio
import base64
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest
import redis

from app.adapters import lookups
from app.adapters.breaker import Breaker
from app.adapters.embedded import EmbeddedValkey
from app.adapters.key_format import digest, is_well_formed, make_key
from app.adapters.redis_client import open_client
from app.adapters.redis_keys import RedisKeys
from app.adapters.redis_limiter import RedisLimiter
from app.ports.keys import KeysUnavailable
from tests.snapshots import bytes_below

PEPPER = b"a pepper for tests"
NOWHERE = "unix:///absent/s"

#: Another process: answers each line of input, a key, with whether it finds it.
FINDER = f"""
import asyncio, sys
from app.adapters.breaker import Breaker
from app.adapters.redis_client import open_client
from app.adapters.redis_keys import RedisKeys

async def main():
    async with open_client(sys.argv[1], timeout_s=60) as client:
        keys = RedisKeys(client, Breaker(), {PEPPER!r})
        for line in sys.stdin:
            print(await keys.find(line.strip()) is not None, flush=True)

asyncio.run(main())
"""


@asynccontextmanager
async def keeping(address: str, timeout_s: float = 30.0) -> AsyncIterator[RedisKeys]:
    async with open_client(address, timeout_s) as client:
        yield RedisKeys(client, Breaker(pause_s=0.05), PEPPER)


def run(scenario: Coroutine[Any, Any, None]) -> None:
    """Run a scenario; one that hangs fails."""

    async def guarded() -> None:
        async with asyncio.timeout(60):
            await scenario

    asyncio.run(guarded())


def test_a_key_is_its_prefix_30_random_characters_and_6_of_checksum() -> None:
    keys = {make_key() for _ in range(200)}
    assert len(keys) == 200
    assert all(re.fullmatch(r"cz_live_[0-9A-Za-z]{36}", key) and is_well_formed(key) for key in keys)
    assert len({key[8:38] for key in keys}) == 200
    assert set("".join(key[8:38] for key in keys)) == set(
        "".join(map(chr, [*range(48, 58), *range(65, 91), *range(97, 123)]))
    )


def test_any_one_wrong_character_breaks_the_checksum() -> None:
    key = make_key()
    for place, character in enumerate(key):
        for wrong in "0aZ" if character not in "0aZ" else "1bY":
            assert not is_well_formed(key[:place] + wrong + key[place + 1 :])


@pytest.mark.parametrize("text", ["", "cz_live_", "é" * 44, "cz_live_" + "0" * 36, "x" * 1_000_000])
def test_other_text_is_no_key(text: str) -> None:
    assert not is_well_formed(text)


@pytest.mark.parametrize("change", [lambda key: key + "\n", lambda key: " " + key, str.upper, lambda key: key * 2])
def test_a_key_with_something_about_it_is_no_key(change: Any) -> None:
    assert not is_well_formed(change(make_key()))


def test_a_digest_depends_on_key_and_pepper_and_shows_neither() -> None:
    key = make_key()
    assert re.fullmatch(r"[0-9a-f]{64}", digest(PEPPER, key))
    assert len({digest(PEPPER, key), digest(b"another", key), digest(PEPPER, make_key())}) == 3


def test_a_malformed_key_is_refused_without_asking_redis() -> None:
    async def scenario() -> None:
        async with keeping(NOWHERE) as keys:
            key = make_key()
            assert await keys.find(key[:-1] + ("0" if key[-1] != "0" else "1")) is None
            with pytest.raises(KeysUnavailable):
                await keys.find(key)

    run(scenario())


def test_a_key_that_was_made_is_found_and_no_other(redis_address: str) -> None:
    async def scenario() -> None:
        async with keeping(redis_address) as keys, keeping(redis_address) as elsewhere:
            made = await keys.create(account="acme", plan="paid")
            assert made.record.prefix == made.key[:12]
            assert (made.record.account, made.record.plan, made.record.per_minute) == ("acme", "paid", 100)
            assert await keys.find(made.key) == made.record
            found = await elsewhere.find(made.key)
            assert found is not None
            assert msgspec.structs.replace(found, last_used=None) == made.record
            assert await keys.find(make_key()) is None

    run(scenario())


def test_another_pepper_finds_no_key(redis_address: str) -> None:
    async def scenario() -> None:
        async with keeping(redis_address) as keys, open_client(redis_address, 30) as client:
            made = await keys.create(account="acme", plan="free")
            assert await RedisKeys(client, Breaker(), b"another").find(made.key) is None

    run(scenario())


def test_plans_fix_their_number_and_custom_brings_its_own(redis_address: str) -> None:
    async def scenario() -> None:
        async with keeping(redis_address) as keys:
            assert (await keys.create(account="a", plan="free")).record.per_minute == 20
            assert (await keys.create(account="a", plan="custom", per_minute=7)).record.per_minute == 7
            for plan, number in (("custom", None), ("custom", 0), ("free", 20), ("paid", 5), ("gold", None)):
                with pytest.raises(ValueError, match="custom plan needs"):
                    await keys.create(account="b", plan=plan, per_minute=number)
            for account in ("", "a\nb", "a" * 201):
                with pytest.raises(ValueError, match="printable"):
                    await keys.create(account=account, plan="free")

    run(scenario())


def test_an_account_has_at_most_two_live_keys_however_many_are_asked_for_at_once(redis_address: str) -> None:
    async def scenario() -> None:
        async with keeping(redis_address) as keys:
            asked = [keys.create(account="acme", plan="free") for _ in range(20)]
            answers = await asyncio.gather(*asked, return_exceptions=True)
            made = [answer for answer in answers if not isinstance(answer, BaseException)]
            refused = [answer for answer in answers if isinstance(answer, BaseException)]
            assert len(made) == 2
            assert {str(error) for error in refused} == {"acme has 2 live keys already: revoke one first"}
            await keys.revoke(made[0].record.id)
            assert await keys.find((await keys.create(account="acme", plan="free")).key)
            await keys.create(account="other", plan="free")

    run(scenario())


def test_a_rotated_key_lives_beside_the_new_one_until_it_is_revoked(redis_address: str) -> None:
    async def scenario() -> None:
        async with keeping(redis_address) as keys:
            old = await keys.create(account="acme", plan="custom", per_minute=7)
            new = await keys.rotate(old.record.id)
            assert new is not None
            assert (new.record.account, new.record.plan, new.record.per_minute) == ("acme", "custom", 7)
            assert new.webhook_secret == old.webhook_secret
            assert await keys.find(old.key)
            assert await keys.find(new.key)
            with pytest.raises(ValueError, match="2 live keys already"):
                await keys.rotate(new.record.id)
            await keys.revoke(old.record.id)
            with pytest.raises(ValueError, match="revoked"):
                await keys.rotate(old.record.id)
            assert await keys.rotate(new.record.id)
            assert await keys.rotate("key_unknown") is None

    run(scenario())


def test_a_list_tells_of_all_keys_newest_first_and_of_one_account_alone(redis_address: str) -> None:
    async def scenario() -> None:
        async with keeping(redis_address) as keys:
            assert await keys.list() == []
            made = [(await keys.create(account=name, plan="free")).record for name in ("a", "b", "a")]
            revoked = await keys.revoke(made[0].id)
            assert revoked is not None
            assert revoked.revoked is not None
            assert await keys.list() == [made[2], made[1], revoked]
            assert await keys.list("a") == [made[2], revoked]
            assert await keys.list("live_keys_of:a") == []

    run(scenario())


def test_an_account_keeps_one_webhook_secret(redis_address: str) -> None:
    async def scenario() -> None:
        async with keeping(redis_address) as keys:
            first, second, other = [await keys.create(account=name, plan="free") for name in ("a", "a", "b")]
            assert first.webhook_secret == second.webhook_secret == await keys.webhook_secret("a")
            assert first.webhook_secret != other.webhook_secret
            assert first.webhook_secret.startswith("whsec_")
            assert len(base64.b64decode(first.webhook_secret.removeprefix("whsec_"), validate=True)) == 32
            assert await keys.webhook_secret("nobody") is None

    run(scenario())


def test_a_revoked_key_is_refused_at_once_here_and_within_a_second_by_another_process(redis_address: str) -> None:
    finder = subprocess.Popen(
        [sys.executable, "-c", FINDER, redis_address], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )

    def finds(key: str) -> bool:
        finder.stdin.write(key + "\n")
        finder.stdin.flush()
        return finder.stdout.readline() == "True\n"

    async def scenario() -> None:
        async with keeping(redis_address) as keys:
            made = await keys.create(account="acme", plan="free")
            assert await keys.find(made.key)
            assert finds(made.key)
            first = await keys.revoke(made.record.id)
            assert await keys.find(made.key) is None
            await asyncio.sleep(1)
            assert not finds(made.key)
            assert await keys.revoke(made.record.id) == first
            assert await keys.revoke("key_unknown") is None

    try:
        run(scenario())
    finally:
        finder.communicate()


def test_no_key_is_in_redis_or_its_files(valkey: EmbeddedValkey, short_folder: Path) -> None:
    async def scenario() -> None:
        async with open_client(f"unix://{short_folder / 's'}", 30) as client:
            keys = RedisKeys(client, Breaker(), PEPPER)
            made = await keys.create(account="acme", plan="paid")
            await keys.find(made.key)
            await keys.find(unknown)
            await RedisLimiter(client, Breaker()).spend("compress", made.record.id, 100)
            await keys.rotate(made.record.id)
            await keys.revoke(made.record.id)
            texts.append(made.key)

    unknown = make_key()
    texts: list[str] = [unknown]
    run(scenario())
    with redis.Redis(unix_socket_path=str(short_folder / "s")) as client:
        dump = b"".join(name + read_value(client, name) for name in client.scan_iter())
    valkey.stop()
    files = bytes_below(short_folder)
    assert b"acme" in dump
    assert b"acme" in files
    for text in texts:
        for piece in (text, text[12:], text[-12:]):
            assert piece.encode() not in dump + files
    assert PEPPER not in dump + files


def read_value(client: redis.Redis, name: bytes) -> bytes:
    kind = client.type(name)
    if kind == b"hash":
        return b"".join(part for pair in client.hgetall(name).items() for part in pair)
    if kind == b"set":
        return b"".join(client.smembers(name))
    assert kind == b"string"
    return client.get(name)


def test_while_redis_is_away_keys_seen_live_pass_and_others_are_unavailable(
    valkey: EmbeddedValkey, short_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        address = f"unix://{short_folder / 's'}"
        async with keeping(address, timeout_s=0.1) as keys, keeping(address) as patient:
            seen = await patient.create(account="a", plan="free")
            unseen = await patient.create(account="a", plan="free")
            revoked = await patient.create(account="b", plan="free")
            unknown = make_key()
            assert await answered(lambda: keys.find(seen.key))
            assert await answered(lambda: keys.find(revoked.key))
            await answered(lambda: keys.revoke(revoked.record.id))
            assert await answered(lambda: keys.find(unknown)) is None
            monkeypatch.setattr(lookups, "_FRESH_S", 0.0)
            os.kill(valkey.pid, signal.SIGSTOP)
            try:
                for _ in range(10):
                    assert await keys.find(seen.key) == seen.record
                    for key in (unseen.key, revoked.key, unknown):
                        with pytest.raises(KeysUnavailable):
                            await keys.find(key)
                with pytest.raises(KeysUnavailable):
                    await keys.create(account="c", plan="free")
                with pytest.raises(KeysUnavailable):
                    await keys.list()
                monkeypatch.setattr(lookups, "_TRUSTED_S", 0.0)
                with pytest.raises(KeysUnavailable):
                    await keys.find(seen.key)
            finally:
                os.kill(valkey.pid, signal.SIGCONT)
            assert await answered(lambda: keys.find(unseen.key))
            assert await answered(lambda: keys.find(revoked.key)) is None

    run(scenario())


async def answered(ask: Callable[[], Awaitable[Any]]) -> Any:
    """Ask until Redis answers in time; the scenario's own guard ends a wait in vain."""
    while True:
        with suppress(KeysUnavailable):
            return await ask()
        await asyncio.sleep(0.01)


def test_hundreds_of_requests_at_once_ask_redis_once_and_a_cancelled_one_harms_no_other(redis_address: str) -> None:
    async def scenario() -> None:
        async with keeping(redis_address) as keys:
            made = await keys.create(account="acme", plan="free")
            with redis.Redis.from_url(redis_address) as client:
                client.config_resetstat()
                requests = [asyncio.create_task(keys.find(made.key)) for _ in range(200)]
                await asyncio.sleep(0)
                requests[0].cancel()
                answers = await asyncio.gather(*requests, return_exceptions=True)
                assert Counter(map(type, answers)) == {asyncio.CancelledError: 1, type(made.record): 199}
                assert client.info("commandstats")["cmdstat_hgetall"]["calls"] == 1

    run(scenario())


async def wait_for_use(keys: RedisKeys, after: float) -> float:
    """Ask until the one key's last use is later than `after`; the scenario's own guard ends a wait in vain."""
    while True:
        last_used = (await keys.list())[0].last_used
        if last_used is not None and last_used > after:
            return last_used
        await asyncio.sleep(0.001)


def test_use_is_noted_once_a_minute(redis_address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookups, "_FRESH_S", 0.0)

    async def scenario() -> None:
        async with keeping(redis_address) as keys:
            made = await keys.create(account="acme", plan="free")
            await keys.find(made.key)
            noted = await wait_for_use(keys, after=0)
            assert noted >= made.record.created
            with redis.Redis.from_url(redis_address) as client:
                client.config_resetstat()
                for _ in range(20):
                    await keys.find(made.key)
                assert "cmdstat_hset" not in client.info("commandstats")
                client.hset(f"{{cz}}:key:{digest(PEPPER, made.key)}", "last_used", noted - 61)
            await keys.find(made.key)
            assert await wait_for_use(keys, after=noted - 61) >= noted

    run(scenario())


def test_invented_keys_take_bounded_memory_and_push_no_real_key_out(
    redis_address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lookups, "_MOST_ABSENT", 10)
    monkeypatch.setattr(lookups, "_FRESH_S", 60.0)

    async def scenario() -> None:
        async with keeping(redis_address) as keys:
            made = await keys.create(account="acme", plan="free")
            await keys.find(made.key)
            for _ in range(50):
                assert await keys.find(make_key()) is None
            assert len(keys._lookups._absent) == 10
            with redis.Redis.from_url(redis_address) as client:
                client.config_resetstat()
                assert await keys.find(made.key) == made.record
                assert "cmdstat_hgetall" not in client.info("commandstats")

    run(scenario())
