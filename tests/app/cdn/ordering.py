"""What the tests of orders share: a source in memory, the work on its variant, and encoders that obey."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

from app.adapters.breaker import Breaker
from app.adapters.filesystem import FilesystemBlobs
from app.adapters.redis_client import open_client
from app.adapters.redis_jobs import RedisJobs
from app.adapters.redis_variants import RedisVariants
from app.adapters.signed_links import SignedLinks
from app.errors import ServiceError
from app.ports.cdn_accounts import AllowedOrigin, CdnAccount
from app.service.buffers import SharedBuffer
from app.service.cdn.answers import Lives
from app.service.cdn.lifetimes import CacheTimes
from app.service.cdn.memory import Memory
from app.service.cdn.negotiation import negotiate
from app.service.cdn.options import parse_options
from app.service.cdn.origin import SourceFacts, SourceFile
from app.service.cdn.recipe import Recipe
from app.service.cdn.shelf import Shelf
from app.service.cdn.source import CdnSource
from app.service.cdn.work import Work
from app.service.encode_protocol import Done
from app.service.encoders import Encoded
from pixels.formats import FormatName
from pixels.options import Options

URL = "https://img.example.com/a.jpg"
LIVES = Lives(CacheTimes(60, 600, 60, 60, interim_s=10), failure_s=5)
_OPTIONS = parse_options("f:auto,w:99")
_ACCOUNT = CdnAccount("ada", (AllowedOrigin("https", "img.example.com", 443),), client_hints=True)
RECIPE = Recipe(
    _ACCOUNT, CdnSource(url=URL), _OPTIONS, negotiate(_OPTIONS, {"accept": "image/avif,image/webp"}, _ACCOUNT), 1.2
)
#: Larger than whatever is made of it here.
SOURCE_BYTES = 5000


class Place(NamedTuple):
    """Where variants and jobs are kept."""

    shelf: Shelf
    variants: RedisVariants
    jobs: RedisJobs
    blobs: FilesystemBlobs


@asynccontextmanager
async def opened(address: str, folder: Path, *, jobs_address: str = "") -> AsyncIterator[Place]:
    blobs = FilesystemBlobs(folder / "store", SignedLinks(b"secret"))
    async with open_client(address, 30) as client, open_client(jobs_address or address, 30) as queue:
        variants = RedisVariants(client, client, Breaker(), max_bytes=1 << 30)
        jobs = RedisJobs(queue, Breaker(pause_s=0.05), most_of_account=100)
        try:
            yield Place(Shelf(variants, blobs, Memory(1 << 20)), variants, jobs, blobs)
        finally:
            await blobs.close()


@asynccontextmanager
async def fetched(**headers: str) -> AsyncIterator[SourceFile]:
    """A source that has just come; its bytes are nobody's picture."""
    buffer = SharedBuffer(1 << 16)
    buffer.write(memoryview(bytes(range(250)) * (SOURCE_BYTES // 250)))
    try:
        yield SourceFile(buffer, SourceFacts("jpeg", "digest", headers, ("shoes",), time.time()))
    finally:
        buffer.close()


def begin_work() -> Work:
    return Work(RECIPE, RECIPE.key(), None)


def encode(name: FormatName, size: int) -> Encoded:
    """What an encode process gives: `size` bytes."""
    facts = Done(size, name, 40, 30, 80, original_returned=False, distance=1.1, decode_ms=1, search_ms=1, encode_ms=1)
    return Encoded(name.encode().ljust(size, b"."), facts, 0, 0)


class Encoders:
    """Stands for the encode processes: gives results of the sizes that it is told, once it may."""

    def __init__(self, sizes: Mapping[str, int]) -> None:
        self.begun: list[str] = []
        self.may = asyncio.Event()
        self.may.set()
        self._sizes = sizes

    async def encode(self, source: SharedBuffer, options: Options, *, account: str = "") -> Any:
        assert (source.size, account) == (SOURCE_BYTES, "ada")
        self.begun.append(options.format)
        await self.may.wait()
        if options.format not in self._sizes:
            raise ServiceError("decode_failed", "It is broken.")
        assert options.format != "auto"
        return encode(options.format, self._sizes[options.format])
