"""The operations about jobs: how one stands, where its result is, the result itself, and the webhook."""

from typing import Final

from app.api.glossary import duration
from app.api.glossary_values import HEADERS, WEBHOOK_HEADERS
from app.api.openapi_components import (
    COMPLETE,
    RATE_HEADERS,
    Json,
    example,
    headers,
    json_of,
    refusals,
    request_headers,
)
from app.service.desk import LINK_S
from app.service.webhook import JITTER, MAX_RETRY_AFTER_S, TIMEOUT_S, WAITS_S
from app.settings import Settings
from pixels.formats import FORMATS

#: Codes that each operation can answer.
STATUS_CODES: Final = ("unauthorized", "not_found", "rate_limit_exceeded", "compression_failed", "unavailable")
DOWNLOAD_CODES: Final = (*STATUS_CODES, "not_ready")
FILE_CODES: Final = ("link_invalid", "not_found", "range_not_satisfiable", "compression_failed", "unavailable")

_FILE_HEADERS: Final = ("ETag", "Cache-Control", "Accept-Ranges", "X-Content-Type-Options", "X-Request-Id")
_PROCESSING: Final = example("id", "status", status="processing")
_FAILED: Final = example("id", "status", "error", status="failed")


def status(settings: Settings) -> Json:
    """Describe the question how a job stands."""
    return {
        "operationId": "get_status",
        "tags": ["Jobs"],
        "summary": "How does a job stand?",
        "description": (
            f"A job that has ended is told for {duration(settings.result_ttl_s)}. One account's jobs are unknown to "
            "any other."
        ),
        "parameters": [_job_id()],
        "responses": {
            "200": {
                "description": "How it stands.",
                "headers": {
                    **headers(("Cache-Control", "X-Request-Id", *RATE_HEADERS)),
                    **headers(("X-Quality", "X-Distance"), required=False),
                },
                "content": json_of(
                    *("Processing", "Complete", "Failed"),
                    examples={"processing": _PROCESSING, "complete": example(*COMPLETE), "failed": _FAILED},
                ),
            },
            **refusals(settings, STATUS_CODES),
        },
    }


def download(settings: Settings) -> Json:
    """Describe the way to a job's result."""
    return {
        "operationId": "download_result",
        "tags": ["Jobs"],
        "summary": "Download a job's result",
        "description": (
            "Redirects to an address that serves the file to whoever has it, without a key, for "
            f"{duration(LINK_S)} or for as long as the result is still kept. Ask again for another."
        ),
        "parameters": [_job_id()],
        "responses": {
            "302": {
                "description": "The file is at `Location`.",
                "headers": headers(("Location", "Cache-Control", "X-Request-Id", *RATE_HEADERS)),
            },
            **refusals(settings, DOWNLOAD_CODES),
        },
    }


def files(settings: Settings) -> Json:
    """Describe where the service itself serves results."""
    images = {one.media_type: {"schema": {"type": "string", "format": "binary"}} for one in FORMATS.values()}
    always = headers(("Content-Disposition", *_FILE_HEADERS))
    known: Json = {"description": "The file is the one that `If-None-Match` names.", "headers": headers(_FILE_HEADERS)}
    told: Json = {"description": "The file.", "headers": always}
    refused = refusals(settings, FILE_CODES, counted=False)
    part: Json = {"description": "A part of the file.", "headers": always | headers(("Content-Range",))}
    responses = {"200": {**told, "content": images}, "206": {**part, "content": images}, "304": known, **refused}
    # What answers a HEAD has no body, and no range.
    bare = {code: {key: one[key] for key in ("description", "headers")} for code, one in refused.items()}
    del bare["416"]
    return {
        "get": {**_file("get_file", "The file behind a link"), "responses": responses},
        "head": {
            **_file("head_file", "The headers of the file behind a link"),
            "responses": {"200": told, "304": known, **bare},
        },
    }


def job_ended(settings: Settings) -> Json:
    """Describe the webhook."""
    waits = ", ".join(map(duration, WAITS_S[:-1])) + f" and {duration(WAITS_S[-1])}"
    url = f"{settings.link_base}/api/v1/download/{HEADERS['X-Job-Id'].example}"
    return {
        "operationId": "job_ended",
        "tags": ["Jobs"],
        "summary": "A job has ended",
        "description": (
            "What a job's `webhook_url` gets. Answer with any 2xx. If you do not, it comes again after "
            f"{waits}, each of them give or take {JITTER:.0%}; a redirect, and no answer within "
            f"{duration(TIMEOUT_S)}, count as failures. It comes at least once: know a repetition by `webhook-id`."
        ),
        "security": [],
        "parameters": request_headers(WEBHOOK_HEADERS, required=True),
        "requestBody": {
            "required": True,
            "content": json_of(
                *("Complete", "Failed"),
                examples={"complete": example(*COMPLETE, download_url=url), "failed": _FAILED},
            ),
        },
        "responses": {
            "2XX": {"description": "You have it."},
            "410": {"description": "You want no more of it: this was the last attempt."},
            "default": {
                "description": (
                    "You do not have it. A `Retry-After` of up to "
                    f"{duration(MAX_RETRY_AFTER_S)} is obeyed where it is the longer wait."
                )
            },
        },
    }


def _job_id() -> Json:
    return {
        "name": "id",
        "in": "path",
        "required": True,
        "description": "A job's id: the `id` of a 202, or the `X-Job-Id` of any answer.",
        "schema": {"type": "string", "pattern": "^[A-Za-z0-9_-]+$"},
        "example": HEADERS["X-Job-Id"].example,
    }


def _file(operation_id: str, summary: str) -> Json:
    return {
        "operationId": operation_id,
        "tags": ["Jobs"],
        "summary": summary,
        "description": (
            "Where a download leads, as its `Location` stands: the link is the key. `Range`, `If-Range` and "
            "`If-None-Match` are understood."
        ),
        "security": [],
        "parameters": [
            _job_id(),
            {
                "name": "grant",
                "in": "query",
                "required": True,
                "description": "Everything that the link has behind its `?`, unchanged.",
                "schema": {"type": "object", "additionalProperties": {"type": "string"}},
            },
        ],
    }
