"""Concurrent clients that each send a request when the one before is answered."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection, HTTPException
from typing import Final, NamedTuple

_TIMEOUT_S: Final = 300.0
_OK: Final = 200


class Request(NamedTuple):
    """One request; without a body it is a GET."""

    path: str
    headers: Mapping[str, str] = {}
    body: bytes | None = None


class Link(HTTPConnection):
    """A connection to this machine."""

    def __init__(self, port: int) -> None:
        super().__init__("127.0.0.1", port, timeout=_TIMEOUT_S)


def fetch(link: Link, request: Request) -> bytes:
    """Send one request and return the body of the answer.

    Raises
    ------
    RuntimeError
        There was no answer, or another one than 200.
    """
    try:
        link.request("GET" if request.body is None else "POST", request.path, request.body, dict(request.headers))
        reply = link.getresponse()
        body = reply.read()
    except (OSError, HTTPException) as error:
        raise RuntimeError(f"no answer: {type(error).__name__}") from error
    if reply.status != _OK:
        raise RuntimeError(f"answered {reply.status}")
    return body


def send_all(port: int, requests: Sequence[Request], *, clients: int) -> None:
    """Send `requests` in order, `clients` of them at a time, each client on one connection that it keeps.

    Raises
    ------
    RuntimeError
        One was not answered by 200.
    """
    # Drawing from a list's iterator is one step of the interpreter, so that each request is sent once.
    left = iter(requests)

    def send() -> None:
        link = Link(port)
        try:
            for request in left:
                fetch(link, request)
        finally:
            link.close()

    with ThreadPoolExecutor(clients) as pool:
        for client in [pool.submit(send) for _ in range(clients)]:
            client.result()
