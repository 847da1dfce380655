"""Freshness: the settings decide, and never for longer than the source allows."""

from email.utils import formatdate

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.service.cdn.freshness import SourceFreshness, grow_older, heed_redirects, read_freshness
from app.service.cdn.lifetimes import CacheTimes, cache_control, end_within, shorten

NOW = 1_800_000_000.0
TIMES = CacheTimes(max_age_s=3600, s_maxage_s=86_400, stale_while_revalidate_s=600, stale_if_error_s=7200, interim_s=10)


def read(control: str | None = None, **headers: str) -> SourceFreshness:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return read_freshness(named | ({} if control is None else {"cache-control": control}), NOW)


def said(control: str | None = None, *, after_s: float = 0, interim: bool = False, **headers: str) -> str:
    return cache_control(read(control, **headers), TIMES, now=NOW + after_s, interim=interim)


def times_of(text: str) -> dict[str, int]:
    return {name: int(value) for name, _, value in (part.partition("=") for part in text.split(", ")) if value}


def test_where_the_source_is_silent_the_settings_hold() -> None:
    expected = "public, max-age=3600, s-maxage=86400, stale-while-revalidate=600, stale-if-error=7200"
    assert said() == said("public") == said("") == expected


def test_an_interim_answer_is_for_a_moment_and_never_stale() -> None:
    assert said(interim=True) == "public, max-age=10, s-maxage=10"
    assert said("max-age=5", interim=True) == "public, max-age=5, s-maxage=5"


@pytest.mark.parametrize(
    ("control", "browser_s", "shared_s"),
    [
        ("max-age=60", 60, 60),
        ("max-age=7200", 3600, 7200),
        ("max-age=60, s-maxage=120", 60, 120),
        ("s-maxage=120", 3600, 120),
        ("MAX-AGE=60", 60, 60),
        ('max-age="60"', 60, 60),
        ("max-age=60, max-age=120", 60, 60),
        ("max-age=99999999999999999999", 3600, 86_400),
        ("max-age=-1", 0, 0),
        ("max-age=1.5", 0, 0),
        ("max-age", 0, 0),
        ("no-cache, max-age=60", 0, 0),
        ('no-cache="set-cookie"', 0, 0),
        ('ext="a, max-age=5", max-age=60', 60, 60),
        (";;, max-age=60", 60, 60),
    ],
)
def test_nothing_is_kept_for_longer_than_the_source_says(control: str, browser_s: int, shared_s: int) -> None:
    times = times_of(said(control))
    assert (times["max-age"], times["s-maxage"]) == (browser_s, shared_s)


def test_what_has_passed_since_counts() -> None:
    assert times_of(said("max-age=100", after_s=40))["s-maxage"] == 60
    assert times_of(said("max-age=100", after_s=400))["s-maxage"] == 0
    assert (
        times_of(said("max-age=100", age="30"))["s-maxage"]
        == times_of(said("max-age=100", age="30, 1"))["s-maxage"]
        == 70
    )
    assert times_of(said(age="30"))["s-maxage"] == 86_400


def test_expires_counts_from_the_servers_own_date_and_only_without_max_age() -> None:
    server = {"date": formatdate(NOW - 5000, usegmt=True), "expires": formatdate(NOW - 4900, usegmt=True)}
    assert times_of(said(**server))["max-age"] == 100
    assert times_of(said("max-age=7", **server))["max-age"] == 7
    assert times_of(said("s-maxage=7", **server)) == {"max-age": 100, "s-maxage": 7}
    assert times_of(said(expires=formatdate(NOW + 50, usegmt=True)))["max-age"] == 50
    for over in ("0", "-1", "tomorrow", formatdate(NOW - 5, usegmt=True)):
        assert times_of(said(expires=over))["max-age"] == 0


@pytest.mark.parametrize("control", ["no-store", "private", "private, max-age=60", 'Private="x"', "No-Store"])
def test_what_no_shared_cache_may_keep_is_not_kept(control: str) -> None:
    assert not read(control).storable
    assert said(control) == "no-store"


