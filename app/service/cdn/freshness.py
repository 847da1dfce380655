"""How long a source, and what was made of it, may be kept (RFC 9111 as a shared cache; RFC 5861, RFC 8246).

What the source allows bounds everything; within it, the settings decide.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final

import msgspec

#: What the RFC takes for a number that is too large (section 1.2.2).
_MOST_S: Final = 2**31
_DIRECTIVE: Final = re.compile(
    r'\s*([!#$%&\'*+.^_`|~0-9A-Za-z-]+)\s*(?:=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]*)))?\s*(?:,|$)'
)
_SAID: Final = re.compile(
    r"public, max-age=([0-9]+), s-maxage=([0-9]+)"
    r"(?:, stale-while-revalidate=([0-9]+))?(?:, stale-if-error=([0-9]+))?",
    re.ASCII,
)
_LIFETIME_HEADERS: Final = frozenset({"cache-control", "expires", "date", "age"})
_SECONDS: Final = re.compile(r"[0-9]+", re.ASCII)
_ENTITY_TAG: Final = re.compile(r'(?:W/)?"[\x21\x23-\x7e]*"')
_MAX_TAG_CHARACTERS: Final = 512


class SourceFreshness(msgspec.Struct, frozen=True):
    """What a source's answer allows.

    Attributes
    ----------
    storable
        Whether a shared cache may keep it: neither ``no-store`` nor ``private``.
    fresh_until
        Unix seconds until which a shared cache may answer with it unasked, in the past for ``no-cache``; None: the
        source does not say, and the settings decide.
    browser_until
        The same for a browser's cache.
    stale_while_revalidate_s, stale_if_error_s
        How long behind that it may still be used; None: the source does not say, 0: not at all.
    etag, last_modified
        What to ask with whether it has changed, as sent.
    """

    storable: bool = True
    fresh_until: float | None = None
    browser_until: float | None = None
    stale_while_revalidate_s: int | None = None
    stale_if_error_s: int | None = None
    etag: str | None = None
    last_modified: str | None = None

    def is_fresh(self, fetched_at: float, now: float, default_s: float) -> bool:
        """Whether what was fetched then, in Unix seconds, needs no asking now; `default_s` if the source is silent."""
        until = fetched_at + default_s if self.fresh_until is None else self.fresh_until
        return now < until


class CacheTimes(msgspec.Struct, frozen=True):
    """What the settings want, in seconds: of browsers, of shared caches, and of answers that are stale.

    `interim_s` is for shared caches and browsers alike, while something better is being made.
    """

    max_age_s: int
    s_maxage_s: int
    stale_while_revalidate_s: int
    stale_if_error_s: int
    interim_s: int


def read_freshness(headers: Mapping[str, str], now: float) -> SourceFreshness:
    """Read a source's answer.

    Parameters
    ----------
    headers
        Names in lower case; of several fields of one name, the values joined by commas.
    now
        Unix seconds when the answer began to arrive.
    """
    directives = _read_directives(headers.get("cache-control", ""))
    age_s = _read_seconds(headers.get("age")) or 0
    browser_s = _read_seconds(directives.get("max-age")) if "max-age" in directives else _read_expires(headers, now)
    shared_s = _read_seconds(directives["s-maxage"]) if "s-maxage" in directives else browser_s
    if "no-cache" in directives:
        browser_s = shared_s = 0
    # `s-maxage` forbids stale answers as `proxy-revalidate` does, unless the source grants some itself (5.2.2.10).
    is_strict = bool(directives.keys() & {"no-cache", "must-revalidate", "proxy-revalidate"})
    silent = 0 if is_strict or "s-maxage" in directives else None
    etag = headers.get("etag", "").strip()
    return SourceFreshness(
        storable=not directives.keys() & {"no-store", "private"},
        fresh_until=None if shared_s is None else now + shared_s - age_s,
        browser_until=None if browser_s is None else now + browser_s - age_s,
        stale_while_revalidate_s=_read_grace(directives, "stale-while-revalidate", silent, is_strict=is_strict),
        stale_if_error_s=_read_grace(directives, "stale-if-error", silent, is_strict=is_strict),
        etag=etag if len(etag) <= _MAX_TAG_CHARACTERS and _ENTITY_TAG.fullmatch(etag) else None,
        last_modified=headers.get("last-modified") if _read_date(headers.get("last-modified")) is not None else None,
    )


def heed_redirects(headers: Mapping[str, str], redirects: Sequence[Mapping[str, str]], now: float) -> Mapping[str, str]:
    """Return a source's headers as they would be if it allowed no more than each answer that redirected to it.

    A redirect that says nothing of its time leaves it to the settings, as a source does.

    Parameters
    ----------
    now
        Unix seconds when the answer began to arrive.
    """
    bounds = [told for told in (read_freshness(one, now) for one in redirects) if told != SourceFreshness()]
    if not bounds:
        return headers
    told = [*bounds, read_freshness(headers, now)]
    browser_s, shared_s, while_s, error_s = (
        min((value for value in values if value is not None), default=None)
        for values in zip(
            *(
                (
                    None if one.browser_until is None else max(0, round(one.browser_until - now)),
                    None if one.fresh_until is None else max(0, round(one.fresh_until - now)),
                    one.stale_while_revalidate_s,
                    one.stale_if_error_s,
                )
                for one in told
            ),
            strict=True,
        )
    )
    directives = {
        "max-age": browser_s,
        # Where it is said at all, it forbids stale answers; then somebody has said it, and they are forbidden already.
        "s-maxage": None if shared_s == browser_s else shared_s,
        "stale-while-revalidate": while_s,
        "stale-if-error": error_s,
    }
    spelled = ", ".join(f"{name}={seconds}" for name, seconds in directives.items() if seconds is not None)
    control = spelled if all(one.storable for one in told) else "no-store"
    return {name: value for name, value in headers.items() if name not in _LIFETIME_HEADERS} | {
        "cache-control": control
    }


def grow_older(headers: Mapping[str, str], *, by_s: float) -> Mapping[str, str]:
    """Return a source's headers as they would be had they come so many seconds later: fetching and encoding take time.

    Only whole seconds count, as in `Age`.
    """
    age_s = (_read_seconds(headers.get("age")) or 0) + max(0, int(by_s))
    return {**headers, "age": str(age_s)} if age_s else headers


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


def _read_directives(text: str) -> dict[str, str]:
    """Read `Cache-Control`; of a directive that comes twice the first counts, what is malformed is passed over."""
    directives: dict[str, str] = {}
    at = 0
    while at < len(text):
        found = _DIRECTIVE.match(text, at)
        if found is None:
            comma = text.find(",", at)
            at = len(text) if comma < 0 else comma + 1
            continue
        quoted, plain = found[2], found[3]
        directives.setdefault(found[1].lower(), quoted if quoted is not None else plain or "")
        at = found.end()
    return directives


def _read_seconds(text: str | None) -> int | None:
    """Read delta-seconds; what is no number is 0, because it is meant to be a bound, and None stays None."""
    if text is None:
        return None
    text = text.strip()
    if not _SECONDS.fullmatch(text):
        return 0
    return int(text) if len(text) <= 10 and int(text) <= _MOST_S else _MOST_S


def _read_grace(directives: Mapping[str, str], name: str, silent: int | None, *, is_strict: bool) -> int | None:
    return _read_seconds(directives[name]) if name in directives and not is_strict else silent


def _read_expires(headers: Mapping[str, str], now: float) -> int | None:
    """Return the seconds from `Date`, or from `now` where there is none, to `Expires`; an invalid one is over."""
    if "expires" not in headers:
        return None
    expires, date = _read_date(headers["expires"]), _read_date(headers.get("date"))
    return 0 if expires is None else max(0, min(int(expires - (now if date is None else date)), _MOST_S))


def _read_date(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        date = parsedate_to_datetime(text)
        # HTTP's dates are UTC, whatever they say of their zone.
        return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None
