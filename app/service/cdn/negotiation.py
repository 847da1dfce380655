"""What a request's headers make of a URL's options: formats by `Accept`, and size and thrift by client hints.

Hints are rounded up to a few steps: each value that is told apart is another variant to make and to keep.
"""

import re
from collections.abc import Mapping
from typing import Final, Literal

import msgspec

from app.ports.cdn_accounts import CdnAccount
from app.service.cdn.options import MAX_SIDE_PX, CdnOptions
from pixels.formats import FORMATS, FormatName

Candidate = Literal["source", "jpeg", "png", "webp", "avif"]

ACCEPT: Final = "Accept"
SAVE_DATA: Final = "Save-Data"
DPR_HINT: Final = "Sec-CH-DPR"
WIDTH_HINT: Final = "Sec-CH-Width"
#: How much farther from the source `smart` may go for who asked to save data.
THRIFTY_DISTANCE: Final = 1.6

#: Those that not every client shows, best first.
_MODERN: Final[tuple[FormatName, ...]] = ("avif", "webp")
SHOWN_BY_ALL: Final[frozenset[FormatName]] = frozenset(FORMATS) - frozenset(_MODERN)
_MAX_ACCEPT_CHARACTERS: Final = 2000
_WEIGHT: Final = re.compile(r";\s*q\s*=\s*([01](?:\.[0-9]{0,3})?)\s*(?:;|$)", re.ASCII | re.IGNORECASE)
_NUMBER: Final = re.compile(r"[0-9]{1,5}(?:\.[0-9]{1,8})?", re.ASCII)
_DPR_STEPS: Final = (1.0, 1.5, 2.0, 3.0)
_WIDTH_STEPS: Final = (160, 240, 320, 480, 640, 800, 960, 1280, 1600, 1920, 2560, 3200, 3840, 5120, 7680)


class Negotiated(msgspec.Struct, frozen=True):
    """How one request's picture is to be made.

    Attributes
    ----------
    formats
        Those that the answer may have, best first; ``source`` is the source's own.
    shown
        The formats that the client is known to show, whatever the source is. A source in another, where `formats`
        has ``source``, is better turned into JPEG, or PNG where it has alpha.
    max_width, max_height
        Box in device pixels, 1-65535.
    quality
        1-100, or ``smart``.
    distance_factor
        What the distance that ``smart`` aims at is multiplied by.
    vary
        The request headers that had a say, or would have had one: exactly what `Vary` names.
    accept_ch
        What `Accept-CH` says; None for nothing.
    """

    formats: tuple[Candidate, ...]
    shown: frozenset[FormatName]
    max_width: int | None
    max_height: int | None
    quality: int | Literal["smart"]
    distance_factor: float
    vary: tuple[str, ...]
    accept_ch: str | None


def negotiate(options: CdnOptions, headers: Mapping[str, str], account: CdnAccount) -> Negotiated:
    """Decide by the options, and by the headers as far as options and account leave it to them.

    What is malformed counts as absent; nothing is refused.

    Parameters
    ----------
    headers
        Names in lower case; of several fields of one name, the values joined by commas.
    """
    vary: list[str] = []
    formats: tuple[Candidate, ...] = (options.format,) if options.format != "auto" else ()
    shown = frozenset(FORMATS)
    if options.format == "auto":
        vary.append(ACCEPT)
        named = _read_accept(headers.get("accept"))
        formats = (*named, "source")
        shown = SHOWN_BY_ALL | frozenset(named)
    width, dpr, is_thrifty = options.width, options.dpr or 1.0, False
    has_side = options.width is not None or options.height is not None
    if account.client_hints:
        if options.quality == "smart" or has_side:
            vary.append(SAVE_DATA)
            is_thrifty = headers.get("save-data", "").strip().lower() == "on"
        if has_side and options.dpr is None:
            vary.append(DPR_HINT)
            dpr = _round_up(headers.get("sec-ch-dpr"), _DPR_STEPS) or dpr
        if not has_side:
            vary.append(WIDTH_HINT)
            # In device pixels already.
            width = int(_round_up(headers.get("sec-ch-width"), _WIDTH_STEPS) or 0) or None
        if is_thrifty:
            dpr = 1.0
    return Negotiated(
        formats=formats,
        shown=shown,
        max_width=_scale(width, dpr),
        max_height=_scale(options.height, dpr),
        quality=options.quality,
        distance_factor=THRIFTY_DISTANCE if is_thrifty and options.quality == "smart" else 1.0,
        vary=tuple(vary),
        accept_ch=f"{DPR_HINT}, {WIDTH_HINT}" if account.client_hints else None,
    )


def _read_accept(accept: str | None) -> tuple[FormatName, ...]:
    """Return those of `_MODERN` that are named, best first by the client and then by us.

    A wildcard names none of them: browsers that know neither format send one.
    """
    if accept is None or len(accept) > _MAX_ACCEPT_CHARACTERS:
        return ()
    weights: dict[str, float] = {}
    for item in accept.lower().split(","):
        media_type = item.partition(";")[0].strip()
        weight = _WEIGHT.search(item)
        weights[media_type] = float(weight[1]) if weight else 1.0
    named = [name for name in _MODERN if weights.get(FORMATS[name].media_type, 0) > 0]
    return tuple(sorted(named, key=lambda name: -weights[FORMATS[name].media_type]))


def _round_up(text: str | None, steps: tuple[float, ...]) -> float | None:
    """Read a hint's number and return the next step; the last where it is beyond all, None where it is none."""
    if text is None or not _NUMBER.fullmatch(text.strip()):
        return None
    number = float(text)
    return next((step for step in steps if step >= number), steps[-1]) if number > 0 else None


def _scale(side: int | None, dpr: float) -> int | None:
    return None if side is None else min(round(side * dpr), MAX_SIDE_PX)
