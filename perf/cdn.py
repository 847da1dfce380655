"""What the CDN origin costs where it need not make anything: `python -m perf.cdn`.

Against one running service, in turn in short rounds: an empty route (`/health/live`), a 304, and stored variants. The
ratio is CPU of all the service's processes for the one over that for the empty route, round by round. Then cold storms,
of URLs that nobody has asked for, beside one client whose URL is kept: its p99, over the p99 when all is quiet. Beside
strangers that take all processors, as nice as encode processes, the same tells how much is for want of a processor.

The source is an object of the account's own, so that no other server has a share in the figures.
"""

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Final

from app.service.cdn.signing import sign
from perf.bare import photograph
from perf.running import RunningService

_ACCOUNT: Final = "perf"
_PREFIX: Final = "cdn-perf"
_MODERN: Final = "image/avif,image/webp,*/*;q=0.8"
_EMPTY: Final = "empty route"
#: Connections that one round uses: enough that the event loop is never idle.
_CONNECTIONS: Final = 8


class Link:
    """One connection, kept alive."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._left = b""

    def send(self, request: bytes) -> None:
        """Send a request."""
        self._socket.sendall(request)

    def receive(self) -> tuple[int, bytes]:
        """Read the answer; return its status and its head."""
        data = self._left
        while (end := data.find(b"\r\n\r\n")) < 0:
            data += self._more()
        head, status = data[:end].lower(), int(data[9:12])
        found = head.find(b"content-length: ")
        length = int(head[found + 16 :].split(b"\r", 1)[0]) if found >= 0 and status != 304 else 0  # has no body
        while len(data) < end + 4 + length:
            data += self._more()
        self._left = data[end + 4 + length :]
        return status, head

    def close(self) -> None:
        """Hang up."""
        self._socket.close()

    def _more(self) -> bytes:
        data = self._socket.recv(1 << 18)
        if not data:
            raise RuntimeError("the service hung up")
        return data


class Customer:
    """An account whose pictures are its own, on a running service."""

    def __init__(self, service: RunningService) -> None:
        service.put_object(f"{_PREFIX}/photo.jpg", photograph(1000, 667))
        made = json.loads(service.run("cdn", "create-key", "--account", _ACCOUNT, "--json"))
        service.run("cdn", "set", "--account", _ACCOUNT, "--bucket-prefix", _PREFIX)
        self._id, self._secret = made["id"], made["secret"]

    def request(self, options: str, *, known: bytes = b"") -> bytes:
        """Write the request of a picture."""
        path = sign(self._secret, self._id, options, "own:photo.jpg")
        condition = b"If-None-Match: " + known + b"\r\n" if known else b""
        return f"GET {path} HTTP/1.1\r\nHost: perf\r\nAccept: {_MODERN}\r\n".encode() + condition + b"\r\n"


def spend(service: RunningService, request: bytes, wanted: int, count: int) -> float:
    """Send a request `count` times; return the CPU seconds that all the service's processes spent."""
    links = [Link(service.port) for _ in range(_CONNECTIONS)]
    begun = service.cpu_s()
    for _ in range(count // _CONNECTIONS):
        for link in links:
            link.send(request)
        for link in links:
            status, _ = link.receive()
            if status != wanted:
                raise RuntimeError(f"the service answered {status}")
    spent = service.cpu_s() - begun
    for link in links:
        link.close()
    return spent


def compare(service: RunningService, customer: Customer, *, rounds: int, count: int) -> None:
    """Measure the empty route, a 304 and variants of three sizes, and print the ratios."""
    sizes = {
        name: customer.request(options)
        for name, options in {"small": "f:webp,q:50,w:200", "large": "f:jpeg,q:75"}.items()
    }
    works: dict[str, tuple[bytes, int]] = {_EMPTY: (b"GET /health/live HTTP/1.1\r\nHost: perf\r\n\r\n", 200)}
    for name, request in sizes.items():
        head = wait_until_kept(service, request)
        size = int(_field(head, b"content-length"))
        works[f"variant of {size} bytes"] = request, 200
        if name == "small":
            works["304"] = customer.request("f:webp,q:50,w:200", known=_field(head, b"etag")), 304
    spent: dict[str, list[float]] = {name: [] for name in works}
    for turn in range(rounds + 1):
        for name in works if turn % 2 else reversed(works):
            request, wanted = works[name]
            cpu_s = spend(service, request, wanted, count)
            if turn:  # the first warms up
                spent[name].append(cpu_s)
    _tell("| answer | CPU us | over the empty route | quartiles |\n| --- | --- | --- | --- |")
    for name, times in spent.items():
        ratios = [one / empty for one, empty in zip(times, spent[_EMPTY], strict=True)]
        low, middle, high = statistics.quantiles(ratios, n=4)
        _tell(f"| {name} | {1e6 * statistics.median(times) / count:.0f} | {middle:.2f} | {low:.2f}-{high:.2f} |")


def weather(service: RunningService, customer: Customer, *, urls: int, clients: int, quiet_s: float) -> None:
    """Measure hits when all is quiet, beside strangers that take all processors, and beside a storm of cold URLs."""
    hit = customer.request("f:jpeg,q:75")
    wait_until_kept(service, hit)
    with ThreadPoolExecutor(clients + 1) as threads:
        times: dict[str, list[float]] = {}
        with _timing_hits(threads, service, hit, times, "quiet"):
            time.sleep(quiet_s)
        with _timing_hits(threads, service, hit, times, "beside busy strangers"), _strangers(os.cpu_count() or 1):
            time.sleep(quiet_s)
        # Each a width of its own, or a quality.
        requests = [customer.request(f"f:auto,q:{50 + number // 500},w:{100 + number % 500}") for number in range(urls)]
        shares = [requests[number::clients] for number in range(clients)]
        begun = time.monotonic()
        with _timing_hits(threads, service, hit, times, "beside the storm"):
            told = Counter(
                one for share in threads.map(lambda share: _ask_all(service, share), shares) for one in share
            )
        took_s = time.monotonic() - begun
    _tell(f"\n{urls} cold URLs from {clients} clients took {took_s:.1f} s: {dict(told)}\n")
    _tell("| hits | count | p50 ms | p99 ms | p99 over quiet |\n| --- | --- | --- | --- | --- |")
    for name, each_ms in times.items():
        p50, p99 = _percentile(each_ms, 50), _percentile(each_ms, 99)
        _tell(f"| {name} | {len(each_ms)} | {p50:.2f} | {p99:.2f} | {p99 / _percentile(times['quiet'], 99):.2f} |")


@contextmanager
def _timing_hits(
    threads: ThreadPoolExecutor, service: RunningService, request: bytes, times: dict[str, list[float]], name: str
) -> Iterator[None]:
    over = threading.Event()
    timing = threads.submit(_time_hits, service, request, over)
    try:
        yield
    finally:
        over.set()
        times[name] = timing.result()


@contextmanager
def _strangers(count: int) -> Iterator[None]:
    """Keep so many processors busy, as nicely as encode processes do, without a service."""
    command = ["nice", "-n", "5", sys.executable, "-c", "while True: pass"]
    spinning = [subprocess.Popen(command) for _ in range(count)]
    try:
        yield
    finally:
        for one in spinning:
            one.kill()
            one.wait()


def wait_until_kept(service: RunningService, request: bytes) -> bytes:
    """Ask until the answer comes from what is kept; return its head."""
    end = time.monotonic() + 60
    link = Link(service.port)
    while time.monotonic() < end:
        link.send(request)
        status, head = link.receive()
        if status == 200 and _field(head, b"x-cache") == b"hit" and _field(head, b"x-variant") == b"final":
            link.close()
            return head
        time.sleep(0.05)
    raise RuntimeError("the picture was never kept")


def _time_hits(service: RunningService, request: bytes, over: threading.Event) -> list[float]:
    """Ask about 100 times a second; return how long each answer took, in milliseconds."""
    link, times = Link(service.port), []
    while not over.is_set():
        time.sleep(0.01)
        begun = time.monotonic()
        link.send(request)
        link.receive()
        times.append(1e3 * (time.monotonic() - begun))
    link.close()
    return times


def _ask_all(service: RunningService, requests: list[bytes]) -> list[str]:
    """Ask one after the other; tell of each what came."""
    link, told = Link(service.port), []
    for request in requests:
        link.send(request)
        status, head = link.receive()
        told.append(f"{status} {_field(head, b'x-variant').decode()}".strip())
    link.close()
    return told


def _field(head: bytes, name: bytes) -> bytes:
    found = head.find(b"\r\n" + name + b": ")
    return head[found + len(name) + 4 :].split(b"\r", 1)[0] if found >= 0 else b""


def _percentile(times: list[float], percent: int) -> float:
    return statistics.quantiles(times, n=100)[percent - 1]


def _tell(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - a command's answer


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--count", type=int, default=2000, help="requests of each kind in a round")
    parser.add_argument("--urls", type=int, default=1000)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--quiet-s", type=float, default=15.0)
    asked = parser.parse_args()
    with RunningService({"API_WORKERS": "1"}) as service:
        customer = Customer(service)
        _tell(f"{os.cpu_count()} cores, {asked.rounds} rounds of {asked.count} requests\n")
        compare(service, customer, rounds=asked.rounds, count=asked.count)
        weather(service, customer, urls=asked.urls, clients=asked.clients, quiet_s=asked.quiet_s)


if __name__ == "__main__":
    main()
