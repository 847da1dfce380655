"""The way out: each gate for itself, and what a connection carries and does not carry."""

import asyncio
import gzip
import socket
import threading
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
import trustme
from hypothesis import given, settings
from hypothesis import strategies as st
from yarl import URL

from app.service import outbound as outbound_module
from app.service.addresses import Address
from app.service.netguard import HTTP_SCHEMES, ForbiddenUrl, Target, UnresolvableHost, parse_public_url
from app.service.outbound import MAX_ADDRESSES, Outbound, RequestFailed
from tests.app.loopback import (
    PRIVATE,
    PUBLIC,
    Names,
    Request,
    answer,
    client_side,
    outbound,
    reset,
    run,
    server_side,
    serving,
    stall,
)

HELLO = answer("200 OK", b"hello")


async def get(client: Outbound, url: str, *, idle_s: float = 30) -> tuple[int, bytes]:
    target = client.judge(url, schemes=HTTP_SCHEMES)
    # No test gives the client more than a second for anything; a machine may take its time.
    async with asyncio.timeout(30), client.request("GET", target, headers={}, idle_s=idle_s) as response:
        return response.status, await response.read()


# The gates. Each test fails where just its own gate is taken away.


def test_gate_1_refuses_an_address_by_its_text_whatever_the_other_gates_let_through() -> None:
    client = Outbound(allowed=lambda _: True, ports=frozenset({8080}))
    for url in ("http://127.0.0.1:8080/", "http://[::1]:8080/", "http://localhost:8080/", "http://u:p@pub.test:8080/"):
        with pytest.raises(ForbiddenUrl):
            client.judge(url, schemes=HTTP_SCHEMES)


def test_gate_2_refuses_a_host_with_one_address_that_is_not_public_before_any_connection() -> None:
    async def scenario() -> None:
        async with serving(HELLO) as web:
            names = Names({"mixed.test": f"{PUBLIC} fd00::1", "pub.test": PUBLIC})
            async with outbound(names, port=web.port) as client:
                with pytest.raises(ForbiddenUrl, match="not public"):
                    await get(client, f"http://mixed.test:{web.port}/")
                assert web.connections == 0
                assert await get(client, f"http://pub.test:{web.port}/") == (200, b"hello")

    run(scenario())


