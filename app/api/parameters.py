"""The parameters of a compression: form fields, urlencoded or JSON, judged by the contract's table.

Fields are judged in order of appearance and the first fault is told. Only then comes what concerns the source: none,
both, or a `url` that cannot be one. The three kinds of body come down to the same pairs of text, so that one set of
rules holds for all: a JSON number is judged by its spelling in the body.
"""

import json
import re
from collections.abc import Callable, Sequence
from typing import Any, Final
from urllib.parse import unquote_to_bytes

import msgspec

from app.api.multipart import FILE, MAX_FIELD_BYTES
from app.errors import ServiceError, invalid_param
from pixels.options import Options

#: The largest urlencoded or JSON body; whoever reads the body holds to it. The two URLs at their longest fit.
MAX_BODY_BYTES: Final = 65_536
#: The `param` of an error about the body as a whole.
BODY: Final = "body"
URL: Final = "url"
WEBHOOK_URL: Final = "webhook_url"
MAX_SIDE_PX: Final = 65_535
MAX_QUALITY: Final = 100
#: How much of a client's own text an error message repeats.
_SHOWN_CHARACTERS: Final = 40

_FORMATS: Final = {name: name for name in ("jpeg", "png", "webp", "avif", "auto")} | {"jpg": "jpeg"}
#: The words for yes and no, in pairs.
SWITCH_WORDS: Final = (("true", "false"), ("1", "0"), ("yes", "no"), ("on", "off"))
_SWITCHES: Final = {word: word == pair[0] for pair in SWITCH_WORDS for word in pair}
# One spelling a number: no sign, no leading zero (some would read it as octal), no digits but ASCII's.
_INTEGER = re.compile(r"[1-9][0-9]{0,4}")
# Controls, and the surrogates that stand for bytes which are no UTF-8.
_NO_TEXT = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_PLAIN_TEXT: Final = f"of at most {MAX_FIELD_BYTES} bytes, in UTF-8 and without control characters"


class Parameters(msgspec.Struct, frozen=True):
    """What one request asks for.

    Attributes
    ----------
    options
        What to do with the image.
    url
        Where to fetch it, as sent; None where it was uploaded. Whether the address is public is not judged yet.
    webhook_url
        Whom to tell, as sent, or None.
    """

    options: Options
    url: str | None = None
    webhook_url: str | None = None


def parse_parameters(
    fields: Sequence[tuple[str, str]], *, has_file: bool, check_webhook: Callable[[str], object] | None = None
) -> Parameters:
    """Judge a request's fields.

    Parameters
    ----------
    fields
        Names and values in order of appearance, without the first uploaded file; bytes that are no UTF-8 as
        surrogates.
    has_file
        Whether a file was uploaded, wherever it stood among the fields.
    check_webhook
        Called with `webhook_url` when its turn comes; raises what should be told if it must not be called.

    Raises
    ------
    ServiceError
        ``invalid_param`` for an unknown, repeated or wrong field, and for a file with a `url`; ``missing_source``
        for neither; ``invalid_url`` for a `url` that is empty, too long or no plain text. `param` names the field.
    """
    values: dict[str, Any] = {}
    for name, value in fields:
        if name not in PARAMETERS:
            raise invalid_param(_shown(name), f"Unknown parameter '{_shown(name)}'. Use: {', '.join(PARAMETERS)}")
        if name in values or (name == FILE and has_file):
            raise invalid_param(name, f"The parameter '{name}' was sent more than once.")
        if name == FILE:
            raise invalid_param(FILE, "Send 'file' as a part of a multipart/form-data body.")
        values[name] = value if name == URL else _read(name, value)
        if name == WEBHOOK_URL and check_webhook is not None:
            check_webhook(value)
    url, webhook_url = values.pop(URL, None), values.pop(WEBHOOK_URL, None)
    if url is None and not has_file:
        raise ServiceError("missing_source", "Send an image as 'file', or its address as 'url'.")
    if url is not None and has_file:
        raise invalid_param(URL, "Send either 'file' or 'url', not both.")
    if url is not None and not _is_plain_text(url):
        raise ServiceError(
            "invalid_url", f"Invalid url '{_shown(url)}'. Use: an http or https URL {_PLAIN_TEXT}", param=URL
        )
    return Parameters(Options(**values), url, webhook_url)


