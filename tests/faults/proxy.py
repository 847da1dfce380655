"""A TCP proxy that misbehaves on demand, between the service and what it needs."""

import asyncio
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Literal

Fault = Literal["slow", "reset", "hole", "500", "503"]
_CHUNK_BYTES = 65536
#: What `slow` adds to each chunk.
SLOW_S = 3.0
#: What `500` and `503` say to whatever an HTTP client sends, and hang up: nothing reaches the server.
_HTTP_ANSWER = b"HTTP/1.1 %s Broken\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class Proxy:
    """Passes bytes on to a port of this machine; while a fault is on, it delays, resets, swallows or refuses them."""

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self._fault: Fault | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.port: int = self._server.sockets[0].getsockname()[1]
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    @contextmanager
    def failing(self, fault: Fault) -> Iterator[None]:
        """Misbehave meanwhile, connections that are open included."""
        self._fault = fault
        if fault == "reset":
            self._loop.call_soon_threadsafe(self._reset_all)
        try:
            yield
        finally:
            self._fault = None

    def close(self) -> None:
        """End it, and every connection."""
        self._loop.call_soon_threadsafe(self._reset_all)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            if self._fault == "reset":
                _reset(writer)
                return
            with suppress(OSError):
                there, back = await asyncio.open_connection("127.0.0.1", self._target_port)
                self._open.add(back)
                try:
                    await asyncio.gather(self._pass_on(reader, back, writer), self._pass_on(there, writer, None))
                finally:
                    self._open.discard(back)
                    back.close()
        finally:
            self._open.discard(writer)
            writer.close()

    async def _pass_on(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, asker: asyncio.StreamWriter | None
    ) -> None:
        while chunk := await source.read(_CHUNK_BYTES):
            if self._fault == "slow":
                await asyncio.sleep(SLOW_S)
            if self._fault == "hole":
                continue  # gone: nobody will ever answer it
            if self._fault in {"500", "503"} and asker is not None:
                asker.write(_HTTP_ANSWER % self._fault.encode())
                asker.close()
                break
            sink.write(chunk)
            await sink.drain()
        with suppress(OSError):
            sink.write_eof()

    def _reset_all(self) -> None:
        for writer in list(self._open):
            _reset(writer)


def _reset(writer: asyncio.StreamWriter) -> None:
    # Without lingering, closing sends RST.
    link = writer.get_extra_info("socket")
    if link is not None:
        link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
