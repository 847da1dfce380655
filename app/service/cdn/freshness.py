"""How long a source may be kept, as its answer tells (RFC 9111 as a shared cache; RFC 5861, RFC 8246)."""

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
    age_s = _read_age(headers)
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
    age_s = _read_age(headers) + max(0, int(by_s))
    return {**headers, "age": str(age_s)} if age_s else headers


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


def _read_age(headers: Mapping[str, str]) -> int:
    """Read `Age`; where caches have each added one, the first counts (RFC 9111, section 5.1)."""
    return _read_seconds(headers.get("age", "").partition(",")[0]) or 0


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
