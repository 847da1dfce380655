"""What each header, and each property of the JSON about a job, tells; like `glossary`, the one wording of it."""

from collections.abc import Mapping
from typing import Any, Final, get_args

import msgspec

from app.api.limits import MAX_IDEMPOTENCY_KEY
from app.api.parameters import MAX_QUALITY
from app.errors import STATUS
from app.ports.idempotency import REMEMBER_S
from app.ports.jobs import State
from app.ports.limiter import WINDOW_S
from app.ports.variants import Kind
from app.service.cdn.serve import CdnCacheState
from app.service.reuse import CacheState
from pixels.formats import FORMATS

Schema = Mapping[str, Any]


class Value(msgspec.Struct, frozen=True):
    """What one header or property holds: its JSON Schema, an example of it, and what it tells."""

    schema: Schema
    example: Any
    meaning: str


_TEXT: Final[Schema] = {"type": "string"}
_COUNT: Final[Schema] = {"type": "integer", "minimum": 0}
_SIDE: Final[Schema] = {"type": "integer", "minimum": 1}
_PERCENT: Final[Schema] = {"type": "integer", "minimum": 0, "maximum": 100}
_FORMAT: Final[Schema] = {"type": "string", "enum": list(FORMATS)}
_JOB_ID: Final = "Zb1l0d4W2vXo9QeT"

#: Response headers. Which answer carries which is the document's matter.
HEADERS: Final[dict[str, Value]] = {
    "Content-Disposition": Value(
        {
            "type": "string",
            "enum": [f'attachment; filename="compressed.{one.extension}"' for one in FORMATS.values()],
        },
        'attachment; filename="compressed.webp"',
        "A name to save the file by.",
    ),
    "X-Original-Size": Value(_SIDE, 482_113, "Bytes of the source."),
    "X-Compressed-Size": Value(_SIDE, 139_812, "Bytes of the answer."),
    "X-Savings-Percent": Value(
        _PERCENT,
        71,
        "How much smaller it became, in percent, rounded to the nearest integer. 0 where it grew.",
    ),
    "X-Format": Value(_FORMAT, "webp", "Format of the answer."),
    "X-Quality": Value(
        {"type": "integer", "minimum": 1, "maximum": MAX_QUALITY},
        76,
        "Quality that the encoder was given; 100 where nothing was lost, or the source's own data returned. The status "
        "of a complete job has it too.",
    ),
    "X-Distance": Value(
        {"type": "number", "minimum": 0},
        1.183,
        "Butteraugli distance (3-norm) of the result from the image that was encoded: below 1, a difference is hard to "
        "see even side by side; 0 is none. Only with `smart`. The status of a complete job has it too.",
    ),
    "X-Width": Value(_SIDE, 1600, "Width of the answer in pixels."),
    "X-Height": Value(_SIDE, 1067, "Height of the answer in pixels."),
    "X-Original-Returned": Value(
        {"const": "true"},
        "true",
        "Present where no encode was smaller: the answer is the source's own data, less its metadata if so asked.",
    ),
    "X-Job-Id": Value(_TEXT, _JOB_ID, "Names this compression: its status and download go by it."),
    "X-Cache": Value(
        {"type": "string", "enum": list(dict.fromkeys((*get_args(CacheState), *get_args(CdnCacheState))))},
        "miss",
        "`hit`: an earlier result of your account serves again. `join`: an equal request was under way, and both got "
        "its result. `miss`: encoded for this request. `stale`, of a picture for caches: as `hit`, and its source is "
        "being asked again. A job is never told `join`. Absent where nothing is reused, and where a request is "
        "repeated with its `Idempotency-Key`.",
    ),
    "Server-Timing": Value(
        _TEXT,
        "door;dur=0.6, read;dur=1.4, queue;dur=0.1, handover;dur=0.5, decode;dur=4.2, search;dur=0.0, encode;dur=81.5",
        "Milliseconds that each step took: key and limits, reading the body, (`fetch`: the `url`,) waiting for an "
        "encode process, the way there and back, and its work. Absent where nothing was encoded.",
    ),
    "Cache-Control": Value(
        {
            "type": "string",
            "pattern": "^(?:no-store|private, max-age=[0-9]+|public, max-age=[0-9]+(?:, [a-z=0-9-]+)*)$",
        },
        "no-store",
        "Answers are for the caller alone. Whoever downloads a file may keep it as long as its link is good: `private, "
        "max-age=3600`. Pictures for caches, and why one cannot be had, say `public` and for how long.",
    ),
    "X-Content-Type-Options": Value(
        {"const": "nosniff"}, "nosniff", "The media type is what it says: browsers must not guess another."
    ),
    "Location": Value(
        {"type": "string", "format": "uri-reference"},
        f"/api/v1/files/{_JOB_ID}/result?type=image/webp&filename=compressed.webp&expires=1767229200&key=1a2b3c4d"
        "&signature=9f86d0",
        "Where the file is, for a while. Relative to the address that was asked, or absolute.",
    ),
    "ETag": Value(
        {"type": "string", "pattern": '^"[^"]+"$'},
        '"36c779a95f46ea7f422afc08"',
        "Names these very bytes: for `If-None-Match` and `If-Range`.",
    ),
    "Accept-Ranges": Value({"const": "bytes"}, "bytes", "A `Range` of bytes can be asked for."),
    "Content-Range": Value(
        {"type": "string", "pattern": "^bytes (?:[0-9]+-[0-9]+|[*])/[0-9]+$"},
        "bytes 10-19/139812",
        "Which bytes these are, and of how many; `*` where there are none to send.",
    ),
    "X-Variant": Value(
        {"type": "string", "enum": [kind for kind in get_args(Kind) if kind != "failure"]},
        "final",
        "`final`: as good as it gets. `interim`: the best that was ready in time; the next request gets a better one. "
        "`original`: the source, less the metadata that is not to stay: it cannot be compressed now.",
    ),
    "Vary": Value(_TEXT, "Accept", "Request headers that had a say in this answer. Absent where none had."),
    "Accept-CH": Value(
        _TEXT, "Sec-CH-DPR, Sec-CH-Width", "Hints that have a say. Absent where the account allows none."
    ),
    "Surrogate-Key": Value(
        _TEXT,
        "source-8ee61fb705607dbd shoes",
        "What the answer can be purged by: `source-` with 16 hex digits of the SHA-256 of the source's URL, and what "
        "the source's own `Surrogate-Key` and `Cache-Tag` say.",
    ),
    "Cache-Tag": Value(_TEXT, "source-8ee61fb705607dbd,shoes", "The same, between commas."),
    "X-Request-Id": Value(_TEXT, "q0sV7mJ2kXc4Tn8b", "Names this request in our log. Quote it when you ask for help."),
    "X-RateLimit-Limit": Value(_SIDE, 20, "Requests that the window allows."),
    "X-RateLimit-Remaining": Value(_COUNT, 19, "Requests left in it."),
    "X-RateLimit-Reset": Value(_COUNT, 1_767_225_600, "When the window ends: Unix time in seconds, rounded up."),
    "RateLimit-Policy": Value(
        _TEXT,
        f'"compress";q=20;w={WINDOW_S}',
        "Budget, its quota `q` and its window `w` in seconds, as the IETF draft spells them.",
    ),
    "RateLimit": Value(_TEXT, '"compress";r=19;t=42', "Budget, requests left `r`, seconds to the window's end `t`."),
    "Retry-After": Value(_COUNT, 7, "Seconds to wait before trying again."),
    "WWW-Authenticate": Value({"const": "Bearer"}, "Bearer", "How to authenticate."),
    "Allow": Value(_TEXT, "POST", "Methods that this path has."),
}

