"""Gets a source into memory: from its URL, asked only for what has changed, or from the account's part of the store."""

import hashlib
import re
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Final

import msgspec

from app.errors import ServiceError, unavailable
from app.ports.blobs import BlobMissing, Blobs, BlobsUnavailable
from app.ports.variants import Variant
from app.service.buffers import BufferPool, SharedBuffer
from app.service.cdn.freshness import heed_redirects, read_freshness
from app.service.cdn.source import CdnSource
from app.service.content_coding import PIECE_BYTES
from app.service.fetch import Fetched, Fetcher, UnexpectedStatus
from app.service.upload import too_large
from pixels.formats import FormatName
from pixels.sniff import HEAD_BYTES, sniff

#: Fastly takes 1,024 characters a key and 16 kB of them, Cloudflare 1,024 and 16 kB: far more than anybody needs.
_MOST_TAGS: Final = 32
_TAG: Final = re.compile(r"[!-+\--~]{1,128}")
_TAG_HEADERS: Final = frozenset({"surrogate-key", "cache-tag"})
#: What `read_freshness` reads.
_FRESHNESS_HEADERS: Final = frozenset({"cache-control", "expires", "date", "age", "etag", "last-modified"})
#: A server that says so knows that the source is gone, whatever was kept of it.
_GONE: Final = frozenset({401, 403, 404, 410})


class SourceFacts(msgspec.Struct, frozen=True):
    """What is known of a source beside its bytes.

    Attributes
    ----------
    digest
        SHA-256 of the bytes, in hex.
    headers
        Of its answer, names in lower case: those that tell how long it is good.
    tags
        What the source's server calls it, in `Surrogate-Key` and `Cache-Tag`.
    asked_at
        When it was asked for, in Unix seconds: from then on its time passes.
    """

    format: FormatName
    digest: str
    headers: Mapping[str, str]
    tags: tuple[str, ...]
    asked_at: float


class SourceFile(msgspec.Struct, frozen=True):
    """A source in memory."""

    buffer: SharedBuffer
    facts: SourceFacts


class Unchanged(msgspec.Struct, frozen=True):
    """The source is what it was; `headers` tell anew how long it may be taken for that, from `asked_at` on.

    `tags` are what it is called now; None where that was not told anew.
    """

    headers: Mapping[str, str]
    asked_at: float
    tags: tuple[str, ...] | None = None