@pytest.mark.parametrize(
    ("control", "while_revalidate_s", "if_error_s"),
    [
        ("max-age=60", 600, 7200),
        ("max-age=60, stale-while-revalidate=30, stale-if-error=40", 30, 40),
        ("max-age=60, stale-while-revalidate=9999", 600, 7200),
        ("max-age=60, must-revalidate", 0, 0),
        ("max-age=60, proxy-revalidate, stale-if-error=40", 0, 0),
        ("no-cache", 0, 0),
        ("s-maxage=60", 0, 0),
        ("s-maxage=60, stale-while-revalidate=30", 30, 0),
    ],
)
def test_nothing_stale_is_served_that_the_source_forbids(
    control: str, while_revalidate_s: int, if_error_s: int
) -> None:
    times = times_of(said(control))
    assert times.get("stale-while-revalidate", 0) == while_revalidate_s
    assert times.get("stale-if-error", 0) == if_error_s


def test_fresh_is_what_needs_no_asking() -> None:
    assert read("max-age=60").is_fresh(NOW, NOW + 59, default_s=5)
    assert not read("max-age=60").is_fresh(NOW, NOW + 60, default_s=500)
    assert read().is_fresh(NOW, NOW + 4, default_s=5)
    assert not read().is_fresh(NOW, NOW + 5, default_s=5)
    assert not read("no-cache").is_fresh(NOW, NOW, default_s=5)


def test_what_can_be_asked_with_is_kept_as_it_was_sent_and_nothing_malformed() -> None:
    date = formatdate(NOW, usegmt=True)
    found = read(etag=' W/"a-b" ', last_modified=date)
    assert (found.etag, found.last_modified) == ('W/"a-b"', date)
    for tag in ("a", '"a', '"a"b"', '"a"\r\nx: y', '"' + "a" * 600 + '"', "*"):
        assert read(etag=tag).etag is None
    assert read(last_modified="soon").last_modified is None


@pytest.mark.parametrize(
    ("control", "passed_s", "browser_s", "shared_s", "graces_s"),
    [
        (None, 0.9, 3600, 86_400, (600, 7200)),
        (None, 100, 3600, 86_300, (600, 7200)),
        (None, 86_500, 3600, 0, (500, 7100)),
        (None, 87_400, 3600, 0, (0, 6200)),
        (None, 100_000, 3600, 0, (0, 0)),
        ("max-age=500", 100.5, 400, 400, (600, 7200)),
        ("max-age=5000", 100, 3600, 4900, (600, 7200)),
        ("max-age=5000", 4000, 1000, 1000, (600, 7200)),
        ("max-age=50, s-maxage=500", 100, 0, 400, (0, 0)),
        ("max-age=60, stale-while-revalidate=30, stale-if-error=40", 69, 0, 0, (21, 31)),
        ("max-age=500", -100, 500, 500, (600, 7200)),
    ],
)
def test_what_has_been_kept_for_a_while_may_be_kept_in_front_for_what_is_left(
    control: str | None, passed_s: float, browser_s: int, shared_s: int, graces_s: tuple[int, int]
) -> None:
    """And what is stale has only the rest of its grace: caches in a row do not add theirs up."""
    times = times_of(shorten(said(control), read(control), said_at=NOW, now=NOW + passed_s))
    assert (times["max-age"], times["s-maxage"]) == (browser_s, shared_s)
    assert (times.get("stale-while-revalidate", 0), times.get("stale-if-error", 0)) == graces_s
    assert shorten("no-store", read("private"), said_at=NOW, now=NOW + passed_s) == "no-store"