#: Request headers, besides the key.
REQUEST_HEADERS: Final[dict[str, Value]] = {
    "Idempotency-Key": Value(
        {"type": "string", "minLength": 1, "maxLength": MAX_IDEMPOTENCY_KEY, "pattern": "^[ -~]+$"},
        "order-4711-photo-3",
        f"Your name for this request, of 1 to {MAX_IDEMPOTENCY_KEY} printable ASCII characters. Sent again within "
        f"{REMEMBER_S // 3600} h, the same request is the same job: not encoded again, nor counted as a compression.",
    ),
}

#: What a webhook's receiver gets, besides HTTP's own.
WEBHOOK_HEADERS: Final[dict[str, Value]] = {
    "X-Compressorize-Signature": Value(
        {"type": "string", "pattern": "^[0-9a-f]{64}$"},
        "f2b0b41c1f2ba0c5f7e0ad0e0a4f6a4b2d1e2c3f405162738495a6b7c8d9eaf0",
        "HMAC-SHA256 of the body's bytes in hexadecimal. Its key is your webhook secret as text, `whsec_` included.",
    ),
    "webhook-id": Value(
        _TEXT, f"msg_{_JOB_ID}", "Names this webhook. Every attempt has the same: by it you know a repetition."
    ),
    "webhook-timestamp": Value(_COUNT, 1_767_225_600, "When this attempt was made: Unix time in seconds."),
    "webhook-signature": Value(
        {"type": "string", "pattern": "^v1,[A-Za-z0-9+/]{43}=$"},
        "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
        "Standard Webhooks: HMAC-SHA256 in base64 of id, timestamp and body, with a `.` between. Its key is what your "
        "secret holds in base64 behind `whsec_`.",
    ),
}

#: What JSON tells of a job. Which answer has which is the document's matter.
PROPERTIES: Final[dict[str, Value]] = {
    "id": Value(_TEXT, _JOB_ID, "Names the job."),
    "status": Value(
        {"type": "string", "enum": list(get_args(State))},
        "complete",
        "`processing`, or in the end `complete` or `failed`.",
    ),
    "poll_url": Value(
        {"type": "string", "format": "uri-reference"}, f"/api/v1/status/{_JOB_ID}", "Where to ask how it stands."
    ),
    "estimated_seconds": Value(_COUNT, 4, "Whole seconds until it is expected to be complete."),
    "download_url": Value(
        {"type": "string", "format": "uri-reference"},
        f"/api/v1/download/{_JOB_ID}",
        "Where the result is. Relative in a status, absolute in a webhook.",
    ),
    "original_size": Value(_SIDE, 4_821_130, "Bytes of the source."),
    "compressed_size": Value(_SIDE, 1_398_127, "Bytes of the result."),
    "savings_percent": Value(_PERCENT, 71, "As `X-Savings-Percent`."),
    "format": Value(_FORMAT, "webp", "Format of the result."),
    "dimensions": Value(
        {
            "type": "object",
            "properties": {"width": _SIDE, "height": _SIDE},
            "required": ["width", "height"],
            "additionalProperties": False,
        },
        {"width": 4000, "height": 3000},
        "Width and height of the result in pixels.",
    ),
    "expires_at": Value(
        {"type": "string", "format": "date-time"},
        "2026-01-02T00:00:00Z",
        "When the job and its result are deleted, in UTC.",
    ),
    "error": Value(
        {
            "type": "object",
            "properties": {"code": {"type": "string", "enum": list(STATUS)}, "message": _TEXT},
            "required": ["code", "message"],
            "additionalProperties": False,
        },
        {"code": "decode_failed", "message": "The image is broken."},
        "Why it failed: a code of the table of errors, and a sentence.",
    ),
}