class Origin:
    """Gets sources.

    Parameters
    ----------
    buffers
        Each holds the largest source and one piece more.
    most_of_account
        Sources of one account that may be under way at once: fewer than `buffers` lends, so that one with slow sources
        leaves room for others.
    """

    def __init__(
        self, fetcher: Fetcher, blobs: Blobs, buffers: BufferPool, *, max_bytes: int, most_of_account: int
    ) -> None:
        self._fetcher = fetcher
        self._blobs = blobs
        self._buffers = buffers
        self._max_bytes = max_bytes
        self._most_of_account = most_of_account
        self._under_way: Counter[str] = Counter()

    @asynccontextmanager
    async def opened(
        self, account: str, source: CdnSource, known: Variant | None
    ) -> AsyncIterator[SourceFile | Unchanged]:
        """Get a source, whose memory is lent for the context; unchanged since `known` was made, it is not got again.

        Raises
        ------
        ServiceError
            404 `not_found`: its server says that it is gone, or the store has none. 502 `source_failed`: its server
            fails otherwise. 400, 413, 415: it cannot be compressed. 503: the store does not answer, or too many
            sources are under way.
        """
        buffer = self._buffers.lend() if self._under_way[account] < self._most_of_account else None
        if buffer is None:
            raise ServiceError("overloaded", "Too many sources at once. Try again.", headers={"Retry-After": "1"})
        self._under_way[account] += 1
        try:
            yield await self._get(source, known, _Arrival(buffer, self._max_bytes))
        finally:
            self._buffers.take_back(buffer)
            self._under_way[account] -= 1
            if not self._under_way[account]:
                del self._under_way[account]

    async def _get(self, source: CdnSource, known: Variant | None, arrival: "_Arrival") -> SourceFile | Unchanged:
        headers: Mapping[str, str] = {}
        asked_at = time.time()
        if source.blob is not None:
            await self._read(source.blob, arrival)
        else:
            fetched = await self._fetch(source.url or "", arrival, known)
            headers, redirects = fetched.headers, fetched.redirects
            if known is not None and fetched.size is None:
                # What a 304 does not tell stays as it was told (RFC 9111, section 3.2); but an age is of one answer.
                before = {name: value for name, value in known.source_headers if name != "age"}
                tags = _read_tags(headers) if headers.keys() & _TAG_HEADERS else None
                told = heed_redirects({**before, **headers}, redirects, time.time())
                return Unchanged(_of_freshness(told), asked_at, tags)
            headers = heed_redirects(headers, redirects, time.time())
        name, digest = arrival.end()
        if known is not None and known.source_digest == digest:
            return Unchanged(_of_freshness(headers), asked_at, _read_tags(headers))
        facts = SourceFacts(name, digest, _of_freshness(headers), _read_tags(headers), asked_at)
        return SourceFile(arrival.buffer, facts)

    async def _fetch(self, url: str, arrival: "_Arrival", known: Variant | None) -> Fetched:
        """Fetch, and fail as a gateway does: to a cache, a 4xx is an answer that takes the place of what it has."""
        try:
            return await self._fetcher.fetch(url, arrival, known=_asking_for_change(known))
        except ServiceError as error:
            if error.code != "fetch_failed":
                raise
            cause = error.__cause__
            if isinstance(cause, UnexpectedStatus) and cause.status in _GONE:
                raise ServiceError("not_found", error.message) from cause
            raise ServiceError("source_failed", error.message) from cause

    async def _read(self, name: str, arrival: "_Arrival") -> None:
        try:
            async for chunk in self._blobs.read(name):
                view = memoryview(chunk)
                for start in range(0, len(view), PIECE_BYTES):
                    arrival.write(view[start : start + PIECE_BYTES])
        except BlobMissing:
            raise ServiceError("not_found", "There is no such object.") from None
        except BlobsUnavailable:
            raise unavailable() from None


def is_gone(error: ServiceError) -> bool:
    """Tell a source that is not there any more from one that cannot be had now."""
    return error.code in {"not_found", "invalid_url"}


class _Arrival:
    """What a source is written into: counted, hashed, and given up at its first bytes where it is no image."""

    def __init__(self, buffer: SharedBuffer, max_bytes: int) -> None:
        self.buffer = buffer
        self._max_bytes = max_bytes
        self._hash = hashlib.sha256()
        self._format: FormatName | None = None

    def write(self, data: memoryview) -> None:
        if self.buffer.size + len(data) > self._max_bytes:
            raise too_large(self._max_bytes)
        self.buffer.write(data)
        self._hash.update(data)
        if self._format is None and self.buffer.size >= HEAD_BYTES:
            self._format = self._recognise()

    async def flush(self) -> None:
        """Have room for all of it."""

    def end(self) -> tuple[FormatName, str]:
        """Tell what has come: its format and digest."""
        return self._format or self._recognise(), self._hash.hexdigest()

    def _recognise(self) -> FormatName:
        found = sniff(self.buffer.head(HEAD_BYTES))
        if found is None:
            raise ServiceError("unsupported_format", "The source is not a JPEG, PNG, WebP or AVIF image.")
        return found.format


def _asking_for_change(known: Variant | None) -> dict[str, str]:
    if known is None:
        return {}
    told = read_freshness(dict(known.source_headers), known.made)
    asking = {"If-None-Match": told.etag, "If-Modified-Since": told.last_modified}
    return {name: value for name, value in asking.items() if value}


def _of_freshness(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name in _FRESHNESS_HEADERS}


def _read_tags(headers: Mapping[str, str]) -> tuple[str, ...]:
    named = headers.get("surrogate-key", "").split() + headers.get("cache-tag", "").split(",")
    tags = dict.fromkeys(tag for tag in map(str.strip, named) if _TAG.fullmatch(tag))
    return tuple(tags)[:_MOST_TAGS]
