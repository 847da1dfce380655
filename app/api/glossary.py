"""What each parameter, header and error code means: the one wording of the OpenAPI document and of API.md's tables.

Texts are CommonMark without line breaks, so that they fit a table's cell as well.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from app.api.parameters import MAX_BODY_BYTES, MAX_QUALITY, MAX_SIDE_PX, SWITCH_WORDS
from app.ports.limiter import WINDOW_S
from app.service.netguard import MAX_URL_LENGTH, PORTS
from app.settings import MB, Settings
from pixels.formats import FORMATS

Schema = Mapping[str, Any]

#: Spellings beside the formats' names, such as `jpg`.
_ALIASES: Final = sorted({one.extension for one in FORMATS.values()} - set(FORMATS))
_PORTS: Final = ", ".join(map(str, sorted(PORTS)))
#: JSON Schema's regular expressions have no flag for "in any case".
_SWITCH_PATTERN: Final = "^(?:{})$".format(
    "|".join("".join(f"[{one}{one.upper()}]" for one in word) for pair in SWITCH_WORDS for word in pair)
)


class Parameter(msgspec.Struct, frozen=True):
    """A field of a compress request: its JSON Schema, what it takes in words, and what it does."""

    schema: Schema
    takes: str
    meaning: str


class Header(msgspec.Struct, frozen=True):
    """A response header: the JSON Schema of its value, an example of it, and what it tells."""

    schema: Schema
    example: str | int | float
    meaning: str


class ErrorCode(msgspec.Struct, frozen=True):
    """An error code: when it is answered, and what the client should do then."""

    meaning: str
    remedy: str


def parameters(settings: Settings) -> dict[str, Parameter]:
    """Every field of a compress request, in the order of the documentation."""
    side: Schema = {"type": "integer", "minimum": 1, "maximum": MAX_SIDE_PX}
    return {
        "file": Parameter(
            {"type": "string", "format": "binary"},
            f"a JPEG, PNG, WebP or AVIF under {megabytes(settings.sync_max_bytes)}",
            "The image. Its first bytes tell the format; its name and declared type are not used. Either `file` or "
            f"`url` must be there. Files up to {megabytes(settings.max_bytes)} come with jobs, in a later version.",
        ),
        "url": Parameter(
            {"type": "string", "format": "uri", "minLength": 1, "maxLength": MAX_URL_LENGTH},
            f"an http or https URL of a public host (ports {_PORTS}), at most {MAX_URL_LENGTH} characters",
            "Where to fetch the image instead. This version checks the address and then answers `fetch_failed`: "
            "fetching comes with a later version.",
        ),
        "format": Parameter(
            {"type": "string", "enum": ["auto", *FORMATS, *_ALIASES], "default": "auto"},
            f"`auto`, {', '.join(f'`{name}`' for name in FORMATS)} (or {', '.join(f'`{name}`' for name in _ALIASES)})",
            "Output format. `auto` keeps the format of the source.",
        ),
        "quality": Parameter(
            {
                "oneOf": [{"const": "smart"}, {"type": "integer", "minimum": 1, "maximum": MAX_QUALITY}],
                "default": "smart",
            },
            f"`smart`, or an integer from 1 to {MAX_QUALITY}",
            "`smart` finds the fewest bytes that look the same, and tells by `X-Distance` how close it came. A number "
            f"counts on the output format's own scale; PNG is lossless at {MAX_QUALITY} and gets a palette below.",
        ),
        "max_width": Parameter(
            side,
            f"an integer from 1 to {MAX_SIDE_PX}",
            "Pixels. The upright image is fitted inside. Its aspect is kept, and it is never enlarged.",
        ),
        "max_height": Parameter(side, f"an integer from 1 to {MAX_SIDE_PX}", "Pixels; as `max_width`."),
        "strip_metadata": Parameter(
            {
                "anyOf": [{"type": "boolean"}, {"enum": [1, 0]}, {"type": "string", "pattern": _SWITCH_PATTERN}],
                "default": True,
            },
            f"{', '.join(f'`{on}` or `{off}`' for on, off in SWITCH_WORDS)}, in any case",
            "Stripping drops EXIF, XMP, IPTC and the colour profile, and converts the colours to sRGB. `false` carries "
            "them over.",
        ),
        "webhook_url": Parameter(
            {"type": "string", "format": "uri", "minLength": 1, "maxLength": MAX_URL_LENGTH},
            f"an https URL of a public host (ports {_PORTS}), at most {MAX_URL_LENGTH} characters",
            "Whom to tell when a job ends. This version checks the address and never calls it, since it makes no jobs.",
        ),
    }


_TEXT: Final[Schema] = {"type": "string"}
_COUNT: Final[Schema] = {"type": "integer", "minimum": 0}
_SIDE: Final[Schema] = {"type": "integer", "minimum": 1}

#: Response headers. Which answer carries which is the document's matter.
HEADERS: Final[dict[str, Header]] = {
    "Content-Disposition": Header(
        {
            "type": "string",
            "enum": [f'attachment; filename="compressed.{one.extension}"' for one in FORMATS.values()],
        },
        'attachment; filename="compressed.webp"',
        "A name to save the file by.",
    ),
    "X-Original-Size": Header(_SIDE, 482_113, "Bytes of the file that was sent."),
    "X-Compressed-Size": Header(_SIDE, 139_812, "Bytes of the answer."),
    "X-Savings-Percent": Header(
        {"type": "integer", "minimum": 0, "maximum": 100},
        71,
        "How much smaller it became, in percent, rounded to the nearest integer. 0 where it grew.",
    ),
    "X-Format": Header({"type": "string", "enum": list(FORMATS)}, "webp", "Format of the answer."),
    "X-Quality": Header(
        {"type": "integer", "minimum": 1, "maximum": MAX_QUALITY},
        76,
        "Quality that the encoder was given; 100 where nothing was lost, or the source's own data returned.",
    ),
    "X-Distance": Header(
        {"type": "number", "minimum": 0},
        1.183,
        "Butteraugli distance (3-norm) of the answer from the image that was encoded: below 1, a difference is hard to "
        "see even side by side; 0 is none. Only with `smart`.",
    ),
    "X-Width": Header(_SIDE, 1600, "Width of the answer in pixels."),
    "X-Height": Header(_SIDE, 1067, "Height of the answer in pixels."),
    "X-Original-Returned": Header(
        {"const": "true"},
        "true",
        "Present where no encode was smaller: the answer is the source's own data, less its metadata if so asked.",
    ),
    "X-Job-Id": Header(
        _TEXT, "Zb1l0d4W2vXo9QeT", "Names this compression. A later version serves its status and download."
    ),
    "Server-Timing": Header(
        _TEXT,
        "queue;dur=0.1, decode;dur=4.2, search;dur=0.0, encode;dur=81.5",
        "Milliseconds that each step took.",
    ),
    "Cache-Control": Header({"const": "no-store"}, "no-store", "Answers are for the caller alone."),
    "X-Content-Type-Options": Header(
        {"const": "nosniff"}, "nosniff", "The media type is what it says: browsers must not guess another."
    ),
    "X-Request-Id": Header(_TEXT, "q0sV7mJ2kXc4Tn8b", "Names this request in our log. Quote it when you ask for help."),
    "X-RateLimit-Limit": Header(_SIDE, 20, "Requests that the window allows."),
    "X-RateLimit-Remaining": Header(_COUNT, 19, "Requests left in it."),
    "X-RateLimit-Reset": Header(_COUNT, 1_767_225_600, "When the window ends: Unix time in seconds, rounded up."),
    "RateLimit-Policy": Header(
        _TEXT,
        f'"compress";q=20;w={WINDOW_S}',
        "Budget, its quota `q` and its window `w` in seconds, as the IETF draft spells them.",
    ),
    "RateLimit": Header(_TEXT, '"compress";r=19;t=42', "Budget, requests left `r`, seconds to the window's end `t`."),
    "Retry-After": Header(_COUNT, 7, "Seconds to wait before trying again."),
    "WWW-Authenticate": Header({"const": "Bearer"}, "Bearer", "How to authenticate."),
    "Allow": Header(_TEXT, "POST", "Methods that this path has."),
}


def errors(settings: Settings) -> dict[str, ErrorCode]:
    """Every error code, published ones first."""
    fixed_limits = (
        f"{settings.max_pixels / 1e6:g} megapixels over all frames, or more than {settings.max_frames} frames"
    )
    return {
        "missing_source": ErrorCode(
            "The request has neither `file` nor `url`.",
            "Send the image as a part named `file` of a multipart/form-data body.",
        ),
        "invalid_param": ErrorCode(
            "A field is unknown, came twice or has a wrong value: `param` names it. Or the body cannot be read.",
            "Mend what the message tells.",
        ),
        "invalid_url": ErrorCode(
            "`url` is malformed, is not http or https, or names a host or port that is not allowed.",
            "Use an address that anybody can reach, without credentials in it.",
        ),
        "unauthorized": ErrorCode(
            "The API key is missing, malformed, unknown or revoked.",
            "Send `Authorization: Bearer YOUR_API_KEY` with a live key.",
        ),
        "file_too_large": ErrorCode(
            f"The file has {megabytes(settings.sync_max_bytes)} or more, the limit of this version "
            f"({megabytes(settings.max_bytes)} once there are jobs). Or a body without a file has more than "
            f"{MAX_BODY_BYTES} bytes.",
            "Scale the image down, or save it at a lower quality, before you send it.",
        ),
        "unsupported_format": ErrorCode(
            "By its bytes the file is no JPEG, PNG, WebP or still AVIF; or it is an animation, which would get lost.",
            "Convert it first. Ask for `auto` to keep an animation; an animated PNG cannot be resized.",
        ),
        "fetch_failed": ErrorCode(
            "The image at `url` could not be fetched. This version fetches none.",
            "Fetch it yourself and send it as `file`.",
        ),
        "not_ready": ErrorCode(
            "The job has no result to download: it is not done, or it failed. Comes with jobs, in a later version.",
            "Poll the status until it says `complete`.",
        ),
        "rate_limit_exceeded": ErrorCode(
            "The window's requests are used up. The message names the time of the reset.",
            "Wait for `Retry-After` seconds.",
        ),
        "compression_failed": ErrorCode(
            f"Something broke on our side, or took longer than {settings.encode_deadline_s:g} s.",
            "Try once more. If it fails again, report the `X-Request-Id`.",
        ),
        "not_found": ErrorCode(
            "There is nothing at this path, or no job of yours with this id.",
            "Check the path and the id. This version keeps no jobs.",
        ),
        "method_not_allowed": ErrorCode(
            "The path is there, but not for this method.", "Use a method that the `Allow` header names."
        ),
        "request_timeout": ErrorCode(
            f"The body stood still for {settings.body_idle_s:g} s, or was still coming after "
            f"{settings.body_timeout_s:g} s at less than {settings.body_min_bytes_s / 1000:g} kB/s.",
            "Send it again over a faster connection.",
        ),
        "idempotency_conflict": ErrorCode(
            "The `Idempotency-Key` came before with another request. Comes with jobs, in a later version.",
            "Use a new key for a new request.",
        ),
        "image_too_large": ErrorCode(
            f"The image has more than {fixed_limits}, or a side that the output format cannot hold.",
            "Scale it down before you send it. Where only a side is too long, `max_width` or `max_height` will do.",
        ),
        "decode_failed": ErrorCode(
            "The type is supported, but the bytes are broken or cut.", "Check that the file opens, and send all of it."
        ),
        "overloaded": ErrorCode(
            f"All encoders are busy and the queue is full, or the wait for one took {settings.wait_timeout_s:g} s.",
            "Wait for `Retry-After` seconds.",
        ),
        "unavailable": ErrorCode("A part that the service needs does not answer.", "Wait for `Retry-After` seconds."),
    }


def megabytes(count: int) -> str:
    """Spell a number of bytes in MB of 1,048,576 bytes."""
    return f"{count / MB:g} MB"
