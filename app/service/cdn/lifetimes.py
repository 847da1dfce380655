"""How long answers may be kept: what their `Cache-Control` says, as the settings want and the source allows."""

import re
from typing import Final

import msgspec

from app.service.cdn.freshness import SourceFreshness

_SAID: Final = re.compile(
    r"public, max-age=([0-9]+), s-maxage=([0-9]+)"
    r"(?:, stale-while-revalidate=([0-9]+))?(?:, stale-if-error=([0-9]+))?",
    re.ASCII,
)


class CacheTimes(msgspec.Struct, frozen=True):
    """What the settings want, in seconds: of browsers, of shared caches, and of answers that are stale.

    `interim_s` is for shared caches and browsers alike, while something better is being made.
    """

    max_age_s: int
    s_maxage_s: int
    stale_while_revalidate_s: int
    stale_if_error_s: int
    interim_s: int


def cache_control(freshness: SourceFreshness, times: CacheTimes, *, now: float, interim: bool = False) -> str:
    """Say how long the answer may be kept: as the settings want, and never longer than the source allows.

    Parameters
    ----------
    now
        Unix seconds.
    interim
        Something better is being made.
    """
    if not freshness.storable:
        return "no-store"
    max_age_s, s_maxage_s = (times.interim_s, times.interim_s) if interim else (times.max_age_s, times.s_maxage_s)
    if freshness.fresh_until is not None:
        s_maxage_s = _clip(freshness.fresh_until - now, s_maxage_s)
    if freshness.browser_until is not None:
        max_age_s = _clip(freshness.browser_until - now, max_age_s)
    if interim:
        return _spell(max_age_s, s_maxage_s, 0, 0)
    return _spell(max_age_s, s_maxage_s, *graces_s(freshness, times))


def graces_s(freshness: SourceFreshness, times: CacheTimes) -> tuple[int, int]:
    """Return for how long behind its time an answer may be used: while its source is asked, and where that fails."""
    while_s, error_s = freshness.stale_while_revalidate_s, freshness.stale_if_error_s
    return (
        times.stale_while_revalidate_s if while_s is None else min(times.stale_while_revalidate_s, while_s),
        times.stale_if_error_s if error_s is None else min(times.stale_if_error_s, error_s),
    )


def shorten(said: str, freshness: SourceFreshness, *, said_at: float, now: float) -> str:
    """Say what is left, by now, of what `cache_control` said then.

    An `Age` beside the old text would mean the same, but nginx' cache counts none. What the settings alone bound in
    browsers stays as it is: there the picture is new. What is stale already has used up a part of its grace, or each
    cache in a row would begin it anew. Whole seconds are counted, as `Age` counts them.
    """
    found = _SAID.fullmatch(said)
    if found is None:
        return said
    max_age_s, s_maxage_s, while_s, error_s = (int(seconds or 0) for seconds in found.groups())
    passed_s = max(0, int(now - said_at))
    if freshness.browser_until is not None:
        max_age_s = _clip(freshness.browser_until - said_at - passed_s, max_age_s)
    over_s = max(0, passed_s - s_maxage_s)
    return _spell(max_age_s, max(0, s_maxage_s - passed_s), while_s - over_s, error_s - over_s)


def end_within(said: str, left_s: float) -> str:
    """Say what `cache_control` said, for no longer than `left_s` seconds from now, the time of being stale included."""
    found = _SAID.fullmatch(said)
    if found is None:
        return said
    max_age_s, s_maxage_s, while_s, error_s = (int(seconds or 0) for seconds in found.groups())
    max_age_s, s_maxage_s = _clip(left_s, max_age_s), _clip(left_s, s_maxage_s)
    grace_s = int(left_s) - max(max_age_s, s_maxage_s)
    return _spell(max_age_s, s_maxage_s, min(while_s, grace_s), min(error_s, grace_s))


def _spell(max_age_s: int, s_maxage_s: int, while_s: int, error_s: int) -> str:
    graces = (("stale-while-revalidate", while_s), ("stale-if-error", error_s))
    said = ["public", f"max-age={max_age_s}", f"s-maxage={s_maxage_s}"]
    return ", ".join(said + [f"{name}={seconds}" for name, seconds in graces if seconds > 0])


def _clip(left_s: float, wanted_s: int) -> int:
    return max(0, min(int(left_s), wanted_s))