@pytest.mark.parametrize(
    ("redirect", "source", "expected"),
    [
        ("no-store", "max-age=60", "no-store"),
        (None, "private", "no-store"),
        (None, "max-age=60", said("max-age=60")),
        ("max-age=10", None, said("max-age=10")),
        ("max-age=10", "max-age=3600, immutable", said("max-age=10")),
        ("max-age=99", "max-age=60", said("max-age=60")),
        ("max-age=10", "s-maxage=100", said("max-age=10, stale-while-revalidate=0, stale-if-error=0")),
        ("max-age=10", "max-age=5, s-maxage=100", said("max-age=5, s-maxage=10")),
        ("max-age=10, stale-if-error=9", "max-age=60", said("max-age=10, stale-if-error=9")),
        ("no-cache", "max-age=60", said("no-cache")),
        ("must-revalidate", "max-age=60", said("max-age=60, must-revalidate")),
    ],
)
def test_a_redirect_bounds_what_the_source_behind_it_allows(
    redirect: str | None, source: str | None, expected: str
) -> None:
    first, last = ({} if control is None else {"cache-control": control} for control in (redirect, source))
    headers = {**last, "etag": '"a"', "age": "0"}
    heeded = read_freshness(heed_redirects(headers, [first, {"location": "/"}], NOW), NOW)
    assert cache_control(heeded, TIMES, now=NOW) == expected
    assert heeded.etag == '"a"'


def test_the_ages_of_a_redirect_and_of_its_source_are_each_its_own() -> None:
    redirect = {"cache-control": "max-age=100", "age": "90"}
    heeded = heed_redirects({"cache-control": "max-age=50", "age": "20"}, [redirect], NOW)
    assert times_of(cache_control(read_freshness(heeded, NOW), TIMES, now=NOW))["s-maxage"] == 10


@pytest.mark.parametrize(
    ("left_s", "expected"),
    [
        (30.9, "public, max-age=30, s-maxage=30"),
        (4000, "public, max-age=3600, s-maxage=4000"),
        (86_500, "public, max-age=3600, s-maxage=86400, stale-while-revalidate=100, stale-if-error=100"),
        (90_000, "public, max-age=3600, s-maxage=86400, stale-while-revalidate=600, stale-if-error=3600"),
        (-1, "public, max-age=0, s-maxage=0"),
        (1e10, said()),
    ],
)
def test_nothing_is_kept_beyond_an_end_stale_or_fresh(left_s: float, expected: str) -> None:
    assert end_within(said(), left_s) == expected
    assert end_within("no-store", left_s) == "no-store"


@pytest.mark.parametrize(
    ("age", "by_s", "left_s"), [(None, 0.9, 100), (None, 7.9, 93), ("30", 7.9, 63), ("x", -5, 100)]
)
def test_fetching_and_encoding_take_from_the_sources_time(age: str | None, by_s: float, left_s: int) -> None:
    headers = {"cache-control": "max-age=100"} | ({} if age is None else {"age": age})
    found = read_freshness(grow_older(headers, by_s=by_s), NOW)
    assert found.fresh_until == NOW + left_s


NAMES = ["cache-control", "expires", "date", "age", "etag", "last-modified"]
DIRECTIVES = st.text('maxge-s=0123456789",\\ no-cachestorepv', max_size=60)
DATES = st.builds(
    "{}, {} {} {} {}:{}:{} {}".format,
    *[st.sampled_from(["", "Sun", "31", "Feb", "99999", "0", "-0000", "GMT", "+9999"])] * 8,
)


@settings(deadline=None, max_examples=200)
@given(st.dictionaries(st.sampled_from(NAMES), st.one_of(st.text(max_size=40), DIRECTIVES, DATES)), st.booleans())
def test_no_answer_of_a_source_breaks_it_and_none_makes_it_keep_for_longer(
    headers: dict[str, str], interim: bool
) -> None:
    found = read_freshness(headers, NOW)
    times = times_of(cache_control(found, TIMES, now=NOW, interim=interim))
    allowed = times_of(cache_control(SourceFreshness(), TIMES, now=NOW, interim=interim))
    assert all(times[name] <= allowed[name] for name in times)