def parse_urlencoded(body: bytes) -> list[tuple[str, str]]:
    """Split an ``application/x-www-form-urlencoded`` body (WHATWG URL, 5.1) into names and values.

    Bytes that are no UTF-8 become surrogates, which `parse_parameters` refuses.
    """
    pairs = (pair.partition(b"=") for pair in body.split(b"&") if pair)
    return [(_unquote(name), _unquote(value)) for name, _, value in pairs]


def parse_json(body: bytes) -> list[tuple[str, str]]:
    """Read a JSON object of strings, numbers and booleans into names and values; a repeated name is kept.

    Raises
    ------
    ServiceError
        ``invalid_param`` for a body that is no JSON object, or naming the first field whose value is null, an array
        or an object.
    """
    try:
        # Numbers stay as they are spelt. So do NaN and Infinity, which are no JSON: no field takes them.
        found = json.loads(body.decode(), object_pairs_hook=tuple, parse_int=str, parse_float=str, parse_constant=str)
    except (ValueError, RecursionError):
        raise invalid_param(BODY, "The body is not valid JSON.") from None
    if not isinstance(found, tuple):
        raise invalid_param(BODY, "The body must be a JSON object.")
    return [(name, _text_of(name, value)) for name, value in found]


def _text_of(name: str, value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value
    raise invalid_param(_shown(name), f"The parameter '{_shown(name)}' must be a string, a number or a boolean.")


def _unquote(text: bytes) -> str:
    return unquote_to_bytes(text.replace(b"+", b" ")).decode("utf-8", "surrogateescape")


def _read(name: str, value: str) -> object:
    reader, accepted = _READERS[name]
    try:
        return reader(value)
    except (KeyError, ValueError):
        raise invalid_param(name, f"Invalid {name} '{_shown(value)}'. Use: {accepted}") from None


def _read_integer(value: str, most: int) -> int:
    if not _INTEGER.fullmatch(value) or int(value) > most:
        raise ValueError(value)
    return int(value)


def _read_quality(value: str) -> int | None:
    return None if value == "smart" else _read_integer(value, MAX_QUALITY)


def _read_side(value: str) -> int:
    return _read_integer(value, MAX_SIDE_PX)


def _read_switch(value: str) -> bool:
    return _SWITCHES[value.lower()]


def _read_address(value: str) -> str:
    if not _is_plain_text(value):
        raise ValueError(value)
    return value


def _is_plain_text(value: str) -> bool:
    return 0 < len(value.encode("utf-8", "surrogatepass")) <= MAX_FIELD_BYTES and not _NO_TEXT.search(value)


def _shown(text: str) -> str:
    """Make a client's own text fit for an error message: short and printable."""
    printable = "".join(character if character.isprintable() else "\ufffd" for character in text[:_SHOWN_CHARACTERS])
    return printable + "\u2026" * (len(text) > _SHOWN_CHARACTERS)


#: How each parameter that is no source is read, and what the refusal of a wrong value tells to use.
_READERS: Final[dict[str, tuple[Callable[[str], object], str]]] = {
    "format": (_FORMATS.__getitem__, "jpeg, png, webp, avif, or auto"),
    "quality": (_read_quality, f"smart or an integer from 1 to {MAX_QUALITY}"),
    "max_width": (_read_side, f"an integer from 1 to {MAX_SIDE_PX}"),
    "max_height": (_read_side, f"an integer from 1 to {MAX_SIDE_PX}"),
    "strip_metadata": (_read_switch, "true or false"),
    WEBHOOK_URL: (_read_address, f"an https URL {_PLAIN_TEXT}"),
}
#: Every parameter, in the order of the documentation.
PARAMETERS: Final = (FILE, URL, *_READERS)
