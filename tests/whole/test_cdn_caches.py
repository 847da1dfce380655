"""nginx and Varnish in front of the service, as docs/cdn.md configures them: they keep what they may, and no more."""

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing
from itertools import count
from typing import NamedTuple

import httpx
import pytest

from perf.load.browsers import ACCEPTS
from tests.whole.caches import Cache, Nginx, Varnish
from tests.whole.cdn import MODERN, PLAIN, Customer, eventually, image, served
from tests.whole.pictures import encoded, photo
from tests.whole.public import PublicNet, Web
from tests.whole.service import Service

PHOTO = encoded(photo(96, 72), "JPEG", quality=90)
OTHER = encoded(photo(64, 64), "JPEG", quality=90)
OPTIONS = "f:auto,q:60"
Ages = dict[tuple[type[Cache], str], "Aged"]
#: A picture has to be made within it on the slowest machine: what is over before it is kept is never stale.
SHORT_S = 4
LONG_S = 100
KINDS: tuple[type[Cache], ...] = (Nginx, Varnish)
_names = count()


@pytest.fixture(scope="module")
def service(net: PublicNet) -> Iterator[Service]:
    if not any(kind.find() for kind in KINDS):
        pytest.skip("neither nginx nor varnishd is installed")
    running = Service(net=net, ENCODE_PROCESSES="2", CDN_DEADLINE_MS="20000").start()
    yield running
    running.close()


@pytest.fixture(scope="module")
def caches(service: Service, net: PublicNet) -> Iterator[dict[type[Cache], Cache]]:
    """Those whose programs are there."""
    with ExitStack() as stack:
        yield {kind: stack.enter_context(closing(kind(service, net))) for kind in KINDS if kind.find()}


@pytest.fixture(params=KINDS, ids=lambda kind: kind.__name__.lower())
def cache(request: pytest.FixtureRequest, caches: dict[type[Cache], Cache]) -> Cache:
    if request.param not in caches:
        pytest.skip(f"{request.param.program} is not installed")
    return caches[request.param]


class Aged(NamedTuple):
    """A picture that one cache answered with, and whose time was over when it was."""

    path: str
    source: str
    first: httpx.Response


#: What each source says of its time.
LIVES = {
    "strict": f"max-age={SHORT_S}, must-revalidate",
    "refused": f"max-age={SHORT_S}, must-revalidate",
    "revalidated": f"max-age={SHORT_S}, stale-while-revalidate=600",
    "forgiven": f"max-age={SHORT_S}, stale-if-error=600, stale-while-revalidate=0",
    "awaited": f"max-age={SHORT_S}, stale-if-error=600, stale-while-revalidate=0",
    "long": f"max-age={LONG_S}",
}


@pytest.fixture(scope="module")
def aged(caches: dict[type[Cache], Cache], cdn: Customer, web: Web) -> Ages:
    """Let pictures grow old, all at once: one of each of `LIVES` in each cache."""
    found = {}
    for kind, cache in caches.items():
        for life, control in LIVES.items():
            source = new_source(web, Cache_Control=control)
            path = cdn.path(source, OPTIONS)
            # What lives long is asked of the service alone, so that it has been there for a while.
            first = cdn.get(source, OPTIONS, MODERN) if life == "long" else cache.get(path, MODERN)
            assert first.headers["x-variant"] == "final"
            found[kind, life] = Aged(path, source, first)
    time.sleep(SHORT_S + 1)
    return found


def new_source(web: Web, name: str = "", **headers: str) -> str:
    """The path of a picture that no test has asked for."""
    path = f"/cached/{next(_names)}{name}.jpg"
    web.on(path, image(PHOTO, ETag='"1"', **headers))
    return path


def final(cdn: Customer, source: str, accept: str = MODERN) -> httpx.Response:
    """Have the service make a picture, past the cache."""
    return eventually(
        lambda: cdn.get(source, OPTIONS, accept),
        lambda reply: (reply.headers.get("x-variant"), reply.headers.get("x-cache")) == ("final", "hit"),
    )


