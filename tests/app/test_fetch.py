"""Fetching by `url`: what is a success, what is told of a failure, and when it ends."""

import asyncio
import gzip
import zlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
import trustme
from hypothesis import given, settings
from hypothesis import strategies as st

from app.errors import ServiceError
from app.service.content_coding import PIECE_BYTES
from app.service.fetch import Fetcher, UnexpectedStatus
from app.service.netguard import HTTP_SCHEMES, ForbiddenUrl, parse_public_url, parse_redirect
from tests.app.loopback import (
    PRIVATE,
    PUBLIC,
    Handler,
    Names,
    Request,
    Web,
    answer,
    client_side,
    outbound,
    reset,
    run,
    server_side,
    serving,
    stall,
)

MAX_BYTES = 100_000
IMAGE = bytes(range(256)) * 4
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


class Kept:
    """A sink that keeps everything, and may take its time or refuse."""

    def __init__(self, *, flush_s: float = 0, refuses_at: int | None = None) -> None:
        self.data = b""
        self.flushes = 0
        self._flush_s = flush_s
        self._refuses_at = refuses_at

    def write(self, data: memoryview) -> None:
        self.data += data
        if self._refuses_at is not None and len(self.data) >= self._refuses_at:
            raise ServiceError("unsupported_format", "This is no image.")

    async def flush(self) -> None:
        self.flushes += 1
        await asyncio.sleep(self._flush_s)


@asynccontextmanager
async def fetching(
    handler: Handler | bytes, names: Mapping[str, str | list[str]] | None = None, **options: Any
) -> AsyncIterator[tuple[Fetcher, Web, str]]:
    """Give a fetcher, a server and the server's URL."""
    resolver = Names(names or {"pub.test": PUBLIC})
    async with serving(handler) as web, outbound(resolver, port=web.port) as client:
        yield Fetcher(client, max_bytes=MAX_BYTES, **options), web, f"http://pub.test:{web.port}"


def fetched(handler: Handler | bytes, path: str = "/", **options: Any) -> bytes:
    """Fetch one URL and return what the sink got."""

    async def scenario() -> bytes:
        sink = Kept()
        async with fetching(handler, **options) as (fetcher, _, url):
            assert (await fetcher.fetch(url + path, sink)).size == len(sink.data)
        return sink.data

    return run(scenario())


def refused(handler: Handler | bytes, path: str = "/", **options: Any) -> tuple[str, str]:
    """Fetch one URL in vain; return the code and the message."""
    with pytest.raises(ServiceError) as caught:
        fetched(handler, path, **options)
    return caught.value.code, caught.value.message


# Successes.


@pytest.mark.parametrize(
    "whole",
    [
        answer("200 OK", IMAGE),
        b"HTTP/1.1 200 OK\r\n\r\n" + IMAGE,
        b"HTTP/1.0 200 OK\r\n\r\n" + IMAGE,
        CHUNKED + b"200\r\n" + IMAGE[:512] + b"\r\n200;x=y\r\n" + IMAGE[512:] + b"\r\n0\r\n\r\n",
        answer("200 OK", gzip.compress(IMAGE), Content_Encoding="gzip"),
        answer("200 OK", zlib.compress(IMAGE), Content_Encoding="deflate"),
        answer("103 Early Hints").replace(b"Content-Length: 0\r\n", b"") + answer("200 OK", IMAGE),
    ],
    ids=["length", "until the end", "HTTP/1.0", "chunked", "gzip", "deflate", "early hints"],
)
def test_a_whole_body_arrives_however_it_is_sent(whole: bytes) -> None:
    assert fetched(whole) == IMAGE


def test_the_request_asks_for_images_without_a_content_coding() -> None:
    async def scenario() -> None:
        async with fetching(answer("200 OK", IMAGE)) as (fetcher, web, url):
            await fetcher.fetch(f"{url}/a.png?b=c", Kept())
            [asked] = web.requests
            assert (asked.method, asked.target) == ("GET", "/a.png?b=c")
            assert asked.headers["Accept"] == "image/avif,image/webp,image/png,image/jpeg"
            assert asked.headers["Accept-Encoding"] == "identity"

    run(scenario())


