"""What each parameter and error code means: the one wording of the OpenAPI document and of API.md's tables.

Headers and properties of JSON are in `glossary_values`.

Texts are CommonMark without line breaks, so that they fit a table's cell as well.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from app.api.parameters import MAX_BODY_BYTES, MAX_QUALITY, MAX_SIDE_PX, SWITCH_WORDS
from app.service.fetch import MAX_REDIRECTS
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
            f"a JPEG, PNG, WebP or AVIF of at most {megabytes(settings.max_bytes)}",
            "The image. Its first bytes tell the format; its name and declared type are not used. Under "
            f"{megabytes(settings.sync_max_bytes)} it is answered at once; otherwise it becomes a job. Exactly "
            "one of `file` and `url` must be there.",
        ),
        "url": Parameter(
            {"type": "string", "format": "uri", "minLength": 1, "maxLength": MAX_URL_LENGTH},
            f"an http or https URL of a public host (ports {_PORTS}), at most {MAX_URL_LENGTH} characters",
            f"Where to fetch the image instead: within {duration(settings.fetch_timeout_s)}, over at most "
            f"{MAX_REDIRECTS} redirects. What was fetched is treated as a `file` would be.",
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
            "Whom to tell when the job has ended, well or not. A request that is answered at once makes no call.",
        ),
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
            "A field is unknown, came twice or has a wrong value: `param` names it. Or the body cannot be read, or has "
            f"more than {MAX_BODY_BYTES} bytes and no file.",
            "Mend what the message tells.",
        ),
        "invalid_url": ErrorCode(
            "`url`, or where it redirects to, is malformed, is not http or https, or names a host or port that is not "
            "allowed; or the host has an address that is not public.",
            "Use an address that anybody can reach, without credentials in it.",
        ),
        "unauthorized": ErrorCode(
            "The API key is missing, malformed, unknown or revoked.",
            "Send `Authorization: Bearer YOUR_API_KEY` with a live key.",
        ),
        "file_too_large": ErrorCode(
            f"The file, sent or fetched, has more than {megabytes(settings.max_bytes)}.",
            "Scale the image down, or save it at a lower quality, before you send it.",
        ),
        "unsupported_format": ErrorCode(
            "By its bytes the file is no JPEG, PNG, WebP or still AVIF; or it is an animation, which would get lost.",
            "Convert it first. Ask for `auto` to keep an animation; an animated PNG cannot be resized.",
        ),
        "fetch_failed": ErrorCode(
            f"The image at `url` could not be fetched within {duration(settings.fetch_timeout_s)}: no connection, "
            f"another status than 200, more than {MAX_REDIRECTS} redirects, or a body that is empty or breaks off.",
            "Look whether anybody can open the address. Or fetch it yourself and send it as `file`.",
        ),
        "not_ready": ErrorCode(
            "The job has no result to download: it is not complete yet, or it failed.",
            "Poll the status until it says `complete` or `failed`.",
        ),
        "rate_limit_exceeded": ErrorCode(
            "The window's requests are used up. The message names the time of the reset.",
            "Wait for `Retry-After` seconds.",
        ),
        "compression_failed": ErrorCode(
            f"Something broke on our side, or took longer than {settings.encode_deadline_s:g} s "
            f"({settings.job_deadline_s:g} s in a job).",
            "Try once more. If it fails again, report the `X-Request-Id`.",
        ),
        "link_invalid": ErrorCode(
            "The link to a file was changed, or its time is over.", "Ask for the download again: it gives a new link."
        ),
        "bad_signature": ErrorCode(
            "The URL of a picture is not signed by a live key, was changed, or its time is over.",
            "Sign it anew, and see that nothing on the way rewrites the path.",
        ),
        "source_forbidden": ErrorCode(
            "The account does not allow the source that the URL of a picture names.",
            "Allow its origin: `compressorize cdn allow`.",
        ),
        "range_not_satisfiable": ErrorCode(
            "The `Range` begins behind the file's end.", "Ask for bytes that `Content-Range` says are there."
        ),
        "source_failed": ErrorCode(
            f"The source of a picture could not be had within {duration(settings.fetch_timeout_s)}: no connection, an "
            f"unexpected status, more than {MAX_REDIRECTS} redirects, or a body that is empty or breaks off.",
            "Look whether its server answers. It is asked again once the answer's `max-age` is over.",
        ),
        "not_found": ErrorCode(
            "There is nothing at this path, or no job of yours with this id, or it has expired: "
            f"{duration(settings.result_ttl_s)} after its end. Or the source of a picture is gone.",
            "Check the path and the id. What has expired has to be compressed again.",
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
            "The `Idempotency-Key` came before with another file or other parameters. Or the first request with it is "
            "still under way, or its result is gone.",
            "Use a new key for a new request. Repeat a request only with all that it had.",
        ),
        "image_too_large": ErrorCode(
            f"The image has more than {fixed_limits}, a side that the output format cannot hold, or needs more memory "
            "than the service has for one image.",
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


def duration(seconds: float) -> str:
    """Spell a time in the largest unit of which it is a whole number."""
    for unit, name in ((3600, "h"), (60, "min")):
        if seconds >= unit and seconds % unit == 0:
            return f"{seconds / unit:g} {name}"
    return f"{seconds:g} s"


def megabytes(count: int) -> str:
    """Spell a number of bytes in MB of 1,048,576 bytes."""
    return f"{count / MB:g} MB"
