"""The OpenAPI 3.1 document, put together from the tables that the code itself uses.

Litestar could draw one up from the handlers' signatures, but these say nothing of what a client sees: bodies are read
from the socket, headers come from several layers, and every error has one shape. So the operations are written out
here, and a test holds them against the routes.
"""

from importlib.metadata import version
from typing import Final

from app.api.glossary import HEADERS, errors, megabytes
from app.api.limits import POLLS_PER_COMPRESSION
from app.api.multipart import FILE
from app.api.openapi_components import RATE_HEADERS, Json, components, headers, refusals
from app.api.parameters import MAX_BODY_BYTES, URL
from app.errors import STATUS
from app.ports.keys import PER_MINUTE
from app.ports.limiter import WINDOW_S
from app.settings import Settings
from pixels.formats import FORMATS

#: Codes that each operation of this version can answer.
COMPRESS_CODES: Final = (
    *("missing_source", "invalid_param", "invalid_url", "unauthorized", "request_timeout", "file_too_large"),
    *("image_too_large", "unsupported_format", "fetch_failed", "decode_failed", "rate_limit_exceeded"),
    *("compression_failed", "overloaded", "unavailable"),
)
JOB_CODES: Final = ("unauthorized", "not_found", "rate_limit_exceeded", "compression_failed", "unavailable")
READY_CODES: Final = ("unavailable",)
#: Codes of no operation: a wrong method is refused before one is chosen, and the others come with jobs.
OTHER_CODES: Final = tuple(code for code in STATUS if code not in {*COMPRESS_CODES, *JOB_CODES, *READY_CODES})

_RESULT_HEADERS: Final = (
    *("Content-Disposition", "X-Original-Size", "X-Compressed-Size", "X-Savings-Percent", "X-Format", "X-Quality"),
    *("X-Width", "X-Height", "X-Job-Id", "Server-Timing", "Cache-Control", "X-Content-Type-Options", "X-Request-Id"),
)
_SOMETIMES_HEADERS: Final = ("X-Distance", "X-Original-Returned")


def document(settings: Settings) -> Json:
    """Draw up the document for a service with these settings."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Compressorize API",
            "version": version("compressorize"),
            "summary": "Image compression over one HTTP call.",
            "description": _introduction(settings),
        },
        "servers": [{"url": "/", "description": "This service"}],
        "security": [{"apiKey": []}],
        "tags": [
            {"name": "Compression", "description": "An image in, a smaller one out."},
            {
                "name": "Jobs",
                "description": "For large files, in a later version. The paths are there and know no job.",
            },
            {"name": "Health", "description": "For probes. No key is needed."},
        ],
        "paths": {
            "/api/v1/compress": {"post": _compress(settings)},
            "/api/v1/status/{id}": {
                "get": _of_a_job(
                    settings,
                    operation_id="get_status",
                    summary="How does a job stand?",
                    coming="it will tell the job's state, its sizes and where to download the result.",
                )
            },
            "/api/v1/download/{id}": {
                "get": _of_a_job(
                    settings,
                    operation_id="download_result",
                    summary="Download a job's result",
                    coming="it will redirect (302) to an address that serves the file for up to an hour.",
                )
            },
            "/health/live": {"get": _live()},
            "/health/ready": {"get": _ready(settings)},
        },
        "components": components(settings, OTHER_CODES),
    }


def _introduction(settings: Settings) -> str:
    meanings = errors(settings)
    rows = [
        f"| {status} | `{code}` | {meanings[code].meaning} | {meanings[code].remedy} |"
        for code, status in sorted(STATUS.items(), key=lambda item: item[1])
    ]
    limits = ", ".join(f"{plan} {count}" for plan, count in PER_MINUTE.items())
    small, large = megabytes(settings.sync_max_bytes), megabytes(settings.max_bytes)
    return "\n".join(
        (
            "Send an image, get a smaller one that looks the same.",
            "",
            f"**Limits.** Compressions in {WINDOW_S} seconds: {limits}; a custom plan has its own number. Polling has "
            f"a budget of its own, {POLLS_PER_COMPRESSION} times that. A refused request is not counted.",
            "",
            f"**Not in this version.** Files of {small} to {large} are refused with `file_too_large`, and `url` with "
            "`fetch_failed`. `webhook_url` is checked and never called; `Idempotency-Key` is not read. Jobs, their "
            "status, downloads and webhooks come with a later version.",
            "",
            "**Errors** have one shape, for unknown paths too: a status, a code to act on and a message to read.",
            "",
            "| Status | Code | When | What to do |",
            "| --- | --- | --- | --- |",
            *rows,
        )
    )


def _compress(settings: Settings) -> Json:
    address = {"schema": {"$ref": "#/components/schemas/Address"}, "example": {URL: "https://example.com/photo.jpg"}}
    accepted = ", ".join(one.media_type for one in FORMATS.values())
    return {
        "operationId": "compress",
        "tags": ["Compression"],
        "summary": "Compress an image",
        "description": (
            f"Files under {megabytes(settings.sync_max_bytes)} are answered at once with the compressed file. Where "
            "neither format nor size was to change, it is not larger than the source."
        ),
        "requestBody": {
            "required": True,
            "description": (
                "A file needs multipart/form-data, with its fields in any order. The other two kinds serve where there "
                f"is a `{URL}`, in at most {MAX_BODY_BYTES} bytes; in JSON, a number or boolean may be a string too."
            ),
            "content": {
                "multipart/form-data": {
                    "schema": {"$ref": "#/components/schemas/Upload"},
                    "encoding": {FILE: {"contentType": accepted}},
                },
                "application/x-www-form-urlencoded": address,
                "application/json": address,
            },
        },
        "responses": {
            "200": {
                "description": "The compressed image.",
                "headers": {
                    **headers((*_RESULT_HEADERS, *RATE_HEADERS)),
                    **headers(_SOMETIMES_HEADERS, required=False),
                },
                "content": {
                    one.media_type: {"schema": {"type": "string", "format": "binary"}} for one in FORMATS.values()
                },
            },
            **refusals(settings, COMPRESS_CODES),
        },
    }


def _of_a_job(settings: Settings, *, operation_id: str, summary: str, coming: str) -> Json:
    return {
        "operationId": operation_id,
        "tags": ["Jobs"],
        "summary": summary,
        "description": f"This version keeps no jobs and answers 404 to every id. In a later one, {coming}",
        "parameters": [
            {
                "name": "id",
                "in": "path",
                "required": True,
                "description": "A job's id, as `X-Job-Id` gives it.",
                "schema": {"type": "string", "pattern": "^[A-Za-z0-9_-]+$"},
                "example": HEADERS["X-Job-Id"].example,
            }
        ],
        "responses": refusals(settings, JOB_CODES),
    }


def _live() -> Json:
    return _probe("health_live", "Is the process alive?", "Asks nothing of the service's parts.", "alive")


def _ready(settings: Settings) -> Json:
    probe = _probe("health_ready", "Can it serve requests?", "Redis answers and an encode process is ready.", "ready")
    probe["responses"] |= refusals(settings, READY_CODES, counted=False)
    return probe


def _probe(operation_id: str, summary: str, description: str, status: str) -> Json:
    schema = {"type": "object", "properties": {"status": {"const": status}}, "required": ["status"]}
    return {
        "operationId": operation_id,
        "tags": ["Health"],
        "summary": summary,
        "description": description,
        "security": [],
        "responses": {
            "200": {
                "description": "Yes.",
                "headers": headers(("X-Request-Id",)),
                "content": {"application/json": {"schema": schema, "example": {"status": status}}},
            }
        },
    }
