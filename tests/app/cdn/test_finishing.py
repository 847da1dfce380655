"""What a worker makes of an order: the final variant, and nothing where somebody else has the last word."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

from app.adapters import redis_variants
from app.errors import ServiceError
from app.ports.jobs import Job, JobsUnavailable
from app.ports.variants import Purge, Variant
from app.service.cdn.answers import make_variant
from app.service.cdn.finishing import Finisher
from app.service.cdn.memory import Held
from app.service.cdn.orders import Order, draw_up, read_order
from app.service.cdn.origin import SourceFile
from tests.app.cdn.ordering import LIVES, RECIPE, URL, Encoders, Place, begin_work, encode, fetched, opened
from tests.app.queues import NOWHERE, make_job, run

KEY = RECIPE.key()
INTERIM = encode("jpeg", 900)


class Ordered:
    """An interim answer that is kept, and the job that is to make the final one."""

    def __init__(self, place: Place, source: SourceFile, order: Order) -> None:
        self.place = place
        self.source = source
        self.job: Job = make_job(account="ada", lane="free", order=msgspec.msgpack.encode(order))

    async def fulfil(self, **sizes: int) -> Any:
        finisher = Finisher(self.place.shelf, cast(Any, Encoders(sizes)), LIVES)
        return await finisher.fulfil(self.job, self.source.buffer)

    async def kept(self) -> Held | None:
        return (await self.place.shelf.look(KEY)).held

    async def keep(self, **changes: Any) -> Variant:
        """Keep an interim answer, or what has taken its place."""
        variant = make_variant(
            RECIPE, KEY, self.source, INTERIM.data, INTERIM.facts, kind="interim", lives=LIVES, job=self.job.id
        )
        variant = msgspec.structs.replace(variant, **changes)
        assert await self.place.shelf.keep(Held(variant, INTERIM.data), await self.place.shelf.look(KEY))
        held = await self.kept()
        assert held is not None
        return held.variant


@asynccontextmanager
async def ordered(address: str, folder: Path, **headers: str) -> AsyncIterator[Ordered]:
    async with opened(address, folder) as place, fetched(**headers) as source:
        since = (await place.shelf.look(KEY)).since
        assert since is not None
        one = Ordered(
            place,
            source,
            draw_up(begin_work(), source, ["webp", "avif"], interim_bytes=INTERIM.facts.size, since=since),
        )
        await one.keep()
        yield one


def test_an_order_is_read_as_it_was_written() -> None:
    """Of the account its name is left, which is all that makes headers and keys."""

    async def scenario() -> None:
        async with fetched(etag='"1"') as source:
            order = draw_up(begin_work(), source, ["webp"], interim_bytes=1, since="0-0")
            read = read_order(make_job(order=msgspec.msgpack.encode(order)))
            assert read == order
            assert SourceFile(source.buffer, read.facts) == source
            assert read.recipe.key() == KEY
            assert not read.recipe.account.origins

    run(scenario())


def test_the_smallest_is_the_final_answer(redis_address: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with ordered(redis_address, tmp_path) as one:
            outcome = await one.fulfil(webp=800, avif=850)
            assert (outcome.format, outcome.size) == ("webp", 800)
            held = await one.kept()
            assert held is not None
            assert (held.variant.kind, held.variant.job, held.data) == ("final", "", encode("webp", 800).data)
            assert dict(held.variant.headers)["cache-control"].startswith("public, max-age=60, s-maxage=600, ")
            assert set(held.variant.tags) > {"shoes"}

    run(scenario())


@pytest.mark.parametrize("sizes", [{"webp": 900, "avif": 901}, {}], ids=["no smaller", "broken"])
def test_where_nothing_better_comes_of_it_the_interim_answer_stands(
    redis_address: str, tmp_path: Path, sizes: dict[str, int]
) -> None:
    """Its bytes stay where they are."""

    async def scenario() -> None:
        async with ordered(redis_address, tmp_path) as one:
            before = await one.kept()
            if sizes:
                await one.fulfil(**sizes)
            else:
                with pytest.raises(ServiceError, match="broken"):
                    await one.fulfil()
            held = await one.kept()
            assert before is not None
            assert held is not None
            assert (held.variant.kind, held.variant.job, held.data) == ("final", "", INTERIM.data)
            assert (held.variant.blob, held.variant.etag) == (before.variant.blob, before.variant.etag)
            assert dict(held.variant.headers)["x-variant"] == "final"
            assert dict(held.variant.headers)["cache-control"].startswith("public, max-age=60, s-maxage=600, ")

    run(scenario())


@pytest.mark.parametrize("changes", [{"job": "another"}, {"job": "", "kind": "final"}], ids=["ordered anew", "made"])
def test_what_was_made_anew_meanwhile_is_not_replaced(
    redis_address: str, tmp_path: Path, changes: dict[str, Any]
) -> None:
    async def scenario() -> None:
        async with ordered(redis_address, tmp_path) as one:
            newer = await one.keep(**changes)
            await one.fulfil(webp=1, avif=1)
            held = await one.kept()
            assert held is not None
            assert held.variant == newer

    run(scenario())


@pytest.mark.parametrize("sizes", [{"webp": 1, "avif": 1}, {"webp": 999, "avif": 999}], ids=["smaller", "not smaller"])
def test_what_was_purged_meanwhile_is_not_kept(redis_address: str, tmp_path: Path, sizes: dict[str, int]) -> None:
    async def scenario() -> None:
        async with ordered(redis_address, tmp_path) as one:
            await one.place.variants.purge(Purge("ada", "url", URL))
            await one.fulfil(**sizes)
            assert await one.kept() is None

    run(scenario())


def test_who_makes_it_anew_right_now_is_waited_for(
    redis_address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_variants, "LEAD_EVERY_S", 30)

    async def scenario() -> None:
        async with ordered(redis_address, tmp_path) as one:
            assert (await one.place.shelf.lead(KEY, "another"))[0]
            task = asyncio.create_task(one.fulfil(webp=1, avif=1))
            await asyncio.sleep(0.3)
            assert not task.done()
            newer = await one.keep(job="another")
            await one.place.shelf.resign(KEY, "another")
            await task
            held = await one.kept()
            assert held is not None
            assert held.variant == newer
            assert (await one.place.shelf.lead(KEY, "who comes next"))[0]

    run(scenario())


def test_where_the_index_is_away_nothing_is_ended(redis_address: str, tmp_path: Path) -> None:
    """The job stays its worker's, who tries again."""

    async def scenario() -> None:
        async with ordered(redis_address, tmp_path) as one, opened(NOWHERE, tmp_path) as nowhere:
            one.place = nowhere
            with pytest.raises(JobsUnavailable):
                await one.fulfil(webp=1, avif=1)

    run(scenario())
