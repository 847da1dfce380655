"""Who makes a variant: one process at a time, and another where that one dies."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest

from app.adapters import redis_variants
from app.adapters.breaker import Breaker
from app.adapters.filesystem import FilesystemBlobs
from app.adapters.redis_client import open_client
from app.adapters.redis_variants import RedisVariants
from app.adapters.signed_links import SignedLinks
from app.ports.cdn_accounts import CdnAccount
from app.ports.variants import Purge
from app.service.cdn import serve
from app.service.cdn.making import Maker
from app.service.cdn.memory import Held, Memory
from app.service.cdn.negotiation import negotiate
from app.service.cdn.options import parse_options
from app.service.cdn.recipe import Recipe
from app.service.cdn.serve import Cdn
from app.service.cdn.shelf import Looked, Shelf
from app.service.cdn.source import CdnSource
from app.service.cdn.work import Work
from tests.app.queues import run
from tests.app.test_variants import make

URL = "https://img.example.com/a/b.jpg"
OPTIONS = parse_options("f:jpeg")
ACCOUNT = CdnAccount("ada")
RECIPE = Recipe(ACCOUNT, CdnSource(url=URL), OPTIONS, negotiate(OPTIONS, {}, ACCOUNT), 1.2)


class SlowMaker:
    """Makes `data` of whatever is asked for, once it may; stands for sources and encode processes."""

    def __init__(self, shelf: Shelf, data: bytes) -> None:
        self.may = asyncio.Event()
        self.begun = 0
        self._shelf = shelf
        self._data = data

    async def make(self, work: Work, looked: Looked) -> None:
        self.begun += 1
        await self.may.wait()
        held = Held(make(work.key, account="ada", source=URL, blob="", size=len(self._data)), self._data)
        work.settle(held)
        await self._shelf.keep(held, looked)


@asynccontextmanager
async def process(address: str, folder: Path, data: bytes) -> AsyncIterator[tuple[Cdn, SlowMaker]]:
    """Stand for one event-loop process."""
    blobs = FilesystemBlobs(folder, SignedLinks(b"secret"))
    async with open_client(address, 30) as client, open_client(address, 30) as listening:
        variants = RedisVariants(client, listening, Breaker(), max_bytes=1 << 30)
        shelf = Shelf(variants, blobs, Memory(1 << 20))
        maker = SlowMaker(shelf, data)
        cdn = Cdn(shelf, variants, cast(Maker, maker))
        async with cdn.running():
            yield cdn, maker
    await blobs.close()


async def until(holds: Any) -> None:
    while not holds():
        await asyncio.sleep(0.01)


def test_one_of_two_processes_makes_it_and_both_answer_with_it(redis_address: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with (
            process(redis_address, tmp_path, b"a") as (first, one),
            process(redis_address, tmp_path, b"b") as (
                second,
                other,
            ),
        ):
            asking = [asyncio.create_task(cdn.answer(RECIPE)) for cdn in (first, second) * 5]
            await until(lambda: one.begun + other.begun)
            await asyncio.sleep(0.5)  # time for all to find it begun
            one.may.set()
            other.may.set()
            told = await asyncio.gather(*asking)
            assert one.begun + other.begun == 1
            assert len({served.held.data for served in told}) == 1
            assert sorted(served.cache for served in told) == ["join"] * 9 + ["miss"]

    run(scenario())


@pytest.mark.parametrize("is_resigned", [True, False], ids=["it resigns", "it dies"])
def test_where_the_leader_ends_without_an_answer_another_leads(
    redis_address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_resigned: bool
) -> None:
    monkeypatch.setattr(redis_variants, "LEAD_EVERY_S", 0.4)
    monkeypatch.setattr(serve, "LEAD_EVERY_S", 30 if is_resigned else 0.4)

    async def scenario() -> None:
        async with process(redis_address, tmp_path, b"a") as (cdn, maker), open_client(redis_address, 30) as client:
            leader = RedisVariants(client, client, Breaker(), max_bytes=1 << 30)
            await leader.lead(RECIPE.key(), "another")
            maker.may.set()
            asking = asyncio.create_task(cdn.answer(RECIPE))
            await asyncio.sleep(0.05)
            assert not maker.begun
            if is_resigned:
                await leader.resign(RECIPE.key(), "another")
            assert (await asking).held.data == b"a"

    run(scenario())


def test_who_asks_after_a_purge_does_not_join_what_began_before(redis_address: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with process(redis_address, tmp_path, b"a") as (cdn, maker):
            before = asyncio.create_task(cdn.answer(RECIPE))
            await until(lambda: maker.begun == 1)
            await cdn.purge(Purge("ada", "url", URL))
            await until(lambda: cdn.shelf.memory.epoch > 1)
            after = asyncio.create_task(cdn.answer(RECIPE))
            await until(lambda: maker.begun == 2)
            maker.may.set()
            assert (await before).cache == (await after).cache == "miss"

    run(scenario())


def test_what_began_before_a_purge_does_not_take_the_lead_back(
    redis_address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serve, "LEAD_EVERY_S", 0.05)

    async def scenario() -> None:
        async with (
            process(redis_address, tmp_path, b"a") as (first, one),
            process(redis_address, tmp_path, b"b") as (
                second,
                other,
            ),
        ):
            before = asyncio.create_task(first.answer(RECIPE))
            await until(lambda: one.begun)
            await second.purge(Purge("ada", "url", URL))
            await until(lambda: first.shelf.memory.epoch > 1)
            await asyncio.sleep(0.2)
            other.may.set()
            assert (await second.answer(RECIPE)).held.data == b"b"
            assert not before.done()
            one.may.set()
            await before

    run(scenario())


def test_what_one_process_has_made_another_finds(redis_address: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with (
            process(redis_address, tmp_path, b"a") as (first, one),
            process(redis_address, tmp_path, b"b") as (
                second,
                _,
            ),
        ):
            one.may.set()
            await first.answer(RECIPE)
            while (served := await second.answer(RECIPE)).cache != "hit":
                await asyncio.sleep(0.01)
            assert served.held.data == b"a"

    run(scenario())


def test_an_interim_answer_is_dropped_everywhere_once_there_is_a_better_one(redis_address: str, tmp_path: Path) -> None:
    """Though it is fresh still."""
    key = RECIPE.key()

    async def scenario() -> None:
        async with (
            process(redis_address, tmp_path, b"") as (first, _),
            process(redis_address, tmp_path, b"") as (
                second,
                _,
            ),
        ):
            for kind in ("interim", "final"):
                looked = await first.shelf.look(key)
                await first.shelf.keep(Held(make(key, kind=kind, source=URL, blob="", size=1), b"x"), looked)
                while (await second.answer(RECIPE)).held.variant.kind != kind:
                    await asyncio.sleep(0.01)

    run(scenario())


def test_while_the_store_takes_nothing_memory_has_what_was_made_until_it_is_purged(
    redis_address: str, tmp_path: Path
) -> None:
    (tmp_path / "cdn").touch()  # where a folder would have to be

    async def scenario() -> None:
        async with process(redis_address, tmp_path, b"a") as (cdn, maker):
            maker.may.set()
            # Before it listens for purges, it holds nothing.
            while (await cdn.answer(RECIPE)).cache != "hit":
                await asyncio.sleep(0.01)
            made = maker.begun
            await cdn.purge(Purge("ada", "url", URL))
            await until(lambda: cdn.shelf.memory.find(RECIPE.key()) is None)
            assert (await cdn.answer(RECIPE)).cache == "miss"
            assert maker.begun == made + 1

    run(scenario())