def status(reply: httpx.Response) -> str:
    assert reply.status_code in {200, 206, 304}, reply.text[:300]
    return reply.headers["x-cache-status"]


def test_each_browser_gets_its_format_and_most_requests_are_hits(cache: Cache, cdn: Customer, web: Web) -> None:
    """Five browsers are two kinds: with 4 pictures, 8 of 100 requests may reach the service."""
    sources = [new_source(web) for _ in range(4)]
    for source in sources:
        for accept in (MODERN, PLAIN):
            final(cdn, source, accept)
    seen: Counter[str] = Counter()
    for _ in range(5):
        for source in sources:
            for browser, accept in ACCEPTS.items():
                reply = cache.get(cdn.path(source, OPTIONS), accept)
                seen[status(reply)] += 1
                assert reply.headers["vary"] == "Accept"
                kind = reply.headers["content-type"]
                assert kind in accept or kind == "image/jpeg", browser
                assert (kind != "image/jpeg") is (browser not in {"Safari 13", "Firefox 60"})
    assert seen == {"HIT": 92, "MISS": 8}


@pytest.mark.parametrize(
    "name",
    ["//double", "a%20b+c%2Bd", "%D1%84", "q", "%2e%2e%2ff"],
    ids=["slashes", "plus", "unicode", "query", "dots"],
)
def test_no_spelling_of_a_source_is_changed_on_the_way(cache: Cache, cdn: Customer, web: Web, name: str) -> None:
    source = f"/cached/{next(_names)}/{name}.jpg" + ("?v=1&next=https://x.test/%3Fy" if name == "q" else "")
    web.on(source, image(PHOTO))
    for spelling in cdn.spellings(source, OPTIONS):
        reply = cache.get(spelling, MODERN)
        if name == "%2e%2e%2ff":
            assert reply.status_code == 400
        else:
            assert reply.status_code == 200, (spelling, reply.text)


def test_a_url_that_was_changed_is_refused_and_not_kept(cache: Cache, cdn: Customer, web: Web) -> None:
    path = cdn.path(new_source(web), OPTIONS)
    for changed in (f"{path}?utm=1", path.replace("q:60", "q:61"), f"{path}x"):
        assert cache.get(changed, MODERN).status_code == 403
    assert cache.get(path, MODERN).status_code == 200


def test_the_cache_answers_conditional_requests_and_parts_by_itself(cache: Cache, cdn: Customer, web: Web) -> None:
    source = new_source(web)
    final(cdn, source)
    path = cdn.path(source, OPTIONS)
    whole = cache.get(path, MODERN)
    bare = cache.client.head(path, headers={"Accept": MODERN})
    assert (bare.status_code, bare.content, status(bare)) == (200, b"", "HIT")
    assert bare.headers["content-length"] == str(len(whole.content))
    known = cache.get(path, MODERN, If_None_Match=whole.headers["etag"])
    assert (known.status_code, known.content, status(known)) == (304, b"", "HIT")
    assert cache.get(path, MODERN, If_None_Match='"other"').status_code == 200
    part = cache.get(path, MODERN, Range="bytes=10-19")
    assert (part.status_code, part.content) == (206, whole.content[10:20])
    assert part.headers["content-range"] == f"bytes 10-19/{len(whole.content)}"
    assert cache.get(path, MODERN, Range="bytes=0-", If_Range='"other"').content == whole.content


def test_what_is_over_is_revalidated_by_its_entity_tag(cache: Cache, aged: Ages, web: Web) -> None:
    """A source that forbids staleness is asked for again, and neither sent nor encoded again."""
    path, source, first = aged[type(cache), "strict"]
    assert "stale" not in first.headers["cache-control"]
    asked = served(web, source)
    again = cache.get(path, MODERN)
    assert (again.headers["etag"], again.content) == (first.headers["etag"], first.content)
    assert status(again) == ("REVALIDATED" if isinstance(cache, Nginx) else "MISS")
    assert served(web, source) == asked + 1


