"""What is sent back: the compressed file with its headers, or an error in the one shape."""

from typing import Any

import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException, MethodNotAllowedException, NotFoundException
from litestar.response.base import ASGIResponse

from app.api.exchange import new_id
from app.errors import ServiceError
from app.service.encoders import Encoded
from pixels.formats import FORMATS

_log = structlog.get_logger(__name__)
_CLIENT_CLOSED = 499


class ClientGone(Exception):
    """The client hung up before its request had arrived: there is nobody to answer."""


def compressed(result: Encoded, original_size: int) -> ASGIResponse:
    """The 200 of a compression."""
    facts, size = result.facts, len(result.data)
    kind = FORMATS[facts.format]
    headers = {
        "content-disposition": f'attachment; filename="compressed.{kind.extension}"',
        "x-original-size": str(original_size),
        "x-compressed-size": str(size),
        "x-savings-percent": str(savings_percent(original_size, size)),
        "x-format": kind.name,
        "x-job-id": new_id(),
        "x-quality": str(facts.quality),
        "x-width": str(facts.width),
        "x-height": str(facts.height),
        "x-content-type-options": "nosniff",
        "cache-control": "no-store",
        "server-timing": (
            f"queue;dur={result.queue_ms:.1f}, decode;dur={facts.decode_ms:.1f}, "
            f"search;dur={facts.search_ms:.1f}, encode;dur={facts.encode_ms:.1f}"
        ),
    }
    if facts.distance is not None:
        headers["x-distance"] = f"{facts.distance:.3f}"
    if facts.original_returned:
        headers["x-original-returned"] = "true"
    return ASGIResponse(body=result.data, media_type=kind.media_type, headers=headers)


def savings_percent(original_size: int, compressed_size: int) -> int:
    """How much smaller, in whole percent rounded to nearest (halves up), never negative."""
    return max(0, (200 * (original_size - compressed_size) + original_size) // (2 * original_size))


def error(request: Request[Any, Any, Any], exception: Exception) -> Response[Any]:
    """Answer any exception in the one error shape: the one exception handler of the application."""
    if isinstance(exception, ClientGone):
        return Response(b"", status_code=_CLIENT_CLOSED)
    told = exception if isinstance(exception, ServiceError) else _told_as(request, exception)
    return Response(
        told.body(),
        status_code=told.status,
        media_type="application/json",
        headers={**told.headers, "Cache-Control": "no-store"},
    )


def _told_as(request: Request[Any, Any, Any], exception: Exception) -> ServiceError:
    if isinstance(exception, NotFoundException):
        return ServiceError("not_found", "There is nothing here.")
    if isinstance(exception, MethodNotAllowedException):
        allow = (exception.headers or {}).get("allow", "")
        return ServiceError("method_not_allowed", f"Use {allow or 'another method'} here.", headers={"Allow": allow})
    if isinstance(exception, HTTPException) and exception.status_code < 500:  # server errors begin there
        return ServiceError("invalid_param", exception.detail)
    _log.error("unhandled", path=request.scope["path"], exc_info=exception)
    return ServiceError("compression_failed", "Something went wrong on our side. Try again.")
