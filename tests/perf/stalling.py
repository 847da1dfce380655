"""A real server with known delays, for the load harness to find out."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from aiohttp import web

COMPRESS = "/api/v1/compress"


class Reply(NamedTuple):
    """What the server says to every upload."""

    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b"x" * 100


_FINE = Reply()


class Stalling:
    """Answers each upload after `delay_s`; between `stall_s` after the first request, all wait for its end.

    With `slots`, it works on so many at a time and lets as many wait; the others are told 503.

    Attributes
    ----------
    bodies
        What came, in order.
    """

    def __init__(
        self,
        *,
        delay_s: float = 0.0,
        stall_s: tuple[float, float] = (0, 0),
        reply: Reply = _FINE,
        slots: int = 10**6,
    ) -> None:
        self._delay_s, self._stall_s, self._reply = delay_s, stall_s, reply
        self._room, self._slots = 2 * slots, asyncio.Semaphore(slots)
        self._first_at: float | None = None
        self._polls = 0
        self.bodies: list[bytes] = []
        self.url = ""

    async def compress(self, request: web.Request) -> web.Response:
        self.bodies.append(await request.read())
        loop = asyncio.get_running_loop()
        if self._first_at is None:
            self._first_at = loop.time()
        since_s = loop.time() - self._first_at
        begin_s, end_s = self._stall_s
        if not self._room:
            return web.Response(status=503, headers={"Retry-After": "1"}, body=b"{}")
        self._room -= 1
        async with self._slots:
            await asyncio.sleep(end_s - since_s if begin_s <= since_s < end_s else self._delay_s)
        self._room += 1
        return web.Response(status=self._reply.status, headers=dict(self._reply.headers), body=self._reply.body)

    async def openapi(self, request: web.Request) -> web.Response:
        return web.json_response({"info": {"version": "1.2.3"}})

    async def unknown(self, request: web.Request) -> web.Response:
        return web.Response(status=401 if "wrong" in request.headers["Authorization"] else 404)

    async def status(self, request: web.Request) -> web.Response:
        self._polls += 1
        ended = self._polls % 3 == 0
        story = {"status": "complete", "download_url": "/api/v1/download/a"} if ended else {"status": "processing"}
        return web.json_response(story)

    async def download(self, request: web.Request) -> web.Response:
        return web.Response(status=302, headers={"Location": "/file"})

    async def file(self, request: web.Request) -> web.Response:
        assert "Authorization" not in request.headers, "the key went along to where the link points"
        return web.Response(body=b"y" * 77)


@contextmanager
def serving(server: Stalling) -> Iterator[Stalling]:
    """Run it in a thread with an event loop of its own."""
    started, loop = threading.Event(), asyncio.new_event_loop()

    async def start() -> web.AppRunner:
        app = web.Application(client_max_size=2**25)
        app.router.add_post(COMPRESS, server.compress)
        app.router.add_get("/api/v1/status/a", server.status)
        app.router.add_get("/api/v1/status/0", server.unknown)
        app.router.add_get("/api/v1/download/a", server.download)
        app.router.add_get("/openapi.json", server.openapi)
        app.router.add_get("/file", server.file)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        server.url = f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"
        return runner

    def run() -> None:
        asyncio.set_event_loop(loop)
        runner = loop.run_until_complete(start())
        started.set()
        loop.run_forever()
        loop.run_until_complete(runner.cleanup())
        loop.close()

    thread = threading.Thread(target=run)
    thread.start()
    started.wait()
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
