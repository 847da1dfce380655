"""The pieces of the OpenAPI document: schemas, response headers, and the refusals of an operation."""

from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any, Final

from app.api import glossary
from app.api.glossary_values import HEADERS, PROPERTIES, Value
from app.api.multipart import FILE
from app.api.parameters import URL
from app.errors import STATUS
from app.settings import Settings

Json = dict[str, Any]

RATE_HEADERS: Final = (
    "X-RateLimit-Limit",
    "X-RateLimit-Remaining",
    "X-RateLimit-Reset",
    "RateLimit-Policy",
    "RateLimit",
)
#: The properties of a job that was just taken, and of a complete one.
TICKET: Final = ("id", "status", "poll_url", "estimated_seconds")
COMPLETE: Final = (
    *("id", "status", "download_url", "original_size", "compressed_size", "savings_percent", "format", "dimensions"),
    "expires_at",
)
#: What the answers of a status carry besides.
_HEADERS_OF: Final = {
    401: ("WWW-Authenticate",),
    405: ("Allow",),
    416: ("Content-Range",),
    429: ("Retry-After",),
    503: ("Retry-After",),
}
#: Told before the request is counted, so without the counter's headers.
_UNCOUNTED: Final = frozenset({401})
#: Told before or after it.
_PERHAPS_COUNTED: Final = frozenset({500, 503})
#: The parameter that the example of an error names.
_EXAMPLE_PARAM: Final = {"invalid_param": "format", "invalid_url": URL}


def components(settings: Settings, other_codes: Iterable[str]) -> Json:
    """Describe what is referred to by name, and the refusals with `other_codes`, which belong to no operation."""
    return {
        "schemas": {
            "Upload": _fields(settings, sources=(FILE, URL)),
            "Address": _fields(settings, sources=(URL,)),
            "Ticket": _job(TICKET, status="processing"),
            "Processing": _job(("id", "status"), status="processing"),
            "Complete": _job(COMPLETE, status="complete"),
            "Failed": _job(("id", "status", "error"), status="failed"),
            "Error": _error_shape(),
        },
        "responses": refusals(settings, other_codes, counted=False),
        "securitySchemes": {
            "apiKey": {"type": "http", "scheme": "bearer", "description": "Your API key: `cz_live_...`."}
        },
    }


def headers(names: Iterable[str], *, required: bool = True) -> Json:
    """Describe response headers: those that are always there, or those that may be."""
    return {name: {**_described(HEADERS[name]), "required": required} for name in HEADERS if name in names}


def request_headers(values: Mapping[str, Value], *, required: bool) -> list[Json]:
    """Describe headers of a request."""
    return [{"name": name, "in": "header", "required": required, **_described(value)} for name, value in values.items()]


def json_of(*schemas: str, examples: Mapping[str, Json]) -> Json:
    """Describe a JSON body that has one of these schemas."""
    references = [{"$ref": f"#/components/schemas/{name}"} for name in schemas]
    return {
        "application/json": {
            "schema": references[0] if len(references) == 1 else {"oneOf": references},
            "examples": {name: {"value": value} for name, value in examples.items()},
        }
    }


def example(*names: str, **different: Any) -> Json:
    """Make the JSON with these properties of a job, each its example or what is given."""
    return {name: different.get(name, PROPERTIES[name].example) for name in names}


def _described(value: Value) -> Json:
    return {"description": value.meaning, "schema": value.schema, "example": value.example}


def _job(names: Iterable[str], *, status: str) -> Json:
    """Write the schema of the JSON that tells of a job with this status."""
    properties = {
        name: {
            **PROPERTIES[name].schema,
            "description": PROPERTIES[name].meaning,
            "examples": [PROPERTIES[name].example],
        }
        for name in names
    }
    properties["status"] = {"const": status, "description": PROPERTIES["status"].meaning}
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def refusals(settings: Settings, codes: Iterable[str], *, counted: bool = True) -> Json:
    """Describe the error answers that have `codes`: one response for each status, in order.

    Parameters
    ----------
    counted
        Whether the operation is rate-limited, so that its refusals tell where the client stands.
    """
    by_status: dict[int, list[str]] = {}
    for code in codes:
        by_status.setdefault(STATUS[code], []).append(code)
    return {str(status): _refusal(settings, status, by_status[status], counted) for status in sorted(by_status)}


def _refusal(settings: Settings, status: int, codes: list[str], counted: bool) -> Json:
    told = glossary.errors(settings)
    always = ["X-Request-Id", "Cache-Control", *_HEADERS_OF.get(status, ())]
    perhaps: tuple[str, ...] = ()
    if counted and status in _PERHAPS_COUNTED:
        perhaps = RATE_HEADERS
    elif counted and status not in _UNCOUNTED:
        always += RATE_HEADERS
    return {
        "description": "\n".join(
            (
                f"{HTTPStatus(status).phrase}.",
                "",
                *(f"- `{code}`: {told[code].meaning} {told[code].remedy}" for code in codes),
            )
        ),
        "headers": headers(always) | headers(perhaps, required=False),
        "content": {
            "application/json": {
                "schema": {"allOf": [{"$ref": "#/components/schemas/Error"}, _with_code_of(codes)]},
                "examples": {code: {"value": _example(code, told[code].meaning)} for code in codes},
            }
        },
    }


def _error_shape() -> Json:
    """Write the schema of every error."""
    return {
        "type": "object",
        "required": ["error"],
        "additionalProperties": False,
        "properties": {
            "error": {
                "type": "object",
                "required": ["code", "message"],
                "additionalProperties": False,
                "properties": {
                    "code": {"type": "string", "enum": list(STATUS), "description": "What to act on."},
                    "message": {"type": "string", "description": "What to read; its wording may change."},
                    "param": {"type": "string", "description": "The field that it is about, where there is one."},
                },
            }
        },
    }


def _with_code_of(codes: list[str]) -> Json:
    return {"properties": {"error": {"properties": {"code": {"enum": codes}}}}}


def _example(code: str, meaning: str) -> Json:
    error = {"code": code, "message": meaning.replace("`", "'")}
    if code in _EXAMPLE_PARAM:
        error["param"] = _EXAMPLE_PARAM[code]
    return {"error": error}


def _fields(settings: Settings, *, sources: tuple[str, ...]) -> Json:
    """Write the schema of a request's fields: exactly one of `sources`, and any of the others."""
    known = glossary.parameters(settings)
    return {
        "type": "object",
        "properties": {
            name: {**one.schema, "description": f"{one.meaning} Takes {one.takes}."}
            for name, one in known.items()
            if name in sources or name not in (FILE, URL)
        },
        "oneOf": [{"required": [name]} for name in sources],
        "additionalProperties": False,
    }
