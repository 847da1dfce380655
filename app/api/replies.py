"""What is sent back: the compressed file with its headers, what is known of a job, or an error in the one shape."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import orjson
import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException, MethodNotAllowedException, NotFoundException
from litestar.response.base import ASGIResponse

from app.api.exchange import exchange_of
from app.errors import ServiceError
from app.ports.jobs import Job, Outcome
from app.service.compress import Answer, Ticket
from app.service.job_reply import describe, savings_percent
from pixels.formats import FORMATS

_log = structlog.get_logger(__name__)
_CLIENT_CLOSED = 499


class ClientGone(Exception):
    """The client hung up before its request had arrived: there is nobody to answer."""


def compressed(answer: Answer, before_ms: Mapping[str, float] = MappingProxyType({})) -> ASGIResponse:
    """The 200 of a compression; `before_ms` is how long the stages before it took."""
    outcome, size = answer.outcome, answer.job.original_size
    kind = FORMATS[outcome.format]
    headers = {
        "content-disposition": f'attachment; filename="compressed.{kind.extension}"',
        "x-original-size": str(size),
        "x-compressed-size": str(outcome.size),
        "x-savings-percent": str(savings_percent(size, outcome.size)),
        "x-format": kind.name,
        "x-job-id": answer.job.id,
        "x-width": str(outcome.width),
        "x-height": str(outcome.height),
        "x-content-type-options": "nosniff",
        "cache-control": "no-store",
        **_quality_headers(outcome),
    }
    if answer.timings_ms:
        timings_ms = [*before_ms.items(), *answer.timings_ms.items()]
        headers["server-timing"] = ", ".join(f"{stage};dur={ms:.1f}" for stage, ms in timings_ms)
    if outcome.original_returned:
        headers["x-original-returned"] = "true"
    if answer.cache is not None:
        headers["x-cache"] = answer.cache
    return ASGIResponse(body=answer.data, media_type=kind.media_type, headers=headers)


def accepted(ticket: Ticket) -> ASGIResponse:
    """The 202 of a job that was taken."""
    body = {
        "id": ticket.job.id,
        "status": "processing",
        "poll_url": f"/api/v1/status/{ticket.job.id}",
        "estimated_seconds": ticket.estimated_s,
    }
    headers = {"x-job-id": ticket.job.id} | ({} if ticket.cache is None else {"x-cache": ticket.cache})
    return _json(body, status=202, headers=headers)


def status(job: Job) -> ASGIResponse:
    """How a job stands."""
    headers = {} if job.outcome is None else _quality_headers(job.outcome)
    return _json(describe(job, f"/api/v1/download/{job.id}"), headers=headers)


def redirect(url: str) -> ASGIResponse:
    """The 302 to a download."""
    return ASGIResponse(
        status_code=302, media_type="text/plain", headers={"location": url, "cache-control": "no-store"}
    )


def _quality_headers(outcome: Outcome) -> dict[str, str]:
    headers = {"x-quality": str(outcome.quality)}
    if outcome.distance is not None:
        headers["x-distance"] = f"{outcome.distance:.3f}"
    return headers


def _json(body: dict[str, Any], *, status: int = 200, headers: dict[str, str]) -> ASGIResponse:
    return ASGIResponse(
        body=orjson.dumps(body),
        status_code=status,
        media_type="application/json",
        headers={"cache-control": "no-store", **headers},
    )


def error(request: Request[Any, Any, Any], exception: Exception) -> Response[Any]:
    """Answer any exception in the one error shape: the one exception handler of the application."""
    if isinstance(exception, ClientGone):
        return Response(b"", status_code=_CLIENT_CLOSED)
    told = exception if isinstance(exception, ServiceError) else _told_as(request, exception)
    exchange_of(request).facts["error"] = told.code
    return Response(
        told.body(),
        status_code=told.status,
        media_type="application/json",
        headers={"Cache-Control": "no-store", **told.headers},
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
