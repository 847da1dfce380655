"""What the CDN origin costs where it need not make anything: `python -m perf.cdn`.

Against one running service, in turn in short rounds: an empty route (`/health/live`), a 304, and stored variants. The
ratio is CPU of all the service's processes for the one over that for the empty route, round by round. How long answers
take, alone and beside a storm of new URLs, is told by `python -m perf.load`.

The source is an object of the account's own, so that no other server has a share in the figures.
"""

import argparse
import os
import socket
import statistics
import time
from typing import Final

from perf.bare import photograph
from perf.cdn_customer import CdnCustomer, create_customer
from perf.running import RunningService

_MODERN: Final = "image/avif,image/webp,*/*;q=0.8"
_EMPTY: Final = "empty route"
_SMALL: Final = "f:webp,q:50,w:200"
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


def write_request(path: str, *, known: bytes = b"") -> bytes:
    """Write a GET of `path`; `known` is the entity tag that the client has."""
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


def compare(service: RunningService, customer: CdnCustomer, *, rounds: int, count: int) -> None:
    """Measure the empty route, a 304 and variants of three sizes, and print the ratios."""
    sizes = {
        name: write_request(customer.sign(options))
        for name, options in {"small": _SMALL, "large": "f:jpeg,q:75"}.items()
    }
    works: dict[str, tuple[bytes, int]] = {_EMPTY: (b"GET /health/live HTTP/1.1\r\nHost: perf\r\n\r\n", 200)}
    for name, request in sizes.items():
        head = wait_until_kept(service, request)
        size = int(_field(head, b"content-length"))
        works[f"variant of {size} bytes"] = request, 200
        if name == "small":
            works["304"] = write_request(customer.sign(_SMALL), known=_field(head, b"etag")), 304
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


def _field(head: bytes, name: bytes) -> bytes:
    found = head.find(b"\r\n" + name + b": ")
    return head[found + len(name) + 4 :].split(b"\r", 1)[0] if found >= 0 else b""


def _tell(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - a command's answer


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--count", type=int, default=2000, help="requests of each kind in a round")
    asked = parser.parse_args()
    with RunningService({"API_WORKERS": "1"}) as service:
        customer = create_customer(service, [photograph(1000, 667)])
        _tell(f"{os.cpu_count()} cores, {asked.rounds} rounds of {asked.count} requests\n")
        compare(service, customer, rounds=asked.rounds, count=asked.count)


if __name__ == "__main__":
    main()