@pytest.mark.parametrize("addresses", [[PRIVATE], [PRIVATE, "127.0.0.3"], [f"::ffff:{PRIVATE}"], ["::1"]])
def test_gate_3_refuses_a_socket_to_an_address_that_gate_2_let_through(
    addresses: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def let_through(*_: Any, **__: Any) -> list[Address]:
        return [ip_address(text) for text in addresses]

    async def scenario() -> None:
        async with serving(HELLO, address=PRIVATE) as canary, outbound(port=canary.port) as client:
            with pytest.raises(ForbiddenUrl, match="not public"):
                await get(client, f"http://pub.test:{canary.port}/")
            assert canary.connections == 0

    monkeypatch.setattr(outbound_module, "resolve_public", let_through)
    run(scenario())


def test_gate_3_judges_addresses_that_aiohttp_takes_from_the_url_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    async def let_through(*_: Any, **__: Any) -> list[Address]:
        return []

    async def scenario() -> None:
        async with serving(HELLO, address=PRIVATE) as canary, outbound(port=canary.port) as client:
            target = Target(url=f"http://{PRIVATE}:{canary.port}/", scheme="http", host=PRIVATE, port=canary.port)
            with pytest.raises(ForbiddenUrl):
                async with client.request("GET", target, headers={}, idle_s=5):
                    pass
            assert canary.connections == 0

    monkeypatch.setattr(outbound_module, "resolve_public", let_through)
    run(scenario())


def test_gate_3_makes_sockets_for_the_internet_only() -> None:
    client = Outbound()
    with pytest.raises(OSError, match="not a public address"):
        client._open_socket((socket.AF_UNIX, socket.SOCK_STREAM, 0, "", ("93.184.216.34", 80)))


def test_a_name_is_looked_up_once_and_the_connection_goes_to_the_address_that_was_checked() -> None:
    """A second look-up would answer the canary's address: DNS rebinding."""

    async def scenario() -> None:
        async with serving(HELLO) as web, serving(HELLO, address=PRIVATE, port=web.port) as canary:
            names = Names({"rebind.test": [PUBLIC, PRIVATE]})
            async with outbound(names, port=web.port) as client:
                assert await get(client, f"http://rebind.test:{web.port}/") == (200, b"hello")
                assert names.asked == ["rebind.test"]
                with pytest.raises(ForbiddenUrl):
                    await get(client, f"http://rebind.test:{web.port}/")
            assert (web.connections, canary.connections) == (1, 0)

    run(scenario())


def test_every_request_goes_to_the_address_that_was_checked_for_it() -> None:
    async def scenario() -> None:
        async with serving(HELLO) as web, serving(answer("200 OK", b"moved"), address="127.0.0.3", port=web.port):
            names = Names({"moving.test": [PUBLIC, "127.0.0.3"]})
            client = Outbound(names, allowed=lambda _: True, ports=frozenset({web.port}))
            assert await get(client, f"http://moving.test:{web.port}/") == (200, b"hello")
            assert await get(client, f"http://moving.test:{web.port}/") == (200, b"moved")
            await client.close()

    run(scenario())


def test_a_host_that_was_not_checked_is_not_resolved() -> None:
    async def scenario() -> None:
        async with serving(HELLO) as web, outbound(port=web.port) as client:
            target = Target(url=f"http://other.test:{web.port}/", scheme="http", host="pub.test", port=web.port)
            with pytest.raises(ForbiddenUrl):
                async with client.request("GET", target, headers={}, idle_s=5):
                    pass
            assert web.connections == 0

    run(scenario())


@settings(deadline=None)
@given(
    st.from_regex(r"https?://[a-z0-9.\[\]:_é。-]{1,30}(:[0-9]{1,5})?[/?#a-z0-9@:%.&=é]{0,20}", fullmatch=True)
    | st.builds(lambda text: f"http://pub.test/{text}", st.text(max_size=20))
)
def test_aiohttp_reads_the_host_and_the_port_that_were_judged(text: str) -> None:
    try:
        target = parse_public_url(text, schemes=HTTP_SCHEMES)
    except ForbiddenUrl:
        return
    url = URL(target.url, encoded=True)
    assert (url.raw_host, url.port, url.scheme, url.user) == (target.host, target.port, target.scheme, None)


# What a connection carries.


def test_a_request_names_the_product_asks_for_no_coding_and_ends_the_connection() -> None:
    async def scenario() -> None:
        async with serving(HELLO) as web, outbound(port=web.port) as client:
            for _ in range(2):
                await get(client, f"http://pub.test:{web.port}/a%2fb%7E?c=%20&d=%41")
            assert web.connections == 2
            [first, _] = web.requests
            assert first.target == "/a%2fb%7E?c=%20&d=%41"
            assert first.headers["Host"] == f"pub.test:{web.port}"
            assert first.headers["User-Agent"].startswith("Compressorize/")
            assert first.headers["Accept-Encoding"] == "identity"
            assert first.headers["Connection"] == "close"

    run(scenario())


def test_nothing_of_the_environment_and_of_earlier_answers_is_sent(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine pub.test login somebody password secret\n")

    async def scenario() -> None:
        async with serving(answer("200 OK", Set_Cookie="seen=yes; Path=/")) as web, outbound(port=web.port) as client:
            for variable in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
                monkeypatch.setenv(variable, f"http://{PRIVATE}:9")
            monkeypatch.setenv("NETRC", str(netrc))
            for _ in range(2):
                await get(client, f"http://pub.test:{web.port}/")
            assert [set(asked.headers) & {"Cookie", "Authorization"} for asked in web.requests] == [set(), set()]

    run(scenario())


@pytest.mark.parametrize(
    ("says", "broken"),
    [
        ("one header of 20 kB", answer("200 OK", X_Long="a" * 20_000)),
        ("headers without end", answer("200 OK", **{f"X-{number}": "a" for number in range(500)})),
        ("a reason of 20 kB", answer("200 " + "a" * 20_000)),
        ("two lengths", answer("200 OK", b"hello", content_length="6")),
        ("no number for a length", answer("200 OK", b"hello", Content_Length="five")),
        ("another protocol", b"220 mail.test ESMTP\r\n"),
        ("nothing", b""),
    ],
)
def test_an_answer_that_is_no_sound_http_is_refused(says: str, broken: bytes) -> None:
    async def scenario() -> None:
        async with serving(broken) as web, outbound(port=web.port) as client:
            with pytest.raises(RequestFailed, match="broken off or is not valid HTTP"):
                await get(client, f"http://pub.test:{web.port}/")

    run(scenario())


def test_an_answer_comes_as_it_was_sent_its_redirect_and_its_coding() -> None:
    async def scenario() -> None:
        moved = answer("302 Found", gzip.compress(b"hello"), Location="/elsewhere", Content_Encoding="gzip")
        async with serving(moved) as web, outbound(port=web.port) as client:
            status, body = await get(client, f"http://pub.test:{web.port}/")
            assert (status, gzip.decompress(body), len(web.requests)) == (302, b"hello", 1)

    run(scenario())


# Connections that fail.


def test_what_is_told_of_a_failure_names_no_address_and_no_error_of_the_libraries() -> None:
    async def scenario() -> list[str]:
        async with serving(HELLO) as web:
            port = web.port
        told = []
        async with outbound(Names({"pub.test": PUBLIC, "none.test": ""}), port=port) as client:
            for url in (f"http://pub.test:{port}/", f"http://none.test:{port}/", f"http://nx.test:{port}/"):
                with pytest.raises((RequestFailed, UnresolvableHost)) as caught:
                    await get(client, url)
                told.append(str(caught.value))
        return told

    assert run(scenario()) == [
        "No connection to pub.test could be made.",
        "The host none.test has no addresses.",
        "The host nx.test could not be resolved.",
    ]


def test_an_address_that_is_dead_gives_way_to_the_next() -> None:
    async def scenario() -> None:
        async with serving(HELLO) as web:
            # Nothing listens there: the documentation block has no route, or a connection is refused at once.
            names = Names({"pub.test": f"127.0.0.9 {PUBLIC}"})
            client = Outbound(names, allowed=lambda _: True, ports=frozenset({web.port}))
            assert await get(client, f"http://pub.test:{web.port}/") == (200, b"hello")
            await client.close()

    run(scenario())


def test_of_many_addresses_only_the_first_are_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []

    def count(self: Outbound, endpoint: Any) -> socket.socket:
        tried.append(endpoint[4][0])
        raise OSError("no network")

    async def scenario() -> None:
        names = Names({"pub.test": " ".join(f"93.184.216.{last}" for last in range(1, 200))})
        client = Outbound(names)
        with pytest.raises(RequestFailed):
            await get(client, "http://pub.test/")
        await client.close()

    monkeypatch.setattr(Outbound, "_open_socket", count)
    run(scenario())
    assert set(tried) == {f"93.184.216.{last}" for last in range(1, MAX_ADDRESSES + 1)}


def test_a_host_that_takes_no_connection_is_given_up() -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        with socket.create_server((PUBLIC, 0), backlog=0) as full:
            place = full.getsockname()
            # Once its queue is full, the kernel drops whoever else knocks.
            queue = [socket.socket() for _ in range(3)]
            for link in queue:
                link.setblocking(False)
            waiting = [loop.create_task(loop.sock_connect(link, place)) for link in queue]
            await asyncio.wait(waiting, timeout=0.05)
            async with outbound(port=place[1], connect_timeout_s=0.2) as client:
                with pytest.raises(RequestFailed, match="No connection"):
                    await get(client, f"http://pub.test:{place[1]}/")
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)
            for link in queue:
                link.close()

    run(scenario())


def test_a_server_that_says_nothing_is_given_up() -> None:
    async def scenario() -> None:
        async with serving(stall) as web, outbound(port=web.port) as client:
            with pytest.raises(RequestFailed, match="sent nothing for too long"):
                await get(client, f"http://pub.test:{web.port}/", idle_s=0.1)

    run(scenario())


def test_a_reset_amid_the_body_is_a_failure() -> None:
    async def break_off(_: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(answer("200 OK", b"hel", Content_Length="5"))
        await writer.drain()
        await asyncio.sleep(0.05)
        reset(writer)

    async def scenario() -> None:
        async with serving(break_off) as web, outbound(port=web.port) as client:
            with pytest.raises(RequestFailed, match="broken off"):
                await get(client, f"http://pub.test:{web.port}/")

    run(scenario())


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_leaving_amid_a_body_hangs_up_on_a_server_that_sends_on(scheme: str, authority: trustme.CA) -> None:
    """Over TLS, too: there, an orderly end would read on for half a minute."""
    broken = threading.Event()

    def pour(server: socket.socket) -> None:
        link, _ = server.accept()
        if scheme == "https":
            link = server_side(authority, "pub.test").wrap_socket(link, server_side=True)
        with link, suppress(OSError):
            link.sendall(answer("200 OK", Content_Length=str(10**12)))
            while True:
                link.sendall(bytes(100_000))
        broken.set()

    async def scenario() -> None:
        with socket.create_server((PUBLIC, 0)) as server:
            threading.Thread(target=pour, args=(server,), daemon=True).start()
            port = server.getsockname()[1]
            async with outbound(port=port, tls=client_side(authority)) as client:
                target = client.judge(f"{scheme}://pub.test:{port}/", schemes=HTTP_SCHEMES)
                async with client.request("GET", target, headers={}, idle_s=5) as response:
                    assert await response.content.readany()
                assert await asyncio.to_thread(broken.wait, 20)

    run(scenario())


def test_an_error_of_the_caller_comes_out_as_it_is() -> None:
    async def scenario() -> None:
        async with serving(HELLO) as web, outbound(port=web.port) as client:
            target = client.judge(f"http://pub.test:{web.port}/", schemes=HTTP_SCHEMES)
            with pytest.raises(KeyError):
                async with client.request("GET", target, headers={}, idle_s=5):
                    raise KeyError

    run(scenario())


def test_no_more_requests_are_under_way_than_allowed() -> None:
    under_way = most = 0

    async def count(_: Request, writer: asyncio.StreamWriter) -> None:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0.05)
        under_way -= 1
        writer.write(HELLO)

    async def scenario() -> None:
        async with serving(count) as web, outbound(port=web.port, max_connections=3) as client:
            answers = await asyncio.gather(*(get(client, f"http://pub.test:{web.port}/") for _ in range(12)))
            assert answers == [(200, b"hello")] * 12

    run(scenario())
    assert most == 3


def test_requests_that_are_cancelled_give_their_places_and_their_sockets_back() -> None:
    async def answer_once_asked_nicely(request: Request, writer: asyncio.StreamWriter) -> None:
        if request.target == "/":
            writer.write(HELLO)
        else:
            await stall()

    async def scenario() -> None:
        async with (
            serving(answer_once_asked_nicely) as web,
            outbound(port=web.port, max_connections=2) as client,
        ):
            url = f"http://pub.test:{web.port}/"
            await get(client, url)
            before = open_files()
            for _ in range(3):
                stuck = [asyncio.create_task(get(client, f"{url}stuck")) for _ in range(4)]
                await asyncio.sleep(0.02)
                for task in stuck:
                    task.cancel()
                await asyncio.gather(*stuck, return_exceptions=True)
            assert await get(client, url) == (200, b"hello")
            async with asyncio.timeout(30):
                while open_files() > before:
                    await asyncio.sleep(0.01)

    run(scenario())


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


# TLS.


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def test_a_certificate_for_the_name_by_a_trusted_authority_is_taken(authority: trustme.CA) -> None:
    async def scenario() -> None:
        async with (
            serving(HELLO, tls=server_side(authority, "pub.test")) as web,
            outbound(port=web.port, tls=client_side(authority)) as client,
        ):
            assert await get(client, f"https://pub.test:{web.port}/") == (200, b"hello")

    run(scenario())


@pytest.mark.parametrize(("name", "is_trusted"), [("other.test", True), ("pub.test", False)])
def test_another_certificate_is_refused(name: str, is_trusted: bool, authority: trustme.CA) -> None:
    async def scenario() -> None:
        trusted = client_side(authority) if is_trusted else None
        async with (
            serving(HELLO, tls=server_side(authority, name)) as web,
            outbound(port=web.port, tls=trusted) as client,
        ):
            with pytest.raises(RequestFailed, match=r"The TLS certificate of pub\.test is not valid"):
                await get(client, f"https://pub.test:{web.port}/")
            assert web.requests == []

    run(scenario())


def test_a_server_without_tls_is_a_failed_handshake() -> None:
    async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.test ESMTP\r\n")
        writer.close()

    async def scenario() -> None:
        server = await asyncio.start_server(greet, PUBLIC, 0)
        port = server.sockets[0].getsockname()[1]
        async with server, outbound(port=port) as client:
            with pytest.raises(RequestFailed, match=r"The TLS handshake with pub\.test failed"):
                await get(client, f"https://pub.test:{port}/")

    run(scenario())


def test_a_handshake_that_stands_still_is_given_up() -> None:
    async def scenario() -> None:
        with socket.create_server((PUBLIC, 0)) as silent:
            port = silent.getsockname()[1]
            async with outbound(port=port, connect_timeout_s=0.2) as client:
                with pytest.raises(RequestFailed, match="No connection"):
                    await get(client, f"https://pub.test:{port}/")

    run(scenario())
