"""Serves blobs to whoever has a signed link, for a store that has no server of its own: GET and HEAD of RFC 9110."""

import asyncio
import re
import time
from typing import Any, Final

import structlog
from litestar import Request, Router, route
from litestar.enums import HttpMethod
from litestar.types import Receive, Scope, Send

from app.errors import ServiceError
from app.ports.blobs import FILES_PATH, BlobMissing, BlobsUnavailable, GrantedLink, LinkRefused, OpenBlob, ServedBlobs

_log = structlog.get_logger(__name__)
#: About six chunks stand between the store and a client that reads slowly. Twice this moves a file 1.5 times as fast.
_CHUNK_BYTES: Final = 128 * 1024
#: A client that takes nothing for this long is left.
_STALL_S: Final = 30.0
_ENTITY_TAG: Final = re.compile(r'"[^"]*"')
#: One range. Of several, which no browser asks for, the RFC lets a server send the whole file.
_RANGE: Final = re.compile(r"bytes=(?:(\d{1,18})-(\d{0,18})|-(\d{1,18}))", re.ASCII | re.IGNORECASE)


def router(blobs: ServedBlobs) -> Router:
    """Make the route that links lead to. The link is the key."""

    @route("/{name:path}", http_method=[HttpMethod.GET, HttpMethod.HEAD])
    async def serve(request: Request[Any, Any, Any]) -> _Download:
        """Send a file that a link grants."""
        name = request.scope["path"].removeprefix(FILES_PATH)
        try:
            granted = blobs.check_link(name, request.scope["query_string"].decode("latin-1"))
        except LinkRefused as refused:
            raise ServiceError("link_invalid", str(refused)) from None
        return _Download(blobs, name, granted, request)

    return Router(FILES_PATH, route_handlers=[serve])


class _Download:
    """The answer, as an ASGI application.

    Litestar's own know no ranges, and go on reading a file that the client does not take.
    """

    def __init__(self, blobs: ServedBlobs, name: str, granted: GrantedLink, request: Request[Any, Any, Any]) -> None:
        self._blobs, self._name, self._granted, self._request = blobs, name, granted, request

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        try:
            blob = await self._blobs.open(self._name)
        except BlobMissing:
            raise ServiceError("not_found", "This file is gone.") from None
        except BlobsUnavailable:
            raise ServiceError(
                "unavailable", "Files cannot be read right now. Try again.", headers={"Retry-After": "2"}
            ) from None
        try:
            await self._answer(blob, send)
        except (BlobsUnavailable, TimeoutError) as error:
            # An answer that stops short of its length ends the connection, by which the client knows.
            _log.warning("download_stopped", path=scope["path"], reason=repr(error))
        finally:
            blob.close()

    async def _answer(self, blob: OpenBlob, send: Send) -> None:
        wanted, link = self._request.headers, self._granted.link
        headers = {
            "etag": blob.etag,
            "cache-control": f"private, max-age={max(0, self._granted.expires - int(time.time()))}",
            "accept-ranges": "bytes",
            "x-content-type-options": "nosniff",
        }
        if _has(blob.etag, wanted.get("if-none-match", "")):
            await _send_head(send, 304, headers)
            await _send_chunk(send, b"", last=True)
            return
        is_head = self._request.method == HttpMethod.HEAD
        # An `If-Range` that is a date matches nothing: there is no Last-Modified.
        may_be_part = not is_head and wanted.get("if-range", blob.etag) == blob.etag
        part = _find_part(wanted.get("range", ""), blob.size) if may_be_part else None
        if part is not None:
            headers["content-range"] = f"bytes {part.start}-{part.stop - 1}/{blob.size}"
        sent = range(blob.size) if part is None else part
        headers |= {
            "content-type": link.content_type,
            "content-disposition": link.disposition,
            "content-length": str(len(sent)),
        }
        await _send_head(send, 200 if part is None else 206, headers)
        if not is_head:
            for start in range(sent.start, sent.stop, _CHUNK_BYTES):
                await _send_chunk(send, await blob.read(start, min(_CHUNK_BYTES, sent.stop - start)))
        await _send_chunk(send, b"", last=True)


def _has(etag: str, if_none_match: str) -> bool:
    """Whether a list of entity tags, weak ones included, has this one."""
    return if_none_match.strip() == "*" or etag in _ENTITY_TAG.findall(if_none_match)


def _find_part(wanted: str, size: int) -> range | None:
    """Return the bytes that a `Range` asks for; None: all of them, the header being absent, broken or for several."""
    found = _RANGE.fullmatch(wanted.strip())
    if found is None:
        return None
    first, last, from_end = found.groups()
    if from_end:
        part = range(max(0, size - int(from_end)), size)
    elif last and int(last) < int(first):
        return None
    else:
        part = range(int(first), min(int(last) + 1, size) if last else size)
    if not part:
        raise ServiceError(
            "range_not_satisfiable", f"The file has {size} bytes.", headers={"Content-Range": f"bytes */{size}"}
        )
    return part


async def _send_head(send: Send, status: int, headers: dict[str, str]) -> None:
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        }
    )


async def _send_chunk(send: Send, data: bytes, *, last: bool = False) -> None:
    async with asyncio.timeout(_STALL_S):
        await send({"type": "http.response.body", "body": data, "more_body": not last})