def test_nothing_is_kept_for_longer_than_the_source_allows(cache: Cache, aged: Ages) -> None:
    """What the service has had for a while may be kept in front for what is left; nginx' cache counts no Age."""
    path, _, _ = aged[type(cache), "long"]
    reply = cache.get(path, MODERN)
    left = dict(part.split("=") for part in reply.headers["cache-control"].split(", ") if "=" in part)
    assert status(reply) == "MISS"
    assert 0 < int(left["s-maxage"]) <= LONG_S - SHORT_S
    assert int(left["max-age"]) <= LONG_S - SHORT_S


def test_while_it_is_fetched_anew_what_is_stale_serves(cache: Cache, aged: Ages, web: Web) -> None:
    path, source, first = aged[type(cache), "revalidated"]
    web.on(source, image(OTHER, ETag='"2"', Cache_Control="max-age=60"))
    stale = cache.get(path, MODERN)
    assert stale.content == first.content
    assert status(stale) == ("STALE" if isinstance(cache, Nginx) else "HIT")
    eventually(lambda: cache.get(path, MODERN), lambda reply: reply.content != first.content)


def test_what_is_stale_by_errors_alone_waits_for_the_service(cache: Cache, aged: Ages, web: Web) -> None:
    path, source, first = aged[type(cache), "awaited"]
    web.on(source, image(OTHER, ETag='"2"', Cache_Control="max-age=60"))
    assert cache.get(path, MODERN).content != first.content


def test_what_was_purged_here_and_there_is_gone(cache: Cache, cdn: Customer, web: Web) -> None:
    source = new_source(web)
    path = cdn.path(source, OPTIONS)
    old = {accept: cache.get(path, accept) for accept in (MODERN, PLAIN)}
    web.on(source, image(OTHER, ETag='"2"'))
    assert status(cache.get(path, MODERN)) == "HIT"
    assert cdn.purge(source).status_code == 200
    # It holds within a second.
    eventually(lambda: cdn.get(source, OPTIONS), lambda reply: reply.headers["etag"] != old[PLAIN].headers["etag"])
    for accept in (MODERN, PLAIN):
        cache.refresh(path, accept)
        assert cache.get(path, accept).headers["etag"] != old[accept].headers["etag"]


@pytest.mark.parametrize("cache", [Varnish], indirect=True)
def test_varnish_forgets_a_source_by_its_name(cache: Cache, cdn: Customer, web: Web) -> None:
    source, other = new_source(web), new_source(web)
    paths = [cdn.path(source, options) for options in (OPTIONS, "f:auto,q:60,w:40")]
    [tag] = {cache.get(path, MODERN).headers["surrogate-key"] for path in paths}
    cache.get(cdn.path(other, OPTIONS), MODERN)
    assert cache.client.request("BAN", "/", headers={"Surrogate-Key": tag}).status_code == 200
    assert [status(cache.get(path, MODERN)) for path in paths] == ["MISS", "MISS"]
    assert status(cache.get(cdn.path(other, OPTIONS), MODERN)) == "HIT"
    assert cache.client.request("BAN", "/", headers={"Surrogate-Key": "a b"}).status_code == 400


def test_while_the_service_is_dead_what_is_stale_serves_where_it_may(
    service: Service, caches: dict[type[Cache], Cache], aged: Ages, cdn: Customer, web: Web
) -> None:
    """The last test of the module: it ends the service."""
    unseen = cdn.path(new_source(web), OPTIONS)
    service.stop()
    for kind, cache in caches.items():
        path, _, first = aged[kind, "forgiven"]
        for _ in range(3):
            reply = cache.get(path, MODERN)
            assert (reply.status_code, reply.content) == (200, first.content), cache.program
        assert cache.get(aged[kind, "refused"].path, MODERN).status_code >= 500, cache.program
        assert cache.get(unseen, MODERN).status_code >= 500, cache.program
