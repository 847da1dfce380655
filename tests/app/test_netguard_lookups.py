"""Hosts judged by their addresses, and the bounds on the system's resolver."""

import asyncio
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Coroutine, Iterator
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Any, TypeVar

import pytest

from app.service.addresses import Address
from app.service.netguard import (
    ForbiddenUrl,
    Target,
    UnresolvableHost,
    parse_public_url,
    resolve_public,
)
from app.service.system_resolver import SystemResolver

ROOT = Path(__file__).resolve().parents[2]
Result = TypeVar("Result")
PUBLIC_V4, PUBLIC_V6 = ip_address("93.184.216.34"), ip_address("2606:4700::6810:84e5")


def parse(text: str) -> Target:
    return parse_public_url(text, schemes=frozenset({"http"}))


def run(scenario: Coroutine[Any, Any, Result]) -> Result:
    """Run a scenario; what never ends fails after a minute."""
    return asyncio.run(asyncio.wait_for(scenario, 60))


class FixedAnswers:
    """A resolver whose answers are written down; it counts the look-ups."""

    def __init__(self, *addresses: str, error: Exception | None = None) -> None:
        self.addresses = [ip_address(address) for address in addresses]
        self.error = error
        self.asked: list[str] = []

    async def __call__(self, host: str) -> list[Address]:
        """Answer what was written down."""
        self.asked.append(host)
        if self.error is not None:
            raise self.error
        return self.addresses


def resolve(text: str, resolver: FixedAnswers) -> tuple[Address, ...]:
    return run(resolve_public(parse(text), resolver))


def test_a_name_is_looked_up_once_and_all_its_addresses_come_back_in_order() -> None:
    resolver = FixedAnswers("93.184.216.34", "2606:4700::6810:84e5", "1.1.1.1")
    assert resolve("http://Pub.test.:8080/", resolver) == (PUBLIC_V4, PUBLIC_V6, IPv4Address("1.1.1.1"))
    assert resolver.asked == ["pub.test"]


@pytest.mark.parametrize(("host", "address"), [("93.184.216.34", PUBLIC_V4), ("[2606:4700::6810:84e5]", PUBLIC_V6)])
def test_an_address_is_not_looked_up(host: str, address: Address) -> None:
    resolver = FixedAnswers()
    assert resolve(f"http://{host}/", resolver) == (address,)
    assert resolver.asked == []


@pytest.mark.parametrize("address", ["10.0.0.1", "169.254.169.254", "::1", "64:ff9b::a00:1", "fd00::1", "fe80::1%eth0"])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_one_address_that_is_not_public_spoils_them_all(address: str, place: int) -> None:
    answers = ["93.184.216.34", "2606:4700::6810:84e5"]
    answers.insert(place, address)
    with pytest.raises(ForbiddenUrl, match="not public"):
        resolve("http://pub.test/", FixedAnswers(*answers))


def test_a_target_made_by_hand_with_a_private_address_is_refused() -> None:
    target = Target(url="http://10.0.0.1/", scheme="http", host="10.0.0.1", port=80, address=IPv4Address("10.0.0.1"))
    with pytest.raises(ForbiddenUrl):
        run(resolve_public(target, FixedAnswers()))


@pytest.mark.parametrize(
    "error", [socket.gaierror(socket.EAI_NONAME, "unknown"), TimeoutError(), OSError("no network")]
)
def test_a_failed_look_up_is_an_unresolvable_host(error: OSError) -> None:
    with pytest.raises(UnresolvableHost, match=re.escape("pub.test")):
        resolve("http://pub.test/", FixedAnswers(error=error))


def test_a_name_without_addresses_is_an_unresolvable_host() -> None:
    with pytest.raises(UnresolvableHost, match="no addresses"):
        resolve("http://pub.test/", FixedAnswers())


def test_a_resolver_that_never_answers_is_given_up() -> None:
    async def silent(host: str) -> list[Address]:
        await asyncio.Event().wait()
        return []

    with pytest.raises(UnresolvableHost):
        run(resolve_public(parse("http://pub.test/"), silent, timeout_s=0.01))


