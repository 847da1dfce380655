"""Web servers on this machine for the tests of what goes out, and names that lead to them."""

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from ipaddress import ip_address
from typing import Any, NamedTuple, TypeVar

import trustme
import uvloop

from app.service.addresses import Address, is_public
from app.service.netguard import PORTS, Resolver
from app.service.outbound import Outbound

#: Stands for a public address: `outbound_to` lets it through, and it alone.
PUBLIC = "127.0.0.2"
#: Stands for what must never be connected to.
PRIVATE = "127.0.0.1"

Result = TypeVar("Result")


class Request(NamedTuple):
    """What a server was asked."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes


Handler = Callable[[Request, asyncio.StreamWriter], Awaitable[None]]


def run(scenario: Coroutine[Any, Any, Result]) -> Result:
    """Run a scenario on the service's own kind of event loop; what never ends fails after a minute."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(asyncio.wait_for(scenario, 60))


class Web:
    """One web server: what it was asked, and how often it was connected to."""

    def __init__(self) -> None:
        self.port = 0
        self.connections = 0
        self.requests: list[Request] = []
        self.hung_up = asyncio.Event()


@asynccontextmanager
async def serving(
    handler: Handler | bytes, *, address: str = PUBLIC, port: int = 0, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Web]:
    """Serve `handler`'s answers, or one answer for everything; every connection carries one request."""
    web = Web()
    open_now: set[asyncio.Task[Any]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        web.connections += 1
        this = asyncio.current_task()
        open_now.add(this)
        try:
            request = await _read(reader)
            web.requests.append(request)
            answering = asyncio.create_task(_answer(handler, request, writer))
            gone = asyncio.create_task(reader.read())
            await asyncio.wait({answering, gone}, return_when=asyncio.FIRST_COMPLETED)
            if gone.done():
                web.hung_up.set()
            # Neither outlives the other.
            for task in (answering, gone):
                task.cancel()
            for outcome in await asyncio.gather(answering, gone, return_exceptions=True):
                if isinstance(outcome, Exception):
                    raise outcome
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()
            open_now.discard(this)

    server = await asyncio.start_server(connected, address, port, ssl=tls)
    web.port = server.sockets[0].getsockname()[1]
    try:
        yield web
    finally:
        server.close()
        for task in open_now:
            task.cancel()
        await asyncio.gather(*open_now, return_exceptions=True)


async def _answer(handler: Handler | bytes, request: Request, writer: asyncio.StreamWriter) -> None:
    if isinstance(handler, bytes):
        writer.write(handler)
    else:
        await handler(request, writer)
    await writer.drain()


async def _read(reader: asyncio.StreamReader) -> Request:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    method, target, _ = head[0].split(" ")
    headers = dict(line.split(": ", 1) for line in head[1:] if line)
    body = await reader.readexactly(int(headers.get("Content-Length", 0)))
    return Request(method, target, headers, body)


def answer(status: str, body: bytes = b"", **headers: str) -> bytes:
    """Write an answer; ``Content-Length`` tells the truth unless a header of that name is given."""
    fields = {"Content_Length": str(len(body)), **headers}
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in fields.items())
    return f"HTTP/1.1 {status}\r\n{lines}\r\n".encode() + body


async def stall(*_: Any) -> None:
    """Say nothing until the other side hangs up; serves as a handler."""
    await asyncio.Event().wait()


def server_side(authority: trustme.CA, name: str) -> ssl.SSLContext:
    """Hold a certificate for `name`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    return context


def client_side(authority: trustme.CA) -> ssl.SSLContext:
    """Trust `authority`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority.configure_trust(context)
    return context


def reset(writer: asyncio.StreamWriter) -> None:
    """Break a connection off with a reset instead of an orderly end."""
    link: socket.socket = writer.get_extra_info("socket")
    link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


class Names:
    """A name server whose answers are written down, each as addresses with spaces between them.

    Of a list, the first look-up gets the first, and those after the last get the last again. Other names do not exist.
    """

    def __init__(self, answers: Mapping[str, str | list[str]]) -> None:
        self._answers = {name: [rows] if isinstance(rows, str) else rows for name, rows in answers.items()}
        self.asked: list[str] = []

    async def __call__(self, host: str) -> list[Address]:
        """Answer what was written down."""
        if host not in self._answers:
            raise socket.gaierror(socket.EAI_NONAME, "unknown")
        rows = self._answers[host]
        row = rows[min(self.asked.count(host), len(rows) - 1)]
        self.asked.append(host)
        return [ip_address(text) for text in row.split()]


@asynccontextmanager
async def outbound(
    names: Resolver | None = None, *, port: int, more_ports: Sequence[int] = (), **options: Any
) -> AsyncIterator[Outbound]:
    """Send requests for which `PUBLIC` is public, and these ports are ports of web servers."""
    names = names or Names({"pub.test": PUBLIC})
    client = Outbound(
        names,
        allowed=lambda address: str(address) == PUBLIC or is_public(address),
        ports=PORTS | {port, *more_ports},
        **options,
    )
    try:
        yield client
    finally:
        await client.close()
