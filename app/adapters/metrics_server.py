"""Serves the metrics of all processes of one machine at one port, which one of them holds at a time.

Each process answers for itself at a unix socket of its own. The one that has the port asks them all when it is asked,
and when it ends another takes the port. So no count is ever written to a file, nothing has to be added up, and of a
process that died nothing is left but a socket that refuses, which is removed.
"""

import asyncio
import contextlib
import os
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import msgspec
import structlog
from aiohttp import web

from app.adapters.metric_families import Family, Snapshot, render

_log = structlog.get_logger(__name__)
#: How soon the port of a process that ended is another's.
_RETRY_S: Final = 1.0
#: A process that takes longer to answer is left out, for Prometheus itself waits 10 s.
_PATIENCE_S: Final = 5.0
#: Requests of the port that may still be answered when this process ends.
_DRAIN_S: Final = 1.0


class MetricsServer:
    """One process' part in it.

    Parameters
    ----------
    role
        What this process was started as.
    read
        Takes this process' metrics.
    folder
        Where the processes that share a port have their sockets; made where it is not there.

    Attributes
    ----------
    is_alive
        What `/health/live` asks, in the process that has the port.
    """

    def __init__(
        self, role: str, read: Callable[[], Awaitable[list[Family]]], *, host: str, port: int, folder: Path
    ) -> None:
        self.is_alive: Callable[[], bool] = lambda: True
        self._role = role
        self._read = read
        self._host, self._port = host, port
        self._folder = folder

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Answer, here or through whichever process has the port."""
        own = self._folder / str(os.getpid())
        socket = await self._listen(own)
        holding = asyncio.create_task(self._hold_port())
        try:
            yield
        finally:
            holding.cancel()
            await asyncio.gather(holding, return_exceptions=True)
            if socket is not None:
                socket.close()
            _leave(own)

    async def _listen(self, own: Path) -> asyncio.Server | None:
        try:
            _make_room(own)
            return await asyncio.start_unix_server(self._tell, own)
        except OSError as error:
            # What this process counts is there all the same, where it has the port itself.
            _log.warning("the metrics of this process are its own", reason=str(error))
            return None

    async def _tell(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            writer.write(msgspec.msgpack.encode(await self._take()))
            await writer.drain()
        except OSError:
            return
        finally:
            writer.close()

    async def _take(self) -> Snapshot:
        return Snapshot(self._role, os.getpid(), await self._read())

    async def _hold_port(self) -> None:
        """Serve the port, as soon as it is free."""
        server = web.Server(self._answer, access_log=None)
        told = ""
        while True:
            try:
                listening = await asyncio.get_running_loop().create_server(server, self._host, self._port)
                break
            except OSError as error:
                if str(error) != told:
                    told = str(error)
                    _log.info("the metrics port is not this process'", reason=told)
                await asyncio.sleep(_RETRY_S)
        try:
            _log.info("metrics are served", host=self._host, port=self._port)
            await asyncio.Event().wait()
        finally:
            listening.close()
            await server.shutdown(_DRAIN_S)

    async def _answer(self, request: web.BaseRequest) -> web.Response:
        if request.path == "/metrics":
            page, content_type = render(await self._ask_all(), request.headers.get("Accept", ""))
            return web.Response(body=page, headers={"Content-Type": content_type})
        if request.path == "/health/live":
            is_alive = self.is_alive()
            return web.Response(text="alive\n" if is_alive else "stuck\n", status=200 if is_alive else 503)
        return web.Response(text="Here are /metrics and /health/live.\n", status=404)

    async def _ask_all(self) -> list[Snapshot]:
        own = str(os.getpid())
        try:
            others = [path for path in self._folder.iterdir() if path.name != own]
        except OSError:
            others = []
        mine, answers = await asyncio.gather(self._take(), asyncio.gather(*map(_ask, others)))
        return [mine, *(snapshot for snapshot in answers if snapshot is not None)]


async def _ask(path: Path) -> Snapshot | None:
    """Ask another process; None where it has ended, or does not answer in time."""
    try:
        async with asyncio.timeout(_PATIENCE_S):
            reader, writer = await asyncio.open_unix_connection(path)
            try:
                return msgspec.msgpack.decode(await reader.read(), type=Snapshot)
            finally:
                writer.close()
    except ConnectionRefusedError:
        _remove_if_ended(path)
    except (OSError, TimeoutError, msgspec.DecodeError) as error:
        _log.warning("a process does not tell its metrics", pid=path.name, reason=str(error) or "It took too long.")
    return None


def _make_room(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.unlink(missing_ok=True)  # of a process of that id, in a container that ran here before


def _leave(path: Path) -> None:
    with contextlib.suppress(OSError):  # others have theirs there
        path.unlink(missing_ok=True)
        path.parent.rmdir()


def _remove_if_ended(path: Path) -> None:
    # A process that is just starting refuses for a moment, too.
    with contextlib.suppress(ValueError, PermissionError):
        try:
            os.kill(int(path.name), 0)
        except ProcessLookupError:
            path.unlink(missing_ok=True)