class SlowNameServer:
    """Stands in for the C library's look-up: every one blocks its thread until `answer` is called."""

    def __init__(self) -> None:
        self.begun = self.under_way = self.most = 0
        self._lock = threading.Lock()
        self._entered = threading.Semaphore(0)
        self._answered = threading.Event()

    def getaddrinfo(self, host: bytes, port: None, *, type: int) -> list[tuple[object, ...]]:  # noqa: A002 - its name
        """Take the arguments that the resolver gives to the real one."""
        with self._lock:
            self.begun += 1
            self.under_way += 1
            self.most = max(self.most, self.under_way)
        self._entered.release()
        self._answered.wait()
        with self._lock:
            self.under_way -= 1
        return [(socket.AF_INET, type, 6, "", ("93.184.216.34", 0))]

    def answer(self) -> None:
        """Let every look-up end, those to come at once."""
        self._answered.set()

    async def has_begun(self, count: int) -> None:
        """Wait until `count` more look-ups have begun."""
        for _ in range(count):
            await asyncio.to_thread(self._entered.acquire)


@pytest.fixture
def name_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[SlowNameServer]:
    server = SlowNameServer()
    monkeypatch.setattr(socket, "getaddrinfo", server.getaddrinfo)
    yield server
    server.answer()


def test_the_system_finds_localhost_without_any_name_server() -> None:
    async def scenario() -> None:
        assert set(await SystemResolver()("localhost")) & {IPv4Address("127.0.0.1"), IPv6Address("::1")}

    run(scenario())


def test_the_same_address_for_several_families_is_given_once(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [
        (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("2606:4700::6810:84e5", 0, 0, 0)),
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("93.184.216.34", 0)),
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("93.184.216.34", 0)),
    ]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: answers)

    async def scenario() -> None:
        assert list(await SystemResolver()("pub.test")) == [PUBLIC_V6, PUBLIC_V4]

    run(scenario())


def test_a_name_that_does_not_exist_is_an_oserror_and_frees_its_place() -> None:
    async def scenario() -> None:
        resolver = SystemResolver(max_lookups=1)
        for _ in range(2):
            with pytest.raises(OSError, match=r"\[Errno"):
                await resolver("no-such-name.invalid")
        assert await resolver("localhost")

    run(scenario())


def test_no_more_look_ups_are_under_way_than_there_are_places(name_server: SlowNameServer) -> None:
    async def scenario() -> None:
        resolver = SystemResolver(max_lookups=3)
        waiting = [asyncio.create_task(resolver(f"{number}.test")) for number in range(12)]
        await name_server.has_begun(3)
        assert name_server.begun == 3
        name_server.answer()
        assert await asyncio.gather(*waiting) == [[PUBLIC_V4]] * 12

    run(scenario())
    assert name_server.most == 3


def test_a_look_up_nobody_waits_for_keeps_its_place_until_it_ends_quietly(name_server: SlowNameServer) -> None:
    async def scenario() -> None:
        complaints: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
        resolver, target = SystemResolver(max_lookups=1), parse("http://pub.test/")
        for _ in range(3):
            with pytest.raises(UnresolvableHost):
                await resolve_public(target, resolver, timeout_s=0.02)
        await name_server.has_begun(1)
        assert name_server.begun == 1
        name_server.answer()
        assert await resolve_public(target, resolver) == (PUBLIC_V4,)
        assert not complaints

    run(scenario())


@pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_look_up_that_outlives_its_event_loop_ends_quietly(name_server: SlowNameServer) -> None:
    async def scenario() -> None:
        with pytest.raises(UnresolvableHost):
            await resolve_public(parse("http://pub.test/"), SystemResolver(), timeout_s=0.01)

    run(scenario())
    left_over = [thread for thread in threading.enumerate() if thread.name == "look-up"]
    assert left_over
    name_server.answer()
    for thread in left_over:
        thread.join()


def test_a_system_without_threads_left_is_an_oserror_and_frees_the_place(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        resolver = SystemResolver(max_lookups=1)
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", _no_thread)
            with pytest.raises(OSError, match="no thread"):
                await resolver("localhost")
        assert await resolver("localhost")

    run(scenario())


def _no_thread(_: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


STUCK = """
import asyncio, socket, threading
from app.service.netguard import UnresolvableHost, parse_public_url, resolve_public
from app.service.system_resolver import SystemResolver
socket.getaddrinfo = lambda *_, **__: threading.Event().wait()
target = parse_public_url("http://pub.test/", schemes=frozenset({"http"}))
try:
    asyncio.run(resolve_public(target, SystemResolver(), timeout_s=0.01))
except UnresolvableHost:
    print("given up")
"""


def test_a_stuck_look_up_does_not_hold_up_the_end_of_the_process() -> None:
    # A process that waits for its look-ups would never end; the limit only turns that into a failure.
    done = subprocess.run(
        [sys.executable, "-c", STUCK], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (0, "given up\n"), done.stderr
