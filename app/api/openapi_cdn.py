"""The operations of the CDN origin: a picture behind a signed URL, and the purge of what was kept of it."""

from typing import Final

from app.api.openapi_components import RATE_HEADERS, Json, headers, refusals
from app.service.cdn.purging import FIELDS
from app.service.netguard import MAX_URL_LENGTH
from app.settings import Settings
from pixels.formats import FORMATS

#: Codes that each operation can answer.
CDN_CODES: Final = (
    *("bad_signature", "source_forbidden", "invalid_param", "invalid_url", "not_found", "range_not_satisfiable"),
    *("file_too_large", "image_too_large", "unsupported_format", "decode_failed"),
    *("compression_failed", "source_failed", "overloaded", "unavailable"),
)
PURGE_CODES: Final = (
    *("invalid_param", "unauthorized", "source_forbidden", "request_timeout", "rate_limit_exceeded"),
    *("compression_failed", "unavailable"),
)
PATH: Final = "/cdn/{signature}/{options}/{source}"

_ALWAYS: Final = ("ETag", "Cache-Control", "X-Cache", "X-Variant", "Surrogate-Key", "Cache-Tag")
_OF_BODY: Final = ("Accept-Ranges", "X-Content-Type-Options")
_SOMETIMES: Final = (
    *("Vary", "Accept-CH", "Server-Timing", "X-Request-Id", "X-Original-Size", "X-Compressed-Size"),
    *("X-Savings-Percent", "X-Format", "X-Width", "X-Height", "X-Quality", "X-Distance", "X-Original-Returned"),
)


def pictures(settings: Settings) -> Json:
    """Describe the pictures."""
    images = {one.media_type: {"schema": {"type": "string", "format": "binary"}} for one in FORMATS.values()}
    sometimes = headers(_SOMETIMES, required=False)
    told: Json = {"description": "The picture.", "headers": headers((*_ALWAYS, *_OF_BODY)) | sometimes}
    part: Json = {"description": "A part of it.", "headers": told["headers"] | headers(("Content-Range",))}
    known: Json = {
        "description": "The picture is the one that `If-None-Match` names.",
        "headers": headers(_ALWAYS) | sometimes,
    }
    refused = refusals(settings, CDN_CODES, counted=False)
    # What answers a HEAD has no body, and no range.
    bare = {code: {key: one[key] for key in ("description", "headers")} for code, one in refused.items()}
    del bare["416"]
    return {
        "get": {
            **_picture("get_picture", "A picture, as small as the client takes it"),
            "responses": {"200": {**told, "content": images}, "206": {**part, "content": images}, "304": known}
            | refused,
        },
        "head": {
            **_picture("head_picture", "The headers of a picture"),
            "responses": {"200": told, "304": known, **bare},
        },
    }


def purge(settings: Settings) -> Json:
    """Describe the purge."""
    name: Json = {"type": "string", "minLength": 1, "maxLength": MAX_URL_LENGTH}
    meanings = {
        "url": "All that was made of this source: its URL, or `own:` and a key.",
        "prefix": "All that was made of sources whose URLs, or `own:` keys, begin so.",
        "tag": "All whose `Surrogate-Key` has this tag.",
    }
    return {
        "operationId": "purge",
        "tags": ["CDN"],
        "summary": "Remove pictures that were kept",
        "description": (
            "Of the key's own account, on every process within a second; what is being made is not kept. Caches in "
            "front are to be purged by `Surrogate-Key` or `Cache-Tag`. It is counted as a poll."
        ),
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {
                        "type": "object",
                        "properties": {field: {**name, "description": meanings[field]} for field in FIELDS},
                        "minProperties": 1,
                        "maxProperties": 1,
                        "additionalProperties": False,
                    },
                    "example": {"url": "https://img.example.com/photo.jpg"},
                }
            },
        },
        "responses": {
            "200": {
                "description": "They are gone.",
                "headers": headers(("Cache-Control", "X-Request-Id", *RATE_HEADERS)),
                "content": {
                    "application/json": {
                        "schema": {
                            "type": "object",
                            "properties": {
                                "purged": {"type": "integer", "minimum": 0, "description": "How many were kept."}
                            },
                            "required": ["purged"],
                            "additionalProperties": False,
                        },
                        "example": {"purged": 3},
                    }
                },
            },
            **refusals(settings, PURGE_CODES),
        },
    }


def _picture(operation_id: str, summary: str) -> Json:
    return {
        "operationId": operation_id,
        "tags": ["CDN"],
        "summary": summary,
        "description": (
            "For caches and browsers: the signature is the key. `Range`, `If-Range` and `If-None-Match` are "
            "understood. What is not ready in time is answered as `X-Variant: interim` and made behind the answer."
        ),
        "security": [],
        "parameters": [
            _parameter("signature", _OF_SIGNATURE, "cdn_Zb1l0d4W.nSRc6TezFAUhB-61v2IGtPy5CuX1q_TPof3kbwKjSyg"),
            _parameter("options", _OF_OPTIONS, "f:auto,q:smart,w:800"),
            _parameter("source", _OF_SOURCE, "https://img.example.com/photo.jpg"),
        ],
    }


#: Meaning and pattern.
_OF_SIGNATURE: Final = (
    "A signing key's id, a dot, and the HMAC-SHA256 of the rest of the path in base64url.",
    r"^[0-9A-Za-z_]{1,32}\.[0-9A-Za-z_-]{43}$",
)
_OF_OPTIONS: Final = ("`name:value` pairs between commas.", "^[a-z]+:[^,/]+(?:,[a-z]+:[^,/]+)*$")
_OF_SOURCE: Final = (
    "The source's URL, percent-encoded or `b64:` and base64url; or `own:` and a key.",
    "^(?:https?:|https?%3[Aa]|b64:|own:).+$",
)


def _parameter(name: str, meaning_and_pattern: tuple[str, str], example: str) -> Json:
    meaning, pattern = meaning_and_pattern
    schema = {"type": "string", "pattern": pattern}
    return {"name": name, "in": "path", "required": True, "description": meaning, "schema": schema, "example": example}
