"""The options in a URL of the CDN origin, ``f:auto,q:smart,w:800``: short names, in any order, one spelling."""

import re
from collections.abc import Callable
from typing import Any, Final, Literal

import msgspec

from app.errors import ServiceError, invalid_param

CdnFormat = Literal["auto", "source", "jpeg", "png", "webp", "avif"]
Keep = Literal["none", "copyright", "all"]

PARAM: Final = "options"
MAX_CHARACTERS: Final = 200
MAX_SIDE_PX: Final = 65_535
MAX_QUALITY: Final = 100
MAX_DPR: Final = 5.0
#: The option that ends a URL's life, in Unix seconds: `signing` reads it too.
EXPIRES: Final = "exp"

_FORMATS: Final = {name: name for name in ("auto", "source", "jpeg", "png", "webp", "avif")} | {"jpg": "jpeg"}
_KEEPS: Final = {name: name for name in ("none", "copyright", "all")}
# One spelling a number: no sign, no leading zero, no digits but ASCII's.
_INTEGER: Final = re.compile(r"[1-9][0-9]{0,4}", re.ASCII)
_RATIO: Final = re.compile(r"[1-5](?:\.[0-9]{1,2})?", re.ASCII)
_MOMENT: Final = re.compile(r"[1-9][0-9]{0,10}", re.ASCII)


class CdnOptions(msgspec.Struct, frozen=True):
    """What one URL asks for, judged.

    Attributes
    ----------
    format
        ``auto`` is chosen by the request's `Accept`; ``source`` is that of the source.
    quality
        1-100 in the sense of the format's own users, or ``smart``.
    width, height
        Box in CSS pixels, 1-65535, that the upright image is fitted inside; never enlarged.
    dpr
        Device pixels to a CSS pixel, 1-5: what `width` and `height` are multiplied by. None: 1, unless a client hint
        says otherwise.
    keep
        Which metadata stays: none, who made it and who may use it, or all.
    expires
        Unix seconds from which the URL is refused; None: never.
    """

    format: CdnFormat = "auto"
    quality: int | Literal["smart"] = "smart"
    width: int | None = None
    height: int | None = None
    dpr: float | None = None
    keep: Keep = "none"
    expires: int | None = None

    def canonical(self) -> str:
        """Spell what the picture depends on in the one way: sorted, without defaults, without `expires`.

        Equal texts are equal pictures. `dpr` counts only beside a side that it multiplies.
        """
        parts = {
            "dpr": f"{self.dpr:g}" if self.dpr not in {None, 1} and (self.width or self.height) else None,
            "f": self.format if self.format != "auto" else None,
            "h": self.height,
            "keep": self.keep if self.keep != "none" else None,
            "q": self.quality if self.quality != "smart" else None,
            "w": self.width,
        }
        return ",".join(f"{name}:{value}" for name, value in parts.items() if value is not None)


def parse_options(text: str) -> CdnOptions:
    """Judge the options as they stand in the path.

    Parameters
    ----------
    text
        ``name:value`` pairs between commas, at least one, each name at most once.

    Raises
    ------
    ServiceError
        400 `invalid_param`, whose `param` is ``options``; the message names the option at fault.
    """
    if len(text) > MAX_CHARACTERS:
        raise invalid_param(PARAM, f"The options are longer than {MAX_CHARACTERS} characters.")
    values: dict[str, Any] = {}
    for pair in text.split(","):
        name, _, value = pair.partition(":")
        if name not in _READERS:
            raise invalid_param(PARAM, f"Unknown option '{_shown(name)}'. Use: {', '.join(_READERS)}")
        field, reader, accepted = _READERS[name]
        if field in values:
            raise invalid_param(PARAM, f"The option '{name}' was given more than once.")
        try:
            values[field] = reader(value)
        except (KeyError, ValueError):
            raise _wrong(name, value, accepted) from None
    return CdnOptions(**values)


def _wrong(name: str, value: str, accepted: str) -> ServiceError:
    return invalid_param(PARAM, f"Invalid {name} '{_shown(value)}'. Use: {accepted}")


def _read_integer(value: str, most: int) -> int:
    if not _INTEGER.fullmatch(value) or int(value) > most:
        raise ValueError(value)
    return int(value)


def _read_quality(value: str) -> int | str:
    return value if value == "smart" else _read_integer(value, MAX_QUALITY)


def _read_side(value: str) -> int:
    return _read_integer(value, MAX_SIDE_PX)


def _read_dpr(value: str) -> float:
    if not _RATIO.fullmatch(value) or float(value) > MAX_DPR:
        raise ValueError(value)
    return float(value)


def _read_moment(value: str) -> int:
    if not _MOMENT.fullmatch(value):
        raise ValueError(value)
    return int(value)


def _shown(text: str) -> str:
    """Make a client's own text fit for an error message: short and printable."""
    return "".join(character if character.isprintable() else "\ufffd" for character in text[:40])


_SIDE_RANGE: Final = f"an integer from 1 to {MAX_SIDE_PX}"
#: Each option: the field that it fills, how its value is read, and what the refusal of a wrong one tells to use.
_READERS: Final[dict[str, tuple[str, Callable[[str], object], str]]] = {
    "f": ("format", _FORMATS.__getitem__, "auto, source, jpeg, png, webp or avif"),
    "q": ("quality", _read_quality, f"smart or an integer from 1 to {MAX_QUALITY}"),
    "w": ("width", _read_side, _SIDE_RANGE),
    "h": ("height", _read_side, _SIDE_RANGE),
    "dpr": ("dpr", _read_dpr, f"a number from 1 to {MAX_DPR:g} with at most two decimals"),
    "keep": ("keep", _KEEPS.__getitem__, "none, copyright or all"),
    EXPIRES: ("expires", _read_moment, "Unix seconds"),
}
