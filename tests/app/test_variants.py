"""The index of variants: bounded, purged at once, and nothing in the store that it forgets."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import redis

from app.adapters import redis_variants
from app.adapters.breaker import Breaker
from app.adapters.redis_client import open_client
from app.adapters.redis_variants import RedisVariants
from app.ports import variants as port
from app.ports.variants import Purge, Variant, VariantsUnavailable
from tests.app.queues import NOWHERE, run

URL = "https://img.example.com/a/b.jpg"
#: What each variant counts for beside its bytes.
RECORD = redis_variants._RECORD_BYTES


@asynccontextmanager
async def indexing(address: str, *, max_bytes: int = 1 << 30) -> AsyncIterator[RedisVariants]:
    async with open_client(address, 30) as client, open_client(address, 30) as listening:
        yield RedisVariants(client, listening, Breaker(pause_s=0.05), max_bytes=max_bytes)


def make(key: str = "key", **changes: Any) -> Variant:
    now = time.time()
    fields: dict[str, Any] = {
        "account": "ada",
        "source": URL,
        "kind": "final",
        "made": now,
        "fresh_until": now + 60,
        "stale_until": now + 90,
        "usable_until": now + 99,
        "blob": f"cdn/{key}",
        "size": 1000,
        "etag": '"1"',
        "tags": ("red", "blue"),
        "headers": (("x-format", "webp"),),
    }
    return Variant(key=key, **{**fields, **changes})


async def keep(index: RedisVariants, *ones: Variant) -> None:
    for one in ones:
        await index.reserve(one.blob, for_s=60)
        assert await index.keep(one, since=(await index.find(one.key)).since)


async def kept(index: RedisVariants, *keys: str) -> str:
    """Which of the keys, one letter each, are in the index."""
    return "".join([key for key in keys if (await index.find(key)).variant is not None])


def test_a_variant_is_found_as_it_was_kept(redis_address: str) -> None:
    async def scenario() -> None:
        async with indexing(redis_address) as index:
            assert (await index.find("key")).variant is None
            one = make()
            await keep(index, one)
            assert (await index.find("key")).variant == one

    run(scenario())


def test_beyond_the_bound_what_was_not_used_for_longest_goes(redis_address: str) -> None:
    async def scenario() -> None:
        async with indexing(redis_address, max_bytes=3 * (1000 + RECORD)) as index:
            for key in "abc":
                await keep(index, make(key))
                await asyncio.sleep(0.005)  # Redis' clock counts milliseconds
            await index.touch(["a"])
            await asyncio.sleep(0.005)
            await keep(index, make("d"))
            assert await kept(index, *"abcd") == "acd"

    run(scenario())


def test_one_that_is_larger_than_the_bound_pushes_all_others_out_and_stays(redis_address: str) -> None:
    async def scenario() -> None:
        async with indexing(redis_address, max_bytes=1) as index:
            await keep(index, make("a"), make("b"))
            assert await kept(index, *"ab") == "b"

    run(scenario())


@pytest.mark.parametrize(
    ("purge", "left"),
    [
        (Purge("ada", "url", URL), "cde"),
        (Purge("ada", "prefix", "https://img.example.com/a/"), "de"),
        (Purge("ada", "tag", "red"), "bde"),
        (Purge("ada", "tag", "re"), "abcde"),
        (Purge("bob", "url", URL), "abcd"),
    ],
    ids=["url", "prefix", "tag", "no tag of theirs", "another account"],
)
def test_a_purge_removes_what_it_covers_and_nothing_else(redis_address: str, purge: Purge, left: str) -> None:
    async def scenario() -> None:
        async with indexing(redis_address) as index:
            ones = [
                make("a"),
                make("b", tags=("blue",)),
                make("c", source=URL + "?x"),
                make("d", source="https://img.example.com/ab.jpg", tags=()),
                make("e", account="bob"),
            ]
            await keep(index, *ones)
            removed = {one.key for one in ones if purge.covers(one.account, one.source, one.tags)}
            assert await index.purge(purge) == len(removed)
            assert await kept(index, *"abcde") == left
            assert set("abcde") - removed == set(left)

    run(scenario())


def test_a_purge_of_more_than_one_batch_removes_all(redis_address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_variants, "_PURGE_BATCH", 2)

    async def scenario() -> None:
        async with indexing(redis_address) as index:
            await keep(index, *map(make, "abcde"))
            assert await index.purge(Purge("ada", "tag", "blue")) == 5
            assert await kept(index, *"abcde") == ""

    run(scenario())


@pytest.mark.parametrize("by", ["url", "prefix", "tag"])
def test_what_was_asked_for_before_a_purge_is_not_kept_after_it(redis_address: str, by: port.PurgeBy) -> None:
    value = {"url": URL, "prefix": "https://img.", "tag": "blue"}[by]

    async def scenario() -> None:
        async with indexing(redis_address) as index:
            since = (await index.find("key")).since
            await index.purge(Purge("ada", by, value))
            await index.reserve("cdn/key", for_s=60)
            assert not await index.keep(make(), since=since)
            other = {"source": "ftp://other", "tags": ()}
            await index.reserve("cdn/other", for_s=60)
            assert await index.keep(make("other", **other), since=since)
            assert await index.keep(make(), since=(await index.find("key")).since)

    run(scenario())


def test_whatever_leaves_the_index_leaves_the_store(redis_address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Purged, pushed out, replaced, or written by a process that died before it was kept."""
    monkeypatch.setattr(redis_variants, "GRACE_S", 0.0)

    async def scenario() -> None:
        async with indexing(redis_address, max_bytes=2 * (1000 + RECORD)) as index:
            await keep(index, make("a", tags=("red",)), make("b", blob="cdn/old"))
            await keep(index, make("b"))
            await keep(index, make("c"))
            await index.purge(Purge("ada", "url", URL))
            await index.reserve("cdn/lost", for_s=0)
            await asyncio.sleep(0.005)
            due = await index.expired(most=10)
            assert sorted(due) == ["cdn/a", "cdn/b", "cdn/c", "cdn/lost", "cdn/old"]
            assert await index.expired(most=10) == []
            for blob in due:
                await index.forget(blob)
        with redis.Redis.from_url(redis_address) as client:
            assert {name.decode() for name in client.scan_iter()} == {
                "{cz}:cdn:bytes",
                "{cz}:cdn:purges",
                "{cz}:cdn:ended",
            }
            assert client.get("{cz}:cdn:bytes") == b"0"

    run(scenario())


