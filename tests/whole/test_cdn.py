"""The CDN origin end to end: over two API processes, with a source server of the test's own."""

import io
import re
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import httpx
import pytest
import redis
from PIL import Image

from tests.whole.cdn import HOST, MODERN, PLAIN, Customer, eventually, image, served
from tests.whole.jobs import MB, is_soon, stored
from tests.whole.pictures import encoded, noise, opened, padded_jpeg, photo
from tests.whole.public import Answer, PublicNet, Web, file, in_turn, status
from tests.whole.service import Service, error_of

PHOTO = encoded(photo(320, 240), "JPEG", quality=90)
OTHER = encoded(photo(64, 64), "JPEG")
#: With smart, AVIF takes some seconds of it.
LARGE = encoded(noise(900, 700), "JPEG", quality=90)
INTERIM_S = 1
#: Long enough for two requests, one after the other, on any machine.
FAILURE_S = 3
_names = count()


@pytest.fixture(scope="module")
def service(net: PublicNet) -> Iterator[Service]:
    running = Service(
        net=net,
        API_WORKERS="2",
        ENCODE_PROCESSES="2",
        FETCH_TIMEOUT_S="10",
        CDN_DEADLINE_MS="150",
        CDN_INTERIM_S=str(INTERIM_S),
        CDN_FAILURE_S=str(FAILURE_S),
        SWEEP_S="1",
    ).start()
    yield running
    running.close()


@pytest.fixture(scope="module")
def bearer(cdn: Customer) -> dict[str, str]:
    return cdn.authorization()


@pytest.fixture
def source(web: Web) -> str:
    """The path of a picture that no test has asked for."""
    path = f"/picture/{next(_names)}.jpg"
    web.on(path, image(PHOTO, ETag='"1"'))
    return path


def finished(cdn: Customer, source: str, options: str = "f:auto,q:60", accept: str = PLAIN) -> httpx.Response:
    """A picture in its final form, once it is kept: it is answered a moment before."""

    def is_kept(reply: httpx.Response) -> bool:
        return reply.headers.get("x-variant") == "final" and reply.headers["x-cache"] == "hit"

    return eventually(lambda: cdn.get(source, options, accept), is_kept)


# What is answered.


def test_each_browser_gets_what_it_shows_and_vary_says_why(cdn: Customer, source: str) -> None:
    plain, modern = finished(cdn, source), finished(cdn, source, accept=MODERN)
    assert opened(plain.content).format == "JPEG"
    assert modern.headers["x-format"] in {"avif", "webp"}
    assert len(modern.content) < len(plain.content) < len(PHOTO)
    for reply in (plain, modern):
        assert reply.headers["vary"] == "Accept"
        assert reply.headers["content-type"] == f"image/{reply.headers['x-format']}"
        assert reply.headers["cache-control"].startswith("public, max-age=3600, s-maxage=86400, ")
        assert reply.headers["surrogate-key"] == reply.headers["cache-tag"]
    assert plain.headers["etag"] != modern.headers["etag"]


def test_auto_answers_with_the_smallest_of_what_is_accepted(cdn: Customer, source: str) -> None:
    sizes = [len(finished(cdn, source, f"f:{name},q:60").content) for name in ("avif", "webp", "jpeg")]
    assert len(finished(cdn, source, accept=MODERN).content) == min(sizes)


def test_a_fixed_format_does_not_vary(cdn: Customer, source: str) -> None:
    reply = finished(cdn, source, "f:webp,q:60,w:80")
    assert "vary" not in reply.headers
    assert opened(reply.content).size == (80, 60)


def test_options_in_another_order_are_the_same_variant(cdn: Customer, web: Web, source: str) -> None:
    finished(cdn, source, "q:60,f:jpeg,w:100")
    assert finished(cdn, source, "w:100,f:jpeg,q:60").headers["x-cache"] == "hit"
    assert served(web, source) == 1


def test_a_kept_answer_costs_no_fetch_on_any_process(cdn: Customer, web: Web, source: str) -> None:
    first = finished(cdn, source)
    for _ in range(12):  # each a new connection, so that both processes are asked
        again = cdn.get(source, Connection="close")
        assert (again.status_code, again.headers["x-cache"], again.content) == (200, "hit", first.content)
    known = cdn.get(source, If_None_Match=f'W/"x", {first.headers["etag"]}')
    assert (known.status_code, known.content, known.headers["etag"]) == (304, b"", first.headers["etag"])
    asked = [("Accept", PLAIN), ("If-None-Match", first.headers["etag"]), ("If-None-Match", '"x"')]
    assert cdn.client.get(cdn.path(source), headers=asked).status_code == 304
    assert "content-type" not in known.headers
    assert known.headers["vary"] == "Accept"
    assert served(web, source) == 1


