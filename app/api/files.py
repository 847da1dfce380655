"""Serves blobs to whoever has a signed link, for a store that has no server of its own: GET and HEAD of RFC 9110."""

import time
from typing import Any

import structlog
from litestar import Request, Router, route
from litestar.enums import HttpMethod
from litestar.types import Receive, Scope, Send

from app.api.conditional import CHUNK_BYTES, find_part, has_tag, send_chunk, send_head
from app.errors import ServiceError
from app.ports.blobs import FILES_PATH, BlobMissing, BlobsUnavailable, GrantedLink, LinkRefused, OpenBlob, ServedBlobs

_log = structlog.get_logger(__name__)


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
        if has_tag(blob.etag, wanted.get("if-none-match", "")):
            await send_head(send, 304, _encoded(headers))
            await send_chunk(send, b"", last=True)
            return
        is_head = self._request.method == HttpMethod.HEAD
        # An `If-Range` that is a date matches nothing: there is no Last-Modified.
        may_be_part = not is_head and wanted.get("if-range", blob.etag) == blob.etag
        part = find_part(wanted.get("range", ""), blob.size) if may_be_part else None
        if part is not None:
            headers["content-range"] = f"bytes {part.start}-{part.stop - 1}/{blob.size}"
        sent = range(blob.size) if part is None else part
        headers |= {
            "content-type": link.content_type,
            "content-disposition": link.disposition,
            "content-length": str(len(sent)),
        }
        await send_head(send, 200 if part is None else 206, _encoded(headers))
        if not is_head:
            for start in range(sent.start, sent.stop, CHUNK_BYTES):
                await send_chunk(send, await blob.read(start, min(CHUNK_BYTES, sent.stop - start)))
        await send_chunk(send, b"", last=True)


def _encoded(headers: dict[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode()) for name, value in headers.items()]
