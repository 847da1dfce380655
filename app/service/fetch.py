"""Fetching the image that a request names by `url`."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple, Protocol, cast

import aiohttp

from app.errors import ServiceError
from app.service.content_coding import PIECE_BYTES, BadCoding, decoder_for
from app.service.netguard import HTTP_SCHEMES, ForbiddenUrl, Target, UnresolvableHost
from app.service.outbound import Outbound, RequestFailed
from app.service.upload import too_large

IDLE_TIMEOUT_S: Final = 5.0
TOTAL_TIMEOUT_S: Final = 15.0
MAX_REDIRECTS: Final = 3
_ACCEPT: Final = "image/avif,image/webp,image/png,image/jpeg"
_OK: Final = 200
_NOT_MODIFIED: Final = 304
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})


class Sink(Protocol):
    """Takes a body as it arrives. A ServiceError out of either method ends the fetch at once."""

    def write(self, data: memoryview) -> None:
        """Take the next bytes, at most `PIECE_BYTES`; `data` is good until the next call."""
        ...

    async def flush(self) -> None:
        """Wait until there is room for more; how long is the sink's own matter."""
        ...


class Fetched(NamedTuple):
    """What was fetched.

    Attributes
    ----------
    size
        Bytes that were written, 1 or more; None: nothing has changed, and nothing was written.
    headers
        Of the answer, names in lower case; of several fields of one name, the values joined by commas.
    redirects
        The headers of each answer that redirected to it.
    """

    size: int | None
    headers: Mapping[str, str]
    redirects: Sequence[Mapping[str, str]] = ()


class UnexpectedStatus(RequestFailed):
    """The cause of a `fetch_failed` where the server did answer, with another status than 200."""

    def __init__(self, status: int) -> None:
        super().__init__(f"The URL answered with status {status}.")
        self.status = status


class Fetcher:
    """Fetches from public addresses.

    Parameters
    ----------
    max_bytes
        The largest body, as it is sent and as it is decoded.
    idle_timeout_s
        How long a server may send nothing.
    total_timeout_s
        How long everything may take, redirects included and waiting for the sink not.
    """

    def __init__(
        self,
        outbound: Outbound,
        *,
        max_bytes: int,
        idle_timeout_s: float = IDLE_TIMEOUT_S,
        total_timeout_s: float = TOTAL_TIMEOUT_S,
    ) -> None:
        self._outbound = outbound
        self._max_bytes = max_bytes
        self._idle_timeout_s = idle_timeout_s
        self._total_timeout_s = total_timeout_s

    async def fetch(self, url: str, sink: Sink, *, known: Mapping[str, str] | None = None) -> Fetched:
        """Write the body behind a URL into `sink`; at most `MAX_REDIRECTS` redirects are followed.

        Parameters
        ----------
        known
            Headers that ask for the body only where it has changed: `If-None-Match`, `If-Modified-Since`.

        Raises
        ------
        ServiceError
            400 `invalid_url`: the URL, or one that it redirects to, is malformed or not public. 413 `file_too_large`.
            422 `fetch_failed`: everything else, of which the cause may be UnexpectedStatus; the sink may have got a
            part. And what `sink` raises.
        """
        try:
            async with asyncio.timeout(self._total_timeout_s) as deadline:
                target = self._outbound.judge(url, schemes=HTTP_SCHEMES)
                return await self._follow(target, {"Accept": _ACCEPT, **(known or {})}, sink, deadline)
        except ForbiddenUrl as error:
            raise ServiceError("invalid_url", str(error), param="url") from error
        except (UnresolvableHost, RequestFailed, BadCoding) as error:
            raise ServiceError("fetch_failed", str(error)) from error
        except TimeoutError as error:
            if not deadline.expired():  # the sink's own
                raise
            raise ServiceError(
                "fetch_failed", f"The URL could not be fetched within {self._total_timeout_s:g} seconds."
            ) from error

    async def _follow(
        self, target: Target, headers: Mapping[str, str], sink: Sink, deadline: asyncio.Timeout
    ) -> Fetched:
        redirects: list[Mapping[str, str]] = []
        for _ in range(MAX_REDIRECTS + 1):
            async with self._outbound.request("GET", target, headers=headers, idle_s=self._idle_timeout_s) as response:
                if response.status == _NOT_MODIFIED and headers.keys() - {"Accept"}:
                    return Fetched(None, _joined(response), redirects)
                if response.status not in _REDIRECTS:
                    size = await self._receive(response, sink, deadline)
                    return Fetched(size, _joined(response), redirects)
                location = response.headers.get("Location")
                redirects.append(_joined(response))
            if not location:
                raise RequestFailed("The URL redirects without saying where to.")
            target = self._outbound.judge_redirect(location, target)
        raise RequestFailed(f"The URL redirects more than {MAX_REDIRECTS} times.")

    async def _receive(self, response: aiohttp.ClientResponse, sink: Sink, deadline: asyncio.Timeout) -> int:
        if response.status != _OK:
            raise UnexpectedStatus(response.status)
        decoder = decoder_for(response.headers.getall("Content-Encoding", []))
        if (response.content_length or 0) > self._max_bytes:
            raise too_large(self._max_bytes)
        received = size = 0
        async for chunk in response.content.iter_chunked(PIECE_BYTES):
            received += len(chunk)
            for piece in decoder.decode(chunk):
                size += len(piece)
                if size > self._max_bytes:
                    raise too_large(self._max_bytes)
                sink.write(memoryview(piece))
                await _flush(sink, deadline)
                # A few bytes of gzip are many pieces: others get their turn.
                await asyncio.sleep(0)
            if received > self._max_bytes:
                raise too_large(self._max_bytes)
        decoder.finish()
        if not size:
            raise RequestFailed("The URL answered with an empty body.")
        return size


def _joined(response: aiohttp.ClientResponse) -> dict[str, str]:
    return {name.lower(): ", ".join(response.headers.getall(name)) for name in response.headers}


async def _flush(sink: Sink, deadline: asyncio.Timeout) -> None:
    """Let the sink take its time: the deadline is the server's."""
    clock = asyncio.get_running_loop().time
    ends_at, begun = cast(float, deadline.when()), clock()
    deadline.reschedule(None)
    try:
        await sink.flush()
    finally:
        deadline.reschedule(ends_at + clock() - begun)