def test_parts_and_heads(cdn: Customer, source: str) -> None:
    whole = finished(cdn, source)
    etag, size = whole.headers["etag"], len(whole.content)
    part = cdn.get(source, Range="bytes=10-19")
    assert (part.status_code, part.content) == (206, whole.content[10:20])
    assert part.headers["content-range"] == f"bytes 10-19/{size}"
    assert cdn.get(source, Range="bytes=0-0", If_Range='"other"').content == whole.content
    assert cdn.get(source, Range="bytes=0-0", If_Range=etag).content == whole.content[:1]
    assert error_of(cdn.get(source, Range=f"bytes={size}-"))[:2] == (416, "range_not_satisfiable")
    head = cdn.get(source, method="HEAD")
    assert (head.content, head.headers["content-length"]) == (b"", str(size))


def test_a_source_of_2_mb_and_more_is_answered_too(cdn: Customer, web: Web) -> None:
    web.on("/big.jpg", file(padded_jpeg(PHOTO, 6 * MB)))
    assert len(finished(cdn, "/big.jpg").content) < len(PHOTO)


# Once, and in time.


def test_a_hundred_equal_misses_over_two_processes_are_one_fetch_and_one_encode(
    cdn: Customer, web: Web, source: str
) -> None:
    web.on(source, image(PHOTO, after_s=0.5))
    with ThreadPoolExecutor(16) as threads:
        replies = list(threads.map(lambda _: cdn.get(source, "f:jpeg,q:61", Connection="close"), range(100)))
    assert {reply.status_code for reply in replies} == {200}
    assert len({reply.content for reply in replies}) == 1
    states = Counter(reply.headers["x-cache"] for reply in replies)
    assert states["miss"] == 1, states
    assert states["join"] > 1, states
    assert served(web, source) == 1


def test_a_slow_source_delays_no_other(cdn: Customer, web: Web, source: str) -> None:
    slow, goes_on = "/slow.jpg", threading.Event()
    web.on(slow, image(PHOTO, after=goes_on))
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(cdn.get, slow)
        try:
            web.wait_for(slow)
            assert cdn.get(source).status_code == 200
            assert not waiting.done()
        finally:
            goes_on.set()
        assert waiting.result().status_code == 200


def test_what_is_not_ready_in_time_is_answered_and_the_next_request_gets_better(cdn: Customer, web: Web) -> None:
    web.on("/large.jpg", image(LARGE))
    first = cdn.get("/large.jpg", "f:auto,q:smart", MODERN)
    assert first.headers["x-variant"] == "interim"
    assert first.headers["cache-control"] == f"public, max-age={INTERIM_S}, s-maxage={INTERIM_S}"
    final = finished(cdn, "/large.jpg", "f:auto,q:smart", MODERN)
    assert len(final.content) <= len(first.content)
    assert served(web, "/large.jpg") == 1


# What cannot be made.


def test_never_more_bytes_than_came_in(cdn: Customer, web: Web) -> None:
    tiny = encoded(photo(8, 8), "PNG")
    web.on("/tiny.png", file(tiny, kind="image/png"))
    for accept in (PLAIN, MODERN):
        assert len(finished(cdn, "/tiny.png", "f:auto,q:100", accept).content) <= len(tiny)