def test_a_variant_whose_blob_was_given_up_is_not_kept(redis_address: str) -> None:
    async def scenario() -> None:
        async with indexing(redis_address) as index:
            since = (await index.find("key")).since
            await index.reserve("cdn/key", for_s=0)
            await index.forget("cdn/key")
            assert not await index.keep(make(), since=since)

    run(scenario())


def test_a_variant_can_be_kept_anew_with_the_bytes_that_it_has(redis_address: str) -> None:
    async def scenario() -> None:
        async with indexing(redis_address) as index:
            await keep(index, make())
            assert await index.keep(make(etag='"2"'), since=(await index.find("key")).since)
            found = (await index.find("key")).variant
            assert found is not None
            assert found.etag == '"2"'
            assert await index.expired(most=10) == []

    run(scenario())


async def leads(index: RedisVariants, owner: str) -> bool:
    is_leading, _ = await index.lead("key", owner)
    return is_leading


def test_one_leads_until_it_resigns_or_goes_silent(redis_address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        async with indexing(redis_address) as index:
            assert await leads(index, "first")
            assert not await leads(index, "second")
            assert await leads(index, "first")
            await index.resign("key", "second")
            assert not await leads(index, "second")
            await index.resign("key", "first")
            assert await leads(index, "second")
            monkeypatch.setattr(redis_variants, "LEAD_EVERY_S", 0.01)
            assert await leads(index, "second")
            await asyncio.sleep(0.05)
            assert await leads(index, "first")

    run(scenario())


def test_news_tell_of_purges_and_ends_to_everybody_once(redis_address: str) -> None:
    async def scenario() -> None:
        async with indexing(redis_address) as index, indexing(redis_address) as other:
            await keep(index, make("before"))
            place = await other.place()
            waiting = asyncio.create_task(other.news(place))
            await asyncio.sleep(0.05)
            await index.purge(Purge("ada", "tag", "red"))
            told = await waiting
            assert told is not None
            assert told.purges == [Purge("ada", "tag", "red")]
            await index.lead("led", "first")
            await index.resign("led", "first")
            await keep(index, make("kept"))
            told = await other.news(told.place)
            assert told is not None
            assert (told.purges, told.ended) == ([], ["led", "kept"])
            told = await other.news(told.place)
            assert told is not None
            assert (told.purges, told.ended) == ([], [])

    run(scenario())


def test_without_redis_it_says_so() -> None:
    async def scenario() -> None:
        async with indexing(NOWHERE) as index:
            for asking in (index.find("key"), index.news(("0-0", "0-0")), index.purge(Purge("ada", "url", URL))):
                with pytest.raises(VariantsUnavailable):
                    await asking

    run(scenario())
