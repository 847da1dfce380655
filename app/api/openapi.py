"""The OpenAPI 3.1 document, put together from the tables that the code itself uses.

Litestar could draw one up from the handlers' signatures, but these say nothing of what a client sees: bodies are read
from the socket, headers come from several layers, and every error has one shape. So the operations are written out
here, and a test holds them against the routes.
"""

from importlib.metadata import version
from typing import Final

from app.api.glossary import duration, errors, megabytes
from app.api.glossary_values import REQUEST_HEADERS
from app.api.limits import POLLS_PER_COMPRESSION
from app.api.multipart import FILE
from app.api.openapi_cdn import PATH, pictures, purge
from app.api.openapi_components import (
    RATE_HEADERS,
    TICKET,
    Json,
    components,
    example,
    headers,
    json_of,
    refusals,
    request_headers,
)
from app.api.openapi_jobs import download, files, job_ended, status
from app.api.parameters import MAX_BODY_BYTES, URL
from app.errors import STATUS
from app.ports.blobs import FILES_PATH
from app.ports.keys import PER_MINUTE
from app.ports.limiter import WINDOW_S
from app.service import job_blobs
from app.settings import Settings
from pixels.formats import FORMATS

#: Codes that an operation can answer; those about jobs have theirs in `openapi_jobs`.
COMPRESS_CODES: Final = (
    *("missing_source", "invalid_param", "invalid_url", "unauthorized", "request_timeout", "idempotency_conflict"),
    *("file_too_large", "image_too_large", "unsupported_format", "fetch_failed", "decode_failed"),
    *("rate_limit_exceeded", "compression_failed", "overloaded", "unavailable"),
)
READY_CODES: Final = ("unavailable",)
#: Codes of no operation: a wrong method is refused before one is chosen.
OTHER_CODES: Final = ("method_not_allowed",)

_RESULT_HEADERS: Final = (
    *("Content-Disposition", "X-Original-Size", "X-Compressed-Size", "X-Savings-Percent", "X-Format", "X-Quality"),
    *("X-Width", "X-Height", "X-Job-Id", "Cache-Control", "X-Content-Type-Options", "X-Request-Id"),
)
_SOMETIMES_HEADERS: Final = ("X-Distance", "X-Original-Returned", "X-Cache", "Server-Timing")
_TICKET_HEADERS: Final = ("X-Job-Id", "Cache-Control", "X-Request-Id")
#: In the answer of `/health/ready`; its example is that of a new kernel.
_LOCKDOWN: Final = {
    "type": "object",
    "description": "What the kernel keeps the encode processes from, for good.",
    "properties": {
        "landlock": {
            "type": "integer",
            "minimum": 0,
            "description": "Files, TCP ports and signals, by the rules of this landlock ABI; 0: the kernel has none.",
        },
        "seccomp": {"type": "boolean", "description": "Every system call but the few that an encode needs."},
    },
    "required": ["landlock", "seccomp"],
    "example": {"landlock": 7, "seccomp": True},
}
_FILES: Final = FILES_PATH + job_blobs.result("{id}")


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
                "description": "What is large is compressed later, and everything can be downloaded again.",
            },
            {"name": "CDN", "description": "Pictures behind signed URLs, for caches in front."},
            {"name": "Health", "description": "For probes. No key is needed."},
        ],
        "paths": {
            "/api/v1/compress": {"post": _compress(settings)},
            "/api/v1/status/{id}": {"get": status(settings)},
            "/api/v1/download/{id}": {"get": download(settings)},
            # Elsewhere links lead to the store's own server.
            **({} if settings.store_url.startswith("s3://") else {_FILES: files(settings)}),
            PATH: pictures(settings),
            "/api/v1/purge": {"post": purge(settings)},
            "/health/live": {"get": _live()},
            "/health/ready": {"get": _ready(settings)},
        },
        "webhooks": {"job_ended": {"post": job_ended(settings)}},
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
    kept = "of jobs, and of what was answered at once," if settings.keep_sync_results else "of jobs"
    again = " Until then the same source with the same fields gets the same result, without another encode."
    if not settings.reuse_results:
        again = ""
    return "\n".join(
        (
            "Send an image, get a smaller one that looks the same.",
            "",
            f"**Limits.** Compressions in {WINDOW_S} seconds: {limits}; a custom plan has its own number. Polling has "
            f"a budget of its own, {POLLS_PER_COMPRESSION} times that. A refused request is not counted.",
            "",
            f"**Large files.** What has {small} to {large} becomes a job: the answer is 202 with an id. Poll its "
            "status, or name a `webhook_url` that is called when it has ended; then download the result.",
            "",
            f"**Results** {kept} are kept for {duration(settings.result_ttl_s)}, then deleted.{again}",
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
            f"What has less than {megabytes(settings.sync_max_bytes)} is answered at once with the compressed file; "
            f"what has up to {megabytes(settings.max_bytes)} becomes a job. Where neither format nor size was to "
            "change, the result is not larger than the source."
        ),
        "parameters": request_headers(REQUEST_HEADERS, required=False),
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
            "202": {
                "description": "The job was taken.",
                "headers": {
                    **headers((*_TICKET_HEADERS, *RATE_HEADERS)),
                    **headers(("X-Cache",), required=False),
                },
                "content": json_of("Ticket", examples={"processing": example(*TICKET, status="processing")}),
            },
            **refusals(settings, COMPRESS_CODES),
        },
    }


def _live() -> Json:
    return _probe("health_live", "Is the process alive?", "Asks nothing of the service's parts.", "alive")


def _ready(settings: Settings) -> Json:
    probe = _probe(
        "health_ready",
        "Can it serve requests?",
        "Redis answers and an encode process is ready. `lockdown` tells what keeps the encode processes, which open "
        "strangers' files, from everything else.",
        "ready",
        lockdown=_LOCKDOWN,
    )
    probe["responses"] |= refusals(settings, READY_CODES, counted=False)
    return probe


def _probe(operation_id: str, summary: str, description: str, status: str, **more: Json) -> Json:
    """Describe a probe that answers its status, and `more`: by name, what has an example of its own."""
    schema = {
        "type": "object",
        "properties": {"status": {"const": status}, **more},
        "required": ["status", *more],
    }
    body = {"status": status} | {name: schema["example"] for name, schema in more.items()}
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
                "content": {"application/json": {"schema": schema, "example": body}},
            }
        },
    }