@pytest.mark.parametrize("options", ["f:auto", "f:jpeg", "f:webp,q:60"])
def test_a_source_that_cannot_be_compressed_is_answered_without_its_metadata(
    cdn: Customer, web: Web, options: str
) -> None:
    """Whatever format was asked for: every client shows a JPEG."""
    exif = Image.Exif()
    exif[0x0112], exif[0x010F], exif[0x8298] = 6, "TestCam 4711", "(c) Ada"
    whole = encoded(photo(320, 240), "JPEG", exif=exif)
    broken = whole[: len(whole) // 2]
    web.on("/broken.jpg", file(broken))
    reply = cdn.get("/broken.jpg", options)
    assert reply.status_code == 200
    assert broken.endswith(reply.content[-1000:])
    assert not any(told in reply.content for told in (b"TestCam", b"(c) Ada"))
    assert Image.open(io.BytesIO(reply.content)).getexif() == {0x0112: 6}
    assert (reply.headers["x-variant"], reply.headers["content-type"]) == ("original", "image/jpeg")
    assert reply.headers["x-original-returned"] == "true"
    assert reply.headers["content-length"] == reply.headers["x-compressed-size"] == str(len(reply.content))
    assert reply.headers["x-original-size"] == str(len(broken))
    assert reply.headers["cache-control"] == f"public, max-age={INTERIM_S}, s-maxage={INTERIM_S}"
    part = cdn.get("/broken.jpg", options, Range="bytes=-9")
    assert (part.status_code, part.content) == (206, reply.content[-9:])
    assert part.headers["etag"] == reply.headers["etag"]
    kept = cdn.get("/broken.jpg", f"{options},keep:copyright")
    assert Image.open(io.BytesIO(kept.content)).getexif() == {0x0112: 6, 0x8298: "(c) Ada"}
    assert cdn.get("/broken.jpg", f"{options},keep:all").content == broken


def test_a_broken_source_that_not_every_client_shows_or_that_may_tell_where_it_was_taken_is_an_error(
    cdn: Customer, web: Web
) -> None:
    webp = encoded(photo(320, 240), "WEBP")
    web.on("/broken.webp", file(webp[: len(webp) // 2], kind="image/webp"))
    web.on("/cut.jpg", file(PHOTO[:100]))
    assert error_of(cdn.get("/broken.webp", "f:jpeg"))[:2] == (422, "decode_failed")
    assert error_of(cdn.get("/broken.webp", "f:auto", MODERN))[:2] == (422, "decode_failed")
    assert error_of(cdn.get("/cut.jpg", "f:auto"))[:2] == (422, "decode_failed")


def test_that_a_source_cannot_be_had_is_remembered_for_a_moment(cdn: Customer, web: Web, source: str) -> None:
    web.on(source, in_turn(status(404), image(PHOTO)))
    first, second = cdn.get(source), cdn.get(source)
    for reply in (first, second):
        assert error_of(reply)[:2] == (404, "not_found")
        assert re.fullmatch(f"public, max-age=[0-{FAILURE_S}]", reply.headers["cache-control"])
        assert reply.headers["vary"] == "Accept"
    assert served(web, source) == 1
    assert eventually(lambda: cdn.get(source), lambda reply: reply.status_code == 200).headers["x-cache"] == "miss"


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (status(302, Location="http://127.0.0.1/"), (400, "invalid_url")),
        (file(b"<html>" * 99), (415, "unsupported_format")),
        (file(PHOTO, length=26 * MB), (413, "file_too_large")),
        (file(b""), (502, "source_failed")),
        (status(500), (502, "source_failed")),
        (file(PHOTO, length=len(PHOTO) + 1), (502, "source_failed")),
        (status(410), (404, "not_found")),
    ],
    ids=["to loopback", "HTML", "too large", "empty", "failing", "broken off", "gone"],
)
def test_what_is_no_source_is_told(cdn: Customer, web: Web, source: str, answer: Answer, told: tuple[int, str]) -> None:
    web.on(source, answer)
    assert error_of(cdn.get(source))[:2] == told


# How long it lives.


def test_no_longer_than_the_source_allows(cdn: Customer, web: Web, source: str) -> None:
    web.on(source, image(PHOTO, Cache_Control="max-age=60, stale-if-error=0"))
    told = finished(cdn, source).headers["cache-control"]
    left = re.fullmatch(r"public, max-age=(\d+), s-maxage=(\d+), stale-while-revalidate=3600", told)
    assert left is not None, told
    assert left[1] == left[2]
    assert 30 < int(left[1]) <= 60


def test_no_longer_than_a_redirect_to_the_source_allows(cdn: Customer, web: Web, source: str) -> None:
    """Or "latest.jpg" would go on showing what it once pointed at."""
    web.on("/behind.jpg", image(PHOTO, Cache_Control="max-age=31536000, immutable"))
    web.on(source, status(302, Location="/behind.jpg", Cache_Control="max-age=60"))
    told = finished(cdn, source).headers["cache-control"]
    assert re.match(r"public, max-age=(60|59|58), s-maxage=(60|59|58), ", told), told


def test_what_must_not_be_kept_is_not(cdn: Customer, web: Web, source: str) -> None:
    web.on(source, image(PHOTO, Cache_Control="no-store"))
    for number in (1, 2):
        reply = cdn.get(source, "f:jpeg,q:60")
        assert (reply.headers["cache-control"], reply.headers["x-cache"]) == ("no-store", "miss")
        assert served(web, source) == number


def test_a_stale_answer_is_given_while_its_source_is_asked_for_changes(cdn: Customer, web: Web, source: str) -> None:
    web.on(source, image(PHOTO, ETag='"1"', Cache_Control="max-age=1"))
    first = finished(cdn, source)
    stale = eventually(lambda: cdn.get(source), lambda reply: reply.headers["x-cache"] == "stale")
    assert stale.content == first.content
    asked = web.wait_for(source, 2)[-1]
    assert asked.headers["if-none-match"] == '"1"'
    renewed = eventually(lambda: cdn.get(source), lambda reply: reply.headers["x-cache"] == "hit")
    assert renewed.headers["etag"] == first.headers["etag"]


def test_a_source_that_changed_is_made_anew(cdn: Customer, web: Web, source: str) -> None:
    web.on(source, image(PHOTO, ETag='"1"', Cache_Control="max-age=1"))
    first = finished(cdn, source)
    web.on(source, image(OTHER, ETag='"2"'))
    changed = eventually(lambda: cdn.get(source), lambda reply: reply.headers["etag"] != first.headers["etag"])
    assert opened(changed.content).size == (64, 64)


def test_while_the_source_fails_what_there_was_serves_on_until_it_is_gone(cdn: Customer, web: Web, source: str) -> None:
    web.on(source, image(PHOTO, Cache_Control="max-age=1, stale-while-revalidate=0"))
    first = finished(cdn, source)
    web.on(source, status(503))
    again = eventually(lambda: cdn.get(source), lambda _: served(web, source) > 1)
    assert again.content == first.content
    web.on(source, status(410))
    gone = eventually(lambda: cdn.get(source), lambda reply: reply.status_code != 200)
    assert error_of(gone)[:2] == (404, "not_found")


def test_what_must_not_be_used_stale_is_not_though_the_source_fails(cdn: Customer, web: Web, source: str) -> None:
    """Not even for the moment for which failures are remembered."""
    web.on(source, image(PHOTO, ETag='"1"', Cache_Control="no-cache"))
    assert cdn.get(source, "f:jpeg,q:60").status_code == 200
    web.on(source, status(500))
    assert error_of(cdn.get(source, "f:jpeg,q:60"))[:2] == (502, "source_failed")


# Purges.


@pytest.mark.parametrize("by", ["url", "prefix", "tag"])
def test_a_purge_holds_within_a_second_on_both_processes(
    cdn: Customer, web: Web, source: str, bearer: dict[str, str], by: str
) -> None:
    tag = source.replace("/", "-")
    web.on(source, image(PHOTO, Surrogate_Key=f"shoes {tag}"))
    finished(cdn, source)
    for _ in range(10):
        assert cdn.get(source, Connection="close").headers["x-cache"] == "hit"
    web.on(source, image(OTHER))
    value = {"url": HOST.upper() + source, "prefix": HOST + source[:-2], "tag": tag}[by]
    reply = cdn.client.post("/api/v1/purge", json={by: value}, headers=bearer)
    assert (reply.status_code, reply.json()) == (200, {"purged": 1}), reply.text
    time.sleep(1)
    for _ in range(10):
        assert opened(cdn.get(source, Connection="close").content).size == (64, 64)


def test_what_was_being_made_at_a_purge_is_not_kept(
    cdn: Customer, web: Web, source: str, bearer: dict[str, str]
) -> None:
    goes_on = threading.Event()
    web.on(source, in_turn(image(PHOTO, after=goes_on), image(OTHER)))
    with ThreadPoolExecutor(1) as threads:
        before = threads.submit(cdn.get, source, "f:jpeg,q:60")
        try:
            web.wait_for(source)
            assert cdn.client.post("/api/v1/purge", json={"url": HOST + source}, headers=bearer).json() == {"purged": 0}
        finally:
            goes_on.set()
        before.result()
    assert opened(cdn.get(source, "f:jpeg,q:60").content).size == (64, 64)


@pytest.mark.parametrize("etag", [{"ETag": '"1"'}, {}], ids=["304", "the same bytes"])
def test_a_source_that_is_called_otherwise_now_is_purged_by_that(
    cdn: Customer, web: Web, source: str, bearer: dict[str, str], etag: dict[str, str]
) -> None:
    before, after = (f"{word}{source.replace('/', '-')}" for word in ("before", "after"))
    web.on(source, image(PHOTO, Cache_Control="max-age=1", Surrogate_Key=before, **etag))
    finished(cdn, source)
    web.on(source, image(PHOTO, Surrogate_Key=after, **etag))
    eventually(lambda: cdn.get(source), lambda reply: reply.headers["surrogate-key"].endswith(after))
    is_kept = is_soon(lambda: cdn.client.post("/api/v1/purge", json={"tag": after}, headers=bearer).json()["purged"])
    assert is_kept
    assert cdn.client.post("/api/v1/purge", json={"tag": before}, headers=bearer).json() == {"purged": 0}


@pytest.mark.parametrize(
    "body",
    [{}, {"url": "x"}, {"url": 1}, {"tag": ""}, {"tag": "a b"}, {"tag": "a", "url": "http://a.test/"}, {"all": "1"}],
)
def test_a_purge_names_one_thing(cdn: Customer, bearer: dict[str, str], body: dict[str, object]) -> None:
    assert error_of(cdn.client.post("/api/v1/purge", json=body, headers=bearer))[:2] == (400, "invalid_param")


def test_a_purge_needs_an_api_key(cdn: Customer) -> None:
    assert error_of(cdn.client.post("/api/v1/purge", json={"tag": "a"}))[:2] == (401, "unauthorized")


def test_a_purge_reaches_no_other_account(service: Service, cdn: Customer, source: str) -> None:
    finished(cdn, source)
    with service.client() as other:
        assert other.post("/api/v1/purge", json={"url": HOST + source}).json() == {"purged": 0}
    assert cdn.get(source).headers["x-cache"] == "hit"


def test_nothing_stays_in_the_store_of_what_was_purged(
    service: Service, cdn: Customer, source: str, bearer: dict[str, str]
) -> None:
    finished(cdn, source)
    assert stored(service, "cdn/*/*")
    cdn.client.post("/api/v1/purge", json={"prefix": HOST}, headers=bearer)
    with redis.Redis(unix_socket_path=f"{service.environment['DATA_DIR']}/valkey.sock") as client:
        # The minute's grace is over at once.
        client.zadd("{cz}:cdn:due", dict.fromkeys(client.zrange("{cz}:cdn:due", 0, -1), 1))
    assert is_soon(lambda: not stored(service, "cdn/*/*"))


# Who may ask.


def test_a_wrong_signature_learns_nothing(cdn: Customer, source: str) -> None:
    path = cdn.path(source)
    finished(cdn, source)
    for wrong in (path + "?a", path + "/..%2f", path.replace("q:60", "q:61"), path.replace("/cdn/cdn_", "/cdn/cdn_x")):
        reply = cdn.client.get(wrong, headers={"Accept": PLAIN})
        assert error_of(reply)[:2] == (403, "bad_signature"), wrong
        assert reply.headers["cache-control"] == "no-store"
    assert error_of(cdn.client.post(path))[:2] == (405, "method_not_allowed")


def test_an_expired_url_is_refused_though_memory_has_its_answer(cdn: Customer, source: str) -> None:
    until = int(time.time()) + 3
    path = cdn.path(source, f"f:jpeg,q:60,exp:{until}")
    for _ in range(2):  # made, and from memory
        reply = cdn.client.get(path)
        assert reply.status_code == 200
        # No cache in front serves it for longer.
        assert re.fullmatch("public, max-age=[0-3], s-maxage=[0-3]", reply.headers["cache-control"])
    time.sleep(max(0, until - time.time()) + 0.1)
    assert error_of(cdn.client.get(path))[:2] == (403, "bad_signature")


def test_a_revoked_key_is_refused_within_a_second_though_memory_has_its_answers(service: Service, source: str) -> None:
    customer = Customer(service)
    for _ in range(4):
        assert customer.get(source, Connection="close").status_code == 200
    assert service.run("cdn", "revoke-key", customer.key_id).returncode == 0
    time.sleep(1)
    for _ in range(6):
        assert error_of(customer.get(source, Connection="close"))[:2] == (403, "bad_signature")
    customer.close()


def test_signatures_are_not_logged(service: Service, cdn: Customer, source: str) -> None:
    finished(cdn, source)
    assert service.logged(f"/cdn/{cdn.key_id}/f:auto,q:60/")
    assert cdn.path(source).split("/")[2] not in service.log()
