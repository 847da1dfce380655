"""Where there is no encode, or none that is smaller, the source is the answer if it may be, without its metadata."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any, cast

import pytest
from PIL import Image

from app.errors import ServiceError
from app.service.buffers import BufferPool, SharedBuffer
from app.service.cdn.improving import Improver
from app.service.cdn.making import Maker
from app.service.cdn.memory import Held
from app.service.cdn.negotiation import negotiate
from app.service.cdn.options import Keep, parse_options
from app.service.cdn.orders import Orders
from app.service.cdn.origin import Origin, SourceFacts, SourceFile
from app.service.cdn.recipe import Recipe
from app.service.cdn.source import CdnSource
from app.service.cdn.standing_in import stand_in
from app.service.cdn.telling import Teller
from app.service.cdn.work import Work
from app.service.encoders import Encoders
from app.service.slots import Slots
from pixels.formats import FormatName
from tests.app.cdn.ordering import LIVES, RECIPE, Place, encode, opened
from tests.app.queues import run
from tests.whole import pictures

ORIENTATION, MAKE, COPYRIGHT, GPS = 0x0112, 0x010F, 0x8298, 0x8825


def tagged(kind: str) -> bytes:
    """A picture that lies on its side, and tells by whom and where it was taken."""
    exif = Image.Exif()
    exif[ORIENTATION], exif[MAKE], exif[COPYRIGHT] = 6, "TestCam 4711", "(c) Ada"
    exif.get_ifd(GPS)[29] = "2026:01:02"
    return pictures.encoded(pictures.photo(32, 24), kind, exif=exif)


JPEG, PNG, WEBP = (tagged(kind) for kind in ("JPEG", "PNG", "WEBP"))
KEPT: Mapping[Keep, dict[int, object]] = {"none": {ORIENTATION: 6}, "copyright": {ORIENTATION: 6, COPYRIGHT: "(c) Ada"}}
BLOB = "acme/a.picture"


def recipe_of(options: str, accept: str = "image/png") -> Recipe:
    parsed = parse_options(options)
    account = RECIPE.account
    return Recipe(account, CdnSource(blob=BLOB), parsed, negotiate(parsed, {"accept": accept}, account), 1.2)


class Making:
    """A maker whose encoders nobody gets, and one work of it."""

    def __init__(self, place: Place, options: str, *, waiting: int) -> None:
        recipe = recipe_of(options)
        self.place = place
        self.work = Work(recipe, recipe.key(), None)
        self._buffers = BufferPool(1 << 16, most=1, kept=0)
        no_encoders, no_fetcher = cast(Encoders, None), cast(Any, None)
        turns: Slots[int] = Slots(count=1, waiting_per_slot=waiting, wait_timeout_s=30)
        teller, orders = Teller(place.shelf, LIVES), Orders(place.jobs, place.blobs)
        self._maker = Maker(
            Origin(no_fetcher, place.blobs, self._buffers, max_bytes=1 << 15, most_of_account=1),
            turns,
            no_encoders,
            place.shelf,
            teller,
            Improver(turns, no_encoders, teller, orders, deadline_s=0.05),
            orders,
            lives=LIVES,
        )

    async def make(self) -> Held:
        await self._maker.make(self.work, await self.place.shelf.look(self.work.key))
        return await self.work.first


@asynccontextmanager
async def making(address: str, folder: Path, source: bytes, options: str, *, waiting: int = 4) -> AsyncIterator[Making]:
    async with opened(address, folder) as place:
        await place.blobs.put(BLOB, source)
        yield Making(place, options, waiting=waiting)


@asynccontextmanager
async def arrived(data: bytes, name: FormatName) -> AsyncIterator[SourceFile]:
    buffer = SharedBuffer(1 << 16)
    buffer.write(memoryview(data))
    try:
        yield SourceFile(buffer, SourceFacts(name, sha256(data).hexdigest(), {}, (), time.time()))
    finally:
        buffer.close()


@pytest.mark.parametrize("waiting", [4, 0], ids=["at the deadline", "in overload"])
@pytest.mark.parametrize(
    ("source", "kind", "options"),
    [(PNG, "png", "f:jpeg"), (JPEG, "jpeg", "f:webp"), (PNG, "png", "f:avif"), (JPEG, "jpeg", "f:auto")],
    ids=["a JPEG of a PNG", "a WebP of a JPEG", "an AVIF of a PNG", "auto"],
)
def test_a_source_that_every_client_shows_stands_in_for_any_format(
    redis_address: str, tmp_path: Path, source: bytes, kind: str, options: str, waiting: int
) -> None:
    """Memory alone has it, for a moment; and none of its metadata is in it."""

    async def scenario() -> None:
        async with making(redis_address, tmp_path, source, options, waiting=waiting) as one:
            held = await one.make()
            headers = dict(held.variant.headers)
            assert (headers["x-variant"], headers["content-type"]) == ("original", f"image/{kind}")
            assert headers["cache-control"] == "public, max-age=10, s-maxage=10"
            assert headers["x-compressed-size"] == str(len(held.data)) == str(held.variant.size)
            assert headers["x-original-size"] == str(len(source))
            assert pictures.opened(held.data).getexif() == {ORIENTATION: 6}
            assert b"TestCam" not in held.data
            assert one.place.shelf.memory.find(one.work.key) is held
            assert (await one.place.variants.find(one.work.key))[0] is None

    run(scenario())


@pytest.mark.parametrize("options", ["f:jpeg", "f:auto"])
def test_a_source_that_not_every_client_shows_does_not(redis_address: str, tmp_path: Path, options: str) -> None:
    """It waits for an encoder, and is refused where there is no place to wait."""

    async def scenario() -> None:
        async with making(redis_address, tmp_path, WEBP, options) as one:
            task = asyncio.create_task(one.make())
            await asyncio.sleep(0.3)
            assert not task.done()
            task.cancel()
        async with making(redis_address, tmp_path, WEBP, options, waiting=0) as one:
            with pytest.raises(ServiceError) as caught:
                await one.make()
            assert caught.value.code == "overloaded"

    run(scenario())


def test_what_cannot_be_told_from_its_metadata_does_not(redis_address: str, tmp_path: Path) -> None:
    broken = JPEG[: JPEG.index(b"TestCam")] + bytes(99)

    async def scenario() -> None:
        async with making(redis_address, tmp_path, broken, "f:auto") as one:
            with pytest.raises(ServiceError) as caught:
                await one.make()
            assert caught.value.code == "overloaded"
        async with making(redis_address, tmp_path, broken, "f:auto,keep:all") as one:
            assert (await one.make()).data == broken

    run(scenario())


@pytest.mark.parametrize("name", ["jpeg", "png", "webp"])
def test_what_stays_is_what_the_options_say(name: FormatName) -> None:
    source = {"jpeg": JPEG, "png": PNG, "webp": WEBP}[name]

    async def scenario() -> None:
        async with arrived(source, name) as file:
            assert await stand_in(file, "all") == source
            for keep, wanted in KEPT.items():
                data = await stand_in(file, keep)
                assert data is not None
                assert pictures.opened(data).getexif() == wanted
                assert b"2026:01:02" not in data

    run(scenario())


def test_its_entity_tag_is_of_the_bytes_that_are_sent(redis_address: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        tags = set()
        for options in ("f:auto", "f:auto,keep:copyright", "f:auto,keep:all"):
            async with making(redis_address, tmp_path, JPEG, options) as one:
                tags.add((await one.make()).variant.etag)
        assert len(tags) == 3

    run(scenario())


@pytest.mark.parametrize(
    ("options", "kind"), [("f:webp", "webp"), ("f:jpeg", "jpeg"), ("f:auto", "jpeg"), ("f:source", "jpeg")]
)
def test_where_every_encode_is_larger_the_asked_format_stays(
    redis_address: str, tmp_path: Path, options: str, kind: str
) -> None:
    """A source of that format is the answer, less its metadata; one of another is not."""
    recipe = recipe_of(options)
    larger = encode("webp" if kind == "webp" else "jpeg", len(JPEG) + 1)

    async def scenario() -> None:
        async with opened(redis_address, tmp_path) as place, arrived(JPEG, "jpeg") as source:
            work = Work(recipe, recipe.key(), None)
            await Teller(place.shelf, LIVES).tell(work, source, larger, await place.shelf.look(work.key), "final")
            held = await work.first
            assert dict(held.variant.headers)["content-type"] == f"image/{kind}"
            assert held.variant.kind == "final"
            assert (held.data == larger.data) is (kind == "webp")
            if kind != "webp":
                assert pictures.opened(held.data).getexif() == {ORIENTATION: 6}
                assert len(held.data) < len(JPEG)

    run(scenario())
