"""The operating system's resolver, for look-ups that must not pile up."""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Sequence
from ipaddress import ip_address
from typing import Final

from app.service.addresses import Address

MAX_LOOKUPS: Final = 64


class SystemResolver:
    """The operating system's resolver, with a bound on the look-ups under way; belongs to one event loop.

    A look-up in the C library can neither be cancelled nor given a time limit, so it keeps its place until the library
    gives up, whether or not somebody still waits. Its thread is a daemon of our own: an executor's threads are joined
    at exit, and the process would stay for as long as a name server is silent.
    """

    def __init__(self, max_lookups: int = MAX_LOOKUPS) -> None:
        self._places = asyncio.Semaphore(max_lookups)

    async def __call__(self, host: str) -> Sequence[Address]:
        """Find all addresses of `host`, those of a family that this machine cannot reach included.

        Waits for a place where `max_lookups` are taken. Raises OSError (socket.gaierror) where the look-up fails.
        """
        await self._places.acquire()
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Sequence[Address]] = loop.create_future()

        def settle(outcome: Sequence[Address] | Exception) -> None:
            self._places.release()
            if answer.done():  # nobody waits any more
                return
            if isinstance(outcome, Exception):
                answer.set_exception(outcome)
            else:
                answer.set_result(outcome)

        def look_up() -> None:
            outcome: Sequence[Address] | Exception
            try:
                outcome = _addresses_of(host)
            except Exception as error:
                outcome = error
            with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile
                loop.call_soon_threadsafe(settle, outcome)

        try:
            threading.Thread(target=look_up, name="look-up", daemon=True).start()
        except RuntimeError as error:  # the system gives no more threads
            self._places.release()
            raise OSError("no thread for a look-up") from error
        return await answer


def _addresses_of(host: str) -> Sequence[Address]:
    # No AI_ADDRCONFIG: a record that this machine cannot reach may still be the one that gives a name away.
    found = socket.getaddrinfo(host.encode("ascii"), None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(ip_address(endpoint[0]) for *_, endpoint in found))
