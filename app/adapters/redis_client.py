"""The asyncio client of Redis: every command ends in time, and a bounded number of them are under way."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.client import Pipeline
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeout

from app.adapters.redis_line import Line

_LUA: Final = Path(__file__).with_name("lua")
#: A time-out is counted in this many parts.
_TICKS: Final = 20
_SCRIPT: Final = "EVALSHA"


def open_client(address: str, timeout_s: float, *, max_in_flight: int = 32) -> Redis:
    """Make a client; it connects when the first command is sent.

    Make it inside the event loop that will use it, after any fork, and close it there with ``aclose()``: its
    connections belong to that loop. Replies are bytes.

    Parameters
    ----------
    address
        ``redis://``, ``rediss://`` or ``unix://`` URL. What its query names (``?db=1``) wins over our choices.
    timeout_s
        Every command and every pipeline ends within this many seconds in which the event loop is free to listen,
        waiting for a connection, connecting and logging in included, or raises `redis.exceptions.TimeoutError`. A
        client that sends blocking commands needs more than these wait.
    max_in_flight
        Connections at most, beside one that all scripts share: what requests wait for is scripts, and none of them
        blocks. Further commands wait, first come first served, within their own `timeout_s`.

    Notes
    -----
    Nothing is tried twice: a second try would spend the caller's time on a server that is away, and could count a
    request twice. A connection that the server closed while idle is noticed and replaced before it is used.
    """
    pool = ConnectionPool.from_url(
        address,
        # Above `max_in_flight`, so that the gate decides: a full pool raises, and BlockingConnectionPool, whose
        # waiters are overtaken, starved some past their time-out at 20 commands for 8 connections.
        max_connections=2 * max_in_flight,
        # The client's one deadline costs less (`socket_timeout` starts a task for each write), covers more, and does
        # not take a busy event loop for a slow server.
        socket_timeout=None,
        socket_connect_timeout=None,
        retry=Retry(NoBackoff(), 0),
        # No HELLO, no push messages; RESP3 measured the same a command.
        protocol=2,
        # No CLIENT SETINFO on each connection: Redis 6.2 does not know it.
        driver_info=None,
    )
    return _Client(pool, asyncio.Semaphore(max_in_flight), timeout_s)


def read_script(name: str) -> str:
    """Return the text of ``lua/{name}.lua``."""
    return (_LUA / f"{name}.lua").read_text(encoding="utf-8")


class _Client(Redis):
    """A client with one deadline and one gate for everything it sends."""

    def __init__(self, pool: ConnectionPool, gate: asyncio.Semaphore, timeout_s: float) -> None:
        super().__init__(connection_pool=pool)
        self.auto_close_connection_pool = True
        self._gate = gate
        self._timeout_s = timeout_s
        self._line = Line(pool)

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        if args[0] == _SCRIPT:
            return await self._run_script(args)
        async with _Deadline(self._timeout_s), self._gate, _closed_told(self.connection_pool):
            # redis-py leaves this one method without types.
            return await super().execute_command(*args, **options)  # type: ignore[no-untyped-call]

    async def aclose(self, close_connection_pool: bool | None = None) -> None:
        await self._line.aclose()
        await super().aclose(close_connection_pool)

    async def _run_script(self, command: tuple[Any, ...]) -> Any:
        try:
            async with _Deadline(self._timeout_s):
                return await self._line.ask(*command)
        except RedisTimeout:
            # Nothing tells a server that is slow from one that is gone without a word.
            self._line.leave()
            raise

    def pipeline(self, transaction: bool = True, shard_hint: str | None = None) -> "_Pipeline":
        return _Pipeline(self, self._gate, self._timeout_s, transaction, shard_hint)


class _Pipeline(Pipeline):
    """A pipeline that counts as one command."""

    def __init__(
        self, client: Redis, gate: asyncio.Semaphore, timeout_s: float, transaction: bool, shard_hint: str | None
    ) -> None:
        super().__init__(client.connection_pool, client.response_callbacks, transaction, shard_hint)
        self._gate = gate
        self._timeout_s = timeout_s

    async def execute(self, raise_on_error: bool = True) -> list[Any]:
        async with _Deadline(self._timeout_s), self._gate, _closed_told(self.connection_pool):
            return await super().execute(raise_on_error)


@asynccontextmanager
async def _closed_told(pool: ConnectionPool) -> AsyncGenerator[None]:
    """Turn what uvloop raises at a write to a connection that was reset into an error of Redis.

    redis-py neither expects it nor drops the connection then, so idle ones are dropped here: one reset is seldom alone.
    """
    try:
        yield
    except RuntimeError as error:
        await pool.disconnect(inuse_connections=False)
        raise RedisConnectionError("The connection was reset") from error


class _Deadline:
    """Ends what it surrounds after `timeout_s`, less the time in which the event loop was busy with something else.

    By the wall's time, a loop that is handling a hundred requests at once would call Redis slow while its answers lie
    unread in the sockets. Ticks come late to a busy loop, and between two of them it has looked at its sockets.
    """

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._ticks_left = _TICKS

    async def __aenter__(self) -> None:
        self._timeout = asyncio.timeout(None)
        await self._timeout.__aenter__()
        self._loop = asyncio.get_running_loop()
        self._timer = self._loop.call_later(self._timeout_s / _TICKS, self._tick)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._timer.cancel()
        try:
            await self._timeout.__aexit__(kind, error, traceback)
        except TimeoutError:
            raise RedisTimeout(f"No answer within {self._timeout_s} s") from None

    def _tick(self) -> None:
        self._ticks_left -= 1
        if self._ticks_left:
            self._timer = self._loop.call_later(self._timeout_s / _TICKS, self._tick)
        else:
            self._timeout.reschedule(self._loop.time())
