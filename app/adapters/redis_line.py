"""One connection to Redis for many commands at a time: replies come in the order in which commands were sent.

A command on a connection of its own costs the event loop 0.15 to 0.2 ms, much of it for the pool, the turns of two
sockets and redis-py's layers. What is sent in one turn of the loop goes out together here, and what comes back together
is read together: 0.1 ms where four are under way, 0.05 where sixteen are. Not for commands that block, which would hold
up all behind them, nor for transactions.
"""

import asyncio
from collections import deque
from typing import Any

from redis.asyncio import ConnectionPool
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError, ResponseError


class Line:
    """Connects when it is first asked, and again after it broke. It belongs to one event loop.

    Parameters
    ----------
    pool
        Says how to connect; the connection is none of its own.
    """

    def __init__(self, pool: ConnectionPool) -> None:
        self._pool = pool
        self._connecting = asyncio.Lock()
        #: The newest, and those that are left to whoever still waits for them.
        self._connected: _Connected | None = None
        self._left: set[_Connected] = set()

    async def ask(self, *command: Any) -> Any:
        """Send a command and return its reply; without an end of its own.

        Raises
        ------
        ResponseError
            What the server answered.
        RedisError
            There is no connection, or it broke: the command may have been carried out.
        """
        return await (self._live() or await self._connect()).ask(command)

    def leave(self) -> None:
        """Send nothing more on a connection that does not answer; who waits for it may get a reply yet."""
        if (connected := self._live()) is not None:
            connected.leave()
            self._left = {one for one in (*self._left, connected) if not one.is_over}

    async def aclose(self) -> None:
        """Hang up."""
        for connected in (*self._left, *filter(None, (self._connected,))):
            connected.end(RedisConnectionError("The client was closed"))
            await connected.ended()

    def _live(self) -> "_Connected | None":
        connected = self._connected
        return None if connected is None or connected.is_left or connected.is_over else connected

    async def _connect(self) -> "_Connected":
        async with self._connecting:
            if (connected := self._live()) is None:
                # redis-py leaves this one method without types.
                connection = self._pool.make_connection()  # type: ignore[no-untyped-call]
                try:
                    await connection.connect()
                except BaseException:
                    await connection.disconnect(nowait=True)
                    raise
                connected = self._connected = _Connected(connection)
            return connected


class _Connected:
    """A connection until it breaks.

    Attributes
    ----------
    is_left
        Nothing more is to be asked.
    is_over
        Nothing more is answered.
    """

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._waiting: deque[asyncio.Future[Any]] = deque()
        self._unsent: list[bytes] = []
        self._has_unsent = asyncio.Event()
        self.is_left = self.is_over = False
        self._works = [asyncio.create_task(work) for work in (self._write(), self._read())]
        self._hanging_up: asyncio.Task[None] | None = None

    def ask(self, command: tuple[Any, ...]) -> asyncio.Future[Any]:
        """Send a command; the reply. Who does not wait for it any more leaves its place in the order to it."""
        reply = asyncio.get_running_loop().create_future()
        self._unsent += self._connection.pack_command(*command)
        self._waiting.append(reply)
        self._has_unsent.set()
        return reply

    def leave(self) -> None:
        """Hang up when nobody waits any more."""
        self.is_left = True
        for reply in self._waiting:
            reply.add_done_callback(lambda _: self._end_if_idle())
        self._end_if_idle()

    def end(self, error: RedisError) -> None:
        """Tell all who wait, and hang up."""
        if self.is_over:
            return
        self.is_over = True
        for reply in self._waiting:
            if not reply.done():
                reply.set_exception(type(error)(*error.args))
        for work in self._works:
            work.cancel()
        self._hanging_up = asyncio.create_task(self._connection.disconnect(nowait=True))

    async def ended(self) -> None:
        """Wait until nothing of it is left."""
        left = [*self._works, *([] if self._hanging_up is None else [self._hanging_up])]
        await asyncio.gather(*left, return_exceptions=True)

    def _end_if_idle(self) -> None:
        if all(reply.done() for reply in self._waiting):
            self.end(RedisConnectionError("The connection was left"))

    async def _write(self) -> None:
        try:
            while True:
                await self._has_unsent.wait()
                self._has_unsent.clear()
                unsent, self._unsent = self._unsent, []
                await self._connection.send_packed_command(unsent, check_health=False)
        # uvloop raises RuntimeError at a write to a connection that was reset.
        except (RedisError, OSError, RuntimeError) as error:
            self.end(_broken(error))

    async def _read(self) -> None:
        try:
            while True:
                try:
                    answer, is_error = await self._connection.read_response(), False
                except ResponseError as error:
                    answer, is_error = error, True
                reply = self._waiting.popleft()
                if reply.done():
                    continue
                if is_error:
                    reply.set_exception(answer)
                else:
                    reply.set_result(answer)
        except (RedisError, OSError, IndexError) as error:
            self.end(_broken(error))


def _broken(error: Exception) -> RedisError:
    return RedisConnectionError(f"The connection broke: {error}")
