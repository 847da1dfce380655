"""Many clients that break off at once, and what a service holds before and after them."""

import contextlib
import re
import resource
import select
import socket
import struct
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.snapshots import descriptors_of
from tests.whole.jobs import QUICK, SMALL, is_soon, stored
from tests.whole.service import COMPRESS, Api, Service

KB = 1024
#: Of the service that crowds come to: one encode process, small uploads, and nothing written for an answer.
SETTINGS = {
    "ENCODE_PROCESSES": "1",
    "WAITING_PER_SLOT": "4",
    "SYNC_MAX_BYTES": str(64 * KB),
    "KEEP_SYNC_RESULTS": "false",
    "REUSE_RESULTS": "false",
}
#: As many buffers as `SETTINGS` keep warm, one for the process and one for each that may wait; two descriptors each,
#: because mapping one duplicates it.
_WARM_DESCRIPTORS = 2 * (1 + 4)
_RESET = struct.pack("ii", 1, 0)
_ENDS_WITHIN_S = 30
_MOST_TURNS = 6


class Crowd:
    """Connections to a service that all send the same, in one thread.

    Parameters
    ----------
    sent
        What each sends, as far as the service takes it.
    receive_bytes
        The clients' receive buffer; small, so that an answer stands still half-way.
    """

    def __init__(self, service: Service, count: int, sent: bytes, *, receive_bytes: int | None = None) -> None:
        self._links = [self._connect(service, receive_bytes) for _ in range(count)]
        for link in self._links:
            link.sendall(sent)

    @staticmethod
    def _connect(service: Service, receive_bytes: int | None) -> socket.socket:
        link = socket.socket()
        link.settimeout(_ENDS_WITHIN_S)
        if receive_bytes is not None:
            link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        link.connect(("127.0.0.1", service.port))
        return link

    def read_some(self) -> None:
        """Wait until each has the beginning of an answer."""
        for link in self._links:
            assert link.recv(64).startswith(b"HTTP/1.1 ")

    def half_close(self) -> None:
        """Say that no more comes, and go on listening."""
        for link in self._links:
            link.shutdown(socket.SHUT_WR)

    def wait_for_ends(self, within_s: float = _ENDS_WITHIN_S) -> None:
        """Fail unless the service ends every connection."""
        left, end = set(self._links), time.monotonic() + within_s
        while left:
            assert time.monotonic() < end, f"{len(left)} connections are still open"
            for link in select.select(left, [], [], 1)[0]:
                with contextlib.suppress(ConnectionResetError):
                    if link.recv(64 * KB):
                        continue
                left.discard(link)

    def leave(self) -> None:
        """Hang up, every other one by a reset."""
        for number, link in enumerate(self._links):
            if number % 2:
                link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            link.close()


@contextmanager
def open_files(most: int) -> Iterator[None]:
    """Give this process, and those that it starts, this soft limit of descriptors meanwhile."""
    before, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (before, hard))


def upload(key: str | None, file: bytes, *, missing: int = 0) -> bytes:
    """A request with that file, whose last bytes are missing."""
    body = b'--x\r\nContent-Disposition: form-data; name="quality"\r\n\r\n50\r\n'
    body += b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n' + file + b"\r\n--x--\r\n"
    head = (
        f"POST {COMPRESS} HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer {key}\r\n"
        f"Content-Type: multipart/form-data; boundary=x\r\nContent-Length: {len(body) + missing}\r\n\r\n"
    )
    return head.encode() + body[: len(body) - 8 if missing else None]


def held(service: Service) -> Counter[str]:
    """What the API's event-loop processes have open, by kind."""
    found: Counter[str] = Counter()
    for pid, line in service.pids().items():
        if not line.rstrip().endswith("-m app api"):
            continue
        unix = {row.split()[6] for row in Path(f"/proc/{pid}/net/unix").read_text().splitlines()[1:]}
        found.update(_kind(target, unix) for target in descriptors_of(pid).values())
    return found


def _kind(target: str, unix: set[str]) -> str:
    inode = re.fullmatch(r"socket:\[(\d+)\]", target)
    if inode:
        # Those to Redis and to encode processes.
        return "unix socket" if inode[1] in unix else "connection"
    return "upload" if "compressorize-upload" in target else re.sub(r"\[\d+\]|\d+", "", target)


def nothing_stays(service: Service, client: Api, act: Callable[[], None], *, most_growth: int) -> int:
    """Let a crowd act again and again, then find the service as it was; return by how much the last grew its memory.

    What allocators keep for the next crowd goes up and down by more than what one leaves; a leak goes up each time.
    Connections to Redis are kept too; their number is the pool's to bound.
    """
    # What a crowd has sent in full is compressed to its end: until then the waiting room may be full.
    assert is_soon(lambda: client.compress(SMALL, **QUICK).status_code == 200)
    before, files = held(service), set(stored(service))

    def is_as_before() -> bool:
        now = held(service)
        kinds = set(now) - {"unix socket", "upload"}
        return all(now[kind] <= before[kind] for kind in kinds) and now["upload"] <= _WARM_DESCRIPTORS

    growth = 0
    for turn in range(_MOST_TURNS):
        memory = service.api_memory()
        act()
        assert is_soon(lambda: client.compress(SMALL, **QUICK).status_code == 200), "no encode process is free"
        assert is_soon(is_as_before), f"left open: {held(service) - before}"
        growth = service.api_memory() - memory
        if turn and growth <= most_growth:
            break
    assert is_soon(lambda: files.issuperset(stored(service))), f"left in the store: {set(stored(service)) - files}"
    assert growth <= most_growth, f"{growth} bytes more"
    return growth
