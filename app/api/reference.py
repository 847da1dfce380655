"""Serves the reference: `/openapi.json`, and at `/docs` the page that renders it, with every asset from this service.

The assets are Swagger UI's, from the package that carries its distribution; only those that the page needs can be
reached. The page has no inline script, so that its policy can forbid all of them.
"""

import gzip
import json
import re
from functools import cached_property
from hashlib import sha256
from importlib.metadata import distribution
from pathlib import Path
from typing import Any, Final

from litestar import Request, Response, Router, get
from litestar.exceptions import NotFoundException
from litestar.params import FromPath

from app.api.openapi import document
from app.settings import Settings

_OURS: Final = Path(__file__).with_name("page")
#: What the page needs of the distribution, with media types; the rest (other builds, editors, source maps) stays away.
_SWAGGER_UI_FILES: Final = {
    "swagger-ui.css": "text/css",
    "swagger-ui-bundle.js": "text/javascript",
    "favicon-32x32.png": "image/png",
}
# Swagger UI draws its icons from data: URLs, and shows an image that was answered from a blob: URL.
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_GZIP_LEVEL: Final = 6
#: A weight of zero forbids it (RFC 9110, 12.5.3).
_TAKES_GZIP: Final = re.compile(r"\bgzip\b(?!\s*;\s*q=0(?:\.0*)?\s*(?:,|$))", re.IGNORECASE)


class _Content:
    """Something that never changes while the process runs."""

    def __init__(self, body: bytes, media_type: str) -> None:
        self.body = body
        self.media_type = media_type
        self.digest = sha256(body).hexdigest()[:32]

    @cached_property
    def gzipped(self) -> bytes:
        """The body gzipped: not before it is wanted, since all of them take 0.1 s."""
        return gzip.compress(self.body, _GZIP_LEVEL, mtime=0)


def router(settings: Settings) -> Router:
    """Make the routes of the reference.

    Raises
    ------
    importlib.metadata.PackageNotFoundError, OSError
        Swagger UI's distribution is not installed, or lacks a file.
    """
    schema = _Content(json.dumps(document(settings)).encode(), "application/json")
    page = _Content((_OURS / "index.html").read_bytes(), "text/html")
    # Located, not imported: the package's own code is for other frameworks.
    theirs = Path(str(distribution("swagger-ui-py").locate_file("swagger_ui/static")))
    assets = {name: _Content((theirs / name).read_bytes(), kind) for name, kind in _SWAGGER_UI_FILES.items()}
    assets["start.js"] = _Content((_OURS / "start.js").read_bytes(), "text/javascript")

    @get("/openapi.json", sync_to_thread=True)
    def openapi(request: Request[Any, Any, Any]) -> Response[bytes]:
        return _answer(request, schema)

    @get("/docs", sync_to_thread=True)
    def docs(request: Request[Any, Any, Any]) -> Response[bytes]:
        return _answer(request, page, {"Content-Security-Policy": _POLICY, "Referrer-Policy": "no-referrer"})

    @get("/docs/{name:str}", sync_to_thread=True)
    def asset(request: Request[Any, Any, Any], name: FromPath[str]) -> Response[bytes]:
        if name not in assets:
            raise NotFoundException
        return _answer(request, assets[name])

    return Router("/", route_handlers=[openapi, docs, asset], include_in_schema=False)


def _answer(
    request: Request[Any, Any, Any], content: _Content, headers: dict[str, str] | None = None
) -> Response[bytes]:
    """Answer 200, or 304 where the client has it; browsers must ask each time, since an update keeps the addresses."""
    zipped = _TAKES_GZIP.search(request.headers.get("accept-encoding", "")) is not None
    # A gzipped body is another representation, so it has another strong tag.
    etag = f'"{content.digest}{"-gzip" if zipped else ""}"'
    told = {
        **(headers or {}),
        "ETag": etag,
        "Cache-Control": "no-cache",
        "Vary": "Accept-Encoding",
        "X-Content-Type-Options": "nosniff",
    }
    if etag in request.headers.get("if-none-match", ""):
        return Response(b"", status_code=304, headers=told)
    if zipped:
        told["Content-Encoding"] = "gzip"
    return Response(content.gzipped if zipped else content.body, media_type=content.media_type, headers=told)
