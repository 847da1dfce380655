"""A small HTTP load balancer between the tests' clients and several API processes."""

import asyncio
import itertools
import threading
from contextlib import suppress
from typing import Literal

#: What a client is told when no backend can take its request.
_NOBODY = b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n"
_CHECK_EVERY_S = 0.2
_CHECK_WITHIN_S = 2.0
_CHUNK_BYTES = 65536

Kind = Literal["told", "checking"]


class Balancer:
    """Passes requests on to backends in turn, each on a connection of its own; clients' connections are kept alive.

    Parameters
    ----------
    kind
        How it knows its backends. `told`: by `let_in` and `take_out` alone, and whatever goes wrong is the client's to
        see, as with a Service of Kubernetes. `checking`: it also asks each for /health/ready, five times a second, and
        where one refuses a connection the next is asked, as nginx and HAProxy do.
    """

    def __init__(self, kind: Kind) -> None:
        self._is_checking = kind == "checking"
        self._known: list[int] = []
        self._ready: set[int] = set()
        self._turns = itertools.count()
        self._loop = asyncio.new_event_loop()
        self._server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.port: int = self._server.sockets[0].getsockname()[1]
        self._checking = self._loop.create_task(self._keep_checking())
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def let_in(self, port: int) -> None:
        """Send requests to a backend from now on."""
        self._known.append(port)
        self._ready.add(port)

    def take_out(self, port: int) -> None:
        """Send it none any more; those that are there go on."""
        self._known.remove(port)
        self._ready.discard(port)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._server.close()

    async def _serve(self, client: asyncio.StreamReader, answers: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await client.readuntil(b"\r\n\r\n")
                body = await client.readexactly(_content_length(head))
                answers.write(await self._ask(head, body) or _NOBODY)
                await answers.drain()
        answers.close()

    async def _ask(self, head: bytes, body: bytes) -> bytes | None:
        """Ask one backend, or the next where it is not there; None where nobody is or the answer breaks off."""
        known = list(self._known)
        first = next(self._turns)
        for port in [known[(first + place) % len(known)] for place in range(len(known))]:
            if port not in self._ready:
                continue
            try:
                there, back = await asyncio.open_connection("127.0.0.1", port)
            except ConnectionRefusedError:
                if self._is_checking:
                    continue
                return None
            try:
                back.write(head[:-2] + b"Connection: close\r\n\r\n" + body)
                await back.drain()
                answer = await there.readuntil(b"\r\n\r\n")
                length = _content_length(answer)
                return answer.replace(b"connection: close\r\n", b"") + await there.readexactly(length)
            except (ConnectionError, asyncio.IncompleteReadError):
                return None
            finally:
                back.close()
        return None

    async def _keep_checking(self) -> None:
        while self._is_checking:
            for port in list(self._known):
                if await _is_ready(port):
                    self._ready.add(port)
                else:
                    self._ready.discard(port)
            await asyncio.sleep(_CHECK_EVERY_S)


async def _is_ready(port: int) -> bool:
    with suppress(OSError, asyncio.IncompleteReadError, TimeoutError):
        async with asyncio.timeout(_CHECK_WITHIN_S):
            there, back = await asyncio.open_connection("127.0.0.1", port)
            try:
                back.write(b"GET /health/ready HTTP/1.1\r\nHost: b\r\nConnection: close\r\n\r\n")
                return (await there.readuntil(b"\r\n")).startswith(b"HTTP/1.1 200 ")
            finally:
                back.close()
    return False


def _content_length(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line.partition(b":")[2])
    return 0