def test_the_sink_is_waited_for_after_every_piece() -> None:
    sink = Kept()

    async def drip(_: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(answer("200 OK", Content_Length="30"))
        for number in range(3):
            writer.write(b"0123456789")
            while sink.flushes == number:
                await asyncio.sleep(0.005)

    async def scenario() -> None:
        async with fetching(drip) as (fetcher, _, url):
            assert (await fetcher.fetch(url, sink)).size == 30

    run(scenario())
    assert (sink.data, sink.flushes) == (b"0123456789" * 3, 3)


@pytest.mark.parametrize("coding", ["identity", "gzip"])
def test_no_piece_is_larger_than_the_sink_was_told(coding: str) -> None:
    async def scenario() -> None:
        body = bytes(20 * PIECE_BYTES)
        page = answer("200 OK", gzip.compress(body) if coding == "gzip" else body, Content_Encoding=coding)
        sizes: list[int] = []
        async with serving(page) as web, outbound(port=web.port) as client:
            sink = Kept()
            sink.write = lambda data: sizes.append(len(data))
            assert (await Fetcher(client, max_bytes=len(body)).fetch(f"http://pub.test:{web.port}/", sink)).size == len(
                body
            )
        assert max(sizes) <= PIECE_BYTES

    run(scenario())


# Sizes.


@pytest.mark.parametrize("coding", ["identity", "gzip"])
@pytest.mark.parametrize("framing", ["length", "until the end"])
def test_the_largest_body_is_fetched_and_one_byte_more_is_too_large(framing: str, coding: str) -> None:
    def page(size: int) -> bytes:
        body = gzip.compress(bytes(size)) if coding == "gzip" else bytes(size)
        whole = answer("200 OK", body, Content_Encoding=coding)
        return whole.replace(b"Content-Length", b"X-Length") if framing == "until the end" else whole

    assert fetched(page(MAX_BYTES)) == bytes(MAX_BYTES)
    assert refused(page(MAX_BYTES + 1)) == ("file_too_large", "The file is too large: at most 0.09 MB are taken.")


def test_a_length_that_is_too_large_is_believed_before_the_body_comes() -> None:
    async def promise(_: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(answer("200 OK", Content_Length=str(MAX_BYTES + 1)))
        await stall()

    assert refused(promise)[0] == "file_too_large"


@pytest.mark.parametrize("coding", ["identity", "gzip"])
def test_a_body_without_end_is_given_up_at_the_limit(coding: str) -> None:
    async def pour(_: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(answer("200 OK", Content_Encoding=coding).replace(b"Content-Length", b"X-Length"))
        compressor = zlib.compressobj(wbits=31)
        while True:
            data = bytes(10_000)
            writer.write(
                data if coding == "identity" else compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH)
            )
            await writer.drain()
            await asyncio.sleep(0)

    async def scenario() -> None:
        sink = Kept()
        async with fetching(pour) as (fetcher, web, url):
            with pytest.raises(ServiceError, match="too large"):
                await fetcher.fetch(url, sink)
            await web.hung_up.wait()
        assert len(sink.data) <= MAX_BYTES

    run(scenario())


def test_a_compressed_body_that_holds_nothing_is_counted_as_it_is_sent() -> None:
    # Empty stored blocks: five bytes each that decode to none.
    empty = b"\x00\x00\x00\xff\xff" * (MAX_BYTES // 5)
    page = answer("200 OK", gzip.compress(b"")[:10] + empty, Content_Encoding="gzip")
    assert refused(page.replace(b"Content-Length", b"X-Length"))[0] == "file_too_large"


def test_a_bomb_lets_other_requests_have_their_turn() -> None:
    async def scenario() -> int:
        turns = 0

        async def count() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        bomb = answer("200 OK", gzip.compress(bytes(100 * MAX_BYTES)), Content_Encoding="gzip")
        async with serving(bomb) as web, outbound(port=web.port) as client:
            fetcher, sink = Fetcher(client, max_bytes=100 * MAX_BYTES), Kept()
            others: asyncio.Task[None] | None = None

            def begin(_: memoryview) -> None:
                nonlocal others
                others = others or asyncio.create_task(count())

            async def go_on() -> None:
                pass

            sink.write, sink.flush = begin, go_on
            await fetcher.fetch(f"http://pub.test:{web.port}/", sink)
            assert others is not None
            others.cancel()
        return turns

    assert run(scenario()) > 100


# Failures of the server.


@pytest.mark.parametrize("status", [201, 204, 206, 300, 304, 401, 404, 429, 500, 503, 999])
def test_an_answer_other_than_200_is_a_failure(status: int) -> None:
    body = b"" if status in {204, 304} else IMAGE
    assert refused(answer(f"{status} So", body)) == ("fetch_failed", f"The URL answered with status {status}.")


BROKEN = "The answer of pub.test was broken off or is not valid HTTP."


@pytest.mark.parametrize(
    ("page", "message"),
    [
        (answer("200 OK", IMAGE, Content_Length="2000"), BROKEN),
        (CHUNKED + b"400\r\n" + IMAGE[:100], BROKEN),
        (CHUNKED + b"400\r\n" + IMAGE + b"\r\n", BROKEN),
        (CHUNKED + b"ten\r\n" + IMAGE, BROKEN),
        (CHUNKED + b"-5\r\n" + IMAGE, BROKEN),
        (answer("200 OK", IMAGE, Transfer_Encoding="chunked"), BROKEN),
        (answer("200 OK"), "The URL answered with an empty body."),
        (CHUNKED + b"0\r\n\r\n", "The URL answered with an empty body."),
        (answer("200 OK", gzip.compress(b""), Content_Encoding="gzip"), "The URL answered with an empty body."),
        (answer("200 OK", gzip.compress(IMAGE)[:-9], Content_Encoding="gzip"), "The compressed body is cut short."),
        (
            answer("200 OK", IMAGE, Content_Encoding="gzip"),
            "The body is not compressed in the way that it says.",
        ),
        (
            answer("200 OK", IMAGE, Content_Encoding="br"),
            "The body has a content encoding other than gzip or deflate.",
        ),
    ],
    ids=[
        "shorter than its length",
        "cut amid a chunk",
        "no last chunk",
        "no number for a chunk",
        "a negative chunk",
        "a length and chunks",
        "empty",
        "no chunks",
        "empty, compressed",
        "compressed, cut",
        "not compressed",
        "another coding",
    ],
)
def test_a_body_that_is_not_what_was_promised_is_a_failure(page: bytes, message: str) -> None:
    assert refused(page) == ("fetch_failed", message)


def test_a_reset_amid_the_body_is_a_failure() -> None:
    async def break_off(_: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(answer("200 OK", IMAGE, Content_Length="5000"))
        await writer.drain()
        await asyncio.sleep(0.02)
        reset(writer)

    assert refused(break_off) == ("fetch_failed", BROKEN)


@pytest.mark.parametrize(
    "begun", [b"", b"HTTP/1.1 200 OK\r\nContent-", answer("200 OK", Content_Length="9"), CHUNKED + b"5\r\nhel"]
)
def test_silence_is_a_failure_wherever_it_falls(begun: bytes) -> None:
    async def fall_silent(_: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(begun)
        await stall()

    assert refused(fall_silent, idle_timeout_s=0.1) == ("fetch_failed", "The host pub.test sent nothing for too long.")


@pytest.mark.parametrize("begun", [b"HTTP/1.1 200 OK\r\nX-Slow: ", answer("200 OK", Content_Length="99999")])
def test_a_server_that_never_falls_silent_and_never_ends_is_given_up(begun: bytes) -> None:
    async def drip(_: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(begun)
        while True:
            writer.write(b"a")
            await asyncio.sleep(0.02)

    assert refused(drip, total_timeout_s=0.3) == ("fetch_failed", "The URL could not be fetched within 0.3 seconds.")


def test_the_time_limit_holds_over_redirects() -> None:
    async def redirect_slowly(_: Request, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.15)
        writer.write(answer("302 Found", Location="/again"))

    assert "within 0.3 seconds" in refused(redirect_slowly, total_timeout_s=0.3)[1]


# Redirects.


async def chain(request: Request, writer: asyncio.StreamWriter) -> None:
    """Redirect as often as the path says, by another status each time."""
    left = int(request.target.strip("/"))
    if left:
        writer.write(answer(f"{[301, 302, 303, 307, 308][left]} Moved", Location=f"../{left - 1}"))
    else:
        writer.write(answer("200 OK", IMAGE))


def test_three_redirects_are_followed_and_a_fourth_is_not() -> None:
    assert fetched(chain, "/3") == IMAGE
    assert refused(chain, "/4") == ("fetch_failed", "The URL redirects more than 3 times.")


@pytest.mark.parametrize("headers", [{}, {"Location": ""}])
def test_a_redirect_to_nowhere_is_a_failure(headers: dict[str, str]) -> None:
    assert refused(answer("302 Found", **headers)) == ("fetch_failed", "The URL redirects without saying where to.")


@pytest.mark.parametrize(
    ("location", "reason"),
    [
        ("http://127.0.0.1/", "The URL's host is not a public address."),
        ("//localhost/", "The URL's host is the name of an internal host."),
        ("ftp://pub.test/", "The URL's scheme must be http or https."),
        ("http:elsewhere", "The URL is not absolute: it needs a scheme and a host."),
        ("http://pub.test:6379/", None),
        ("http://u:p@pub.test/", "The URL must not contain credentials."),
        ("http://pub.test/" + "a" * 8000, "The URL is longer than 8000 characters."),
    ],
)
def test_a_redirect_is_judged_like_the_url_itself(location: str, reason: str | None) -> None:
    code, message = refused(answer("302 Found", Location=location))
    assert code == "invalid_url"
    assert message.startswith("The URL redirects to one that is refused. ")
    assert reason is None or message.endswith(reason)


@pytest.mark.parametrize("location", ["/a b", "/a\tb", "http:\\\\127.0.0.1", "/\\127.0.0.1"])
def test_a_redirect_is_not_repaired(location: str) -> None:
    assert refused(answer("302 Found", Location=location)) == (
        "invalid_url",
        "The URL redirects to one with a space, a control character or a backslash.",
    )


def test_each_hop_is_looked_up_once_and_judged_anew() -> None:
    """The name's second answer is the canary's address."""

    async def scenario() -> None:
        resolver = Names({"pub.test": PUBLIC, "rebind.test": [PUBLIC, PRIVATE]})
        async with (
            serving(chain) as web,
            serving(answer("200 OK", IMAGE), address=PRIVATE, port=web.port) as canary,
            outbound(resolver, port=web.port) as client,
        ):
            fetcher = Fetcher(client, max_bytes=MAX_BYTES)
            assert (await fetcher.fetch(f"http://rebind.test:{web.port}/0", Kept())).size == len(IMAGE)
            assert resolver.asked == ["rebind.test"]
            resolver.asked.clear()
            with pytest.raises(ServiceError, match=r"rebind\.test has an address that is not public") as caught:
                await fetcher.fetch(f"http://rebind.test:{web.port}/1", Kept())
            assert caught.value.code == "invalid_url"
            assert resolver.asked == ["rebind.test", "rebind.test"]
            assert canary.connections == 0

    run(scenario())


def test_a_redirect_from_https_to_http_is_refused_and_the_other_way_is_followed() -> None:
    authority = trustme.CA()

    async def redirect(request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(answer("302 Found", Location=request.target[1:]))

    async def scenario() -> None:
        async with (
            serving(redirect, tls=server_side(authority, "pub.test")) as secure,
            serving(redirect) as plain,
            serving(answer("200 OK", IMAGE), tls=server_side(authority, "pub.test")) as end,
            outbound(port=secure.port, more_ports=[plain.port, end.port], tls=client_side(authority)) as client,
        ):
            fetcher = Fetcher(client, max_bytes=MAX_BYTES)
            end_url = f"https://pub.test:{end.port}/"
            assert (await fetcher.fetch(f"http://pub.test:{plain.port}/{end_url}", Kept())).size == len(IMAGE)
            with pytest.raises(ServiceError, match="scheme must be https") as caught:
                await fetcher.fetch(f"https://pub.test:{secure.port}/http://pub.test:{plain.port}/", Kept())
            assert caught.value.code == "invalid_url"
            assert plain.connections == 1

    run(scenario())


@pytest.mark.parametrize("location", ["//[::1", "//[x]/", "//a\u2100b/"])
def test_a_redirect_to_a_malformed_host_is_refused(location: str) -> None:
    assert refused(answer("302 Found", Location=location)) == (
        "invalid_url",
        "The URL redirects to one that is malformed.",
    )


@settings(deadline=None)
@given(st.text(max_size=30) | st.text("/:[]@#?%.\\\u2100ax1 ", max_size=12))
def test_whatever_a_location_says_is_a_target_or_refused(location: str) -> None:
    base = parse_public_url("https://pub.test/a/b?c", schemes=HTTP_SCHEMES)
    with suppress(ForbiddenUrl):
        assert parse_redirect(location, base).scheme == "https"


# The sink.


async def send_a_long_page(_: Request, writer: asyncio.StreamWriter) -> None:
    writer.write(answer("200 OK", b"<!doctype html>", Content_Length=str(MAX_BYTES)))
    await stall()


def test_what_the_sink_refuses_ends_the_fetch_at_once() -> None:
    async def scenario() -> None:
        async with fetching(send_a_long_page) as (fetcher, web, url):
            with pytest.raises(ServiceError) as caught:
                await fetcher.fetch(url, Kept(refuses_at=12))
            assert caught.value.code == "unsupported_format"
            await web.hung_up.wait()

    run(scenario())


def test_a_slow_sink_is_not_held_against_the_server() -> None:
    async def scenario() -> None:
        async with fetching(answer("200 OK", IMAGE), total_timeout_s=2) as (fetcher, _, url):
            assert (await fetcher.fetch(url, Kept(flush_s=2.2))).size == len(IMAGE)

    run(scenario())


def test_what_goes_wrong_in_the_sink_comes_out_as_it_is() -> None:
    class Broken(Kept):
        async def flush(self) -> None:
            raise TimeoutError("the store is down")

    async def scenario() -> None:
        async with fetching(send_a_long_page) as (fetcher, web, url):
            with pytest.raises(TimeoutError, match="the store is down"):
                await fetcher.fetch(url, Broken())
            await web.hung_up.wait()

    run(scenario())


def test_a_fetch_that_is_cancelled_hangs_up() -> None:
    async def scenario() -> None:
        async with fetching(stall) as (fetcher, web, url):
            task = asyncio.create_task(fetcher.fetch(url, Kept()))
            while not web.requests:
                await asyncio.sleep(0.01)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await web.hung_up.wait()

    run(scenario())


# URLs that are not fetched.


@pytest.mark.parametrize("url", ["", "ftp://pub.test/", "http://127.0.0.1/", "http://10.0.0.1/", "http://pub.test:1/"])
def test_a_url_that_is_not_public_is_refused_by_name_of_the_parameter(url: str) -> None:
    async def scenario() -> None:
        async with fetching(answer("200 OK", IMAGE)) as (fetcher, web, _):
            with pytest.raises(ServiceError) as caught:
                await fetcher.fetch(url, Kept())
            assert (caught.value.code, caught.value.param) == ("invalid_url", "url")
            assert web.connections == 0

    run(scenario())


def test_a_name_server_that_is_silent_is_a_failure() -> None:
    async def silent(_: str) -> list[Any]:
        await stall()
        return []

    async def scenario() -> None:
        async with outbound(silent, port=8080, lookup_timeout_s=0.1) as client:
            with pytest.raises(ServiceError, match=r"pub\.test could not be resolved") as caught:
                await Fetcher(client, max_bytes=MAX_BYTES).fetch("http://pub.test/", Kept())
            assert caught.value.code == "fetch_failed"

    run(scenario())


# Asking again for what is known.


def test_what_has_not_changed_is_not_sent_again_and_the_answer_s_headers_are_told() -> None:
    async def by_tag(request: Request, writer: asyncio.StreamWriter) -> None:
        is_known = request.headers.get("If-None-Match") == '"1"'
        facts = {"ETag": '"1"', "Cache_Control": "max-age=5"}
        writer.write(answer("304 Not Modified", **facts) if is_known else answer("200 OK", IMAGE, **facts))

    async def scenario() -> None:
        async with fetching(by_tag) as (fetcher, _, url):
            sink = Kept()
            first = await fetcher.fetch(url, sink)
            assert (first.size, sink.data) == (len(IMAGE), IMAGE)
            second = await fetcher.fetch(url, sink, known={"If-None-Match": first.headers["etag"]})
            assert (second.size, sink.data) == (None, IMAGE)
            assert second.headers["cache-control"] == "max-age=5"

    run(scenario())


def test_fields_of_one_name_are_joined() -> None:
    async def scenario() -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nCache-Control: public\r\ncache-control: max-age=1\r\n\r\nx"
        async with fetching(head) as (fetcher, _, url):
            assert (await fetcher.fetch(url, Kept())).headers["cache-control"] == "public, max-age=1"

    run(scenario())


def test_another_status_than_200_is_told_as_the_cause() -> None:
    """A 304 that nobody asked for is one."""

    async def scenario(status: str) -> None:
        async with fetching(answer(status)) as (fetcher, _, url):
            with pytest.raises(ServiceError) as caught:
                await fetcher.fetch(url, Kept())
            assert isinstance(caught.value.__cause__, UnexpectedStatus)
            assert caught.value.__cause__.status == int(status[:3])

    for status in ("404 Not Found", "304 Not Modified"):
        run(scenario(status))
