"""The outermost layer: ids, the log line, and refusals that reach a client which is still sending.

A server that answers early and closes makes the client's kernel throw the answer away ("broken pipe"). So an
error whose request body has not been read is sent at once, without an end, and the body is read and dropped
for a bounded while; the answer ends when the client has stopped sending.
"""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import structlog

from app.api.exchange import Exchange
from app.ports.meter import UNCOUNTED, Meter

# ASGI's own shapes. Litestar's types tell WebSocket messages apart, of which there are none here.
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

_log = structlog.get_logger("request")
_DRAIN_MAX_BYTES = 64 * 1024 * 1024
_DRAIN_MAX_S = 3.0
#: A client that sends nothing for this long has read the answer, or never will.
_DRAIN_IDLE_S = 0.3
_BAD_REQUEST = 400
#: Of a picture's URL, whose signature lets in whoever has it; the key's id before it does not.
_SIGNATURE = re.compile(r"(?<=^/cdn/)([^/.]*)\.[^/]*")
#: Where a request leads to that no route of ours takes.
_NO_ROUTE = "none"
#: Probes: they come every few seconds and tell nothing while all is well.
QUIET_PATHS = frozenset({"/health/live", "/health/ready"})


def route_of(scope: MutableMapping[str, Any]) -> str:
    """The template of the path that the request took, once it was routed: one of few."""
    return scope.get("path_template") or _NO_ROUTE


class Edge:
    """Wraps the whole application."""

    def __init__(self, app: ASGIApp, meter: Meter = UNCOUNTED) -> None:
        self._app = app
        self._meter = meter

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Serve one connection event; the ASGI entry point."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = Exchange()
        exchange.bind(scope)
        wire = _Wire(scope, receive, send, exchange)
        # Each request runs in a context of its own, so that nothing has to be unbound.
        structlog.contextvars.bind_contextvars(request_id=exchange.request_id)
        try:
            await self._app(scope, wire.receive, wire.send)
        finally:
            took_s = time.perf_counter() - exchange.begun_s
            self._meter.count_request(
                route_of(scope),
                exchange.status,
                took_s=took_s,
                bytes_in=exchange.bytes_in,
                bytes_out=exchange.bytes_out,
                refusal=exchange.facts.get("error"),
            )
            if scope["path"] not in QUIET_PATHS or exchange.status >= _BAD_REQUEST:
                _log.info(
                    "request",
                    method=scope["method"],
                    path=_SIGNATURE.sub(r"\1", scope["path"], count=1),
                    status=exchange.status,
                    ms=round(took_s * 1e3, 1),
                    bytes_in=exchange.bytes_in,
                    bytes_out=exchange.bytes_out,
                    **exchange.facts,
                )


class _Wire:
    """One request's `receive` and `send`, watched."""

    def __init__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send, exchange: Exchange) -> None:
        self._scope, self._receive, self._send, self._exchange = scope, receive, send, exchange
        self._draining = False

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request":
            self._exchange.bytes_in += len(message.get("body", b""))
            self._exchange.body_ended = not message.get("more_body", False)
        else:
            self._exchange.body_ended = True
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            message = self._start(message)
        elif message["type"] == "http.response.body":
            self._exchange.bytes_out += len(message.get("body", b""))
            if self._draining and not message.get("more_body"):
                await self._send({**message, "more_body": True})
                await self._drain()
                message = {"type": "http.response.body", "body": b"", "more_body": False}
        await self._send(message)

    def _start(self, message: Message) -> Message:
        exchange = self._exchange
        exchange.status = message["status"]
        headers = [*message["headers"], (b"x-request-id", exchange.request_id.encode()), *exchange.headers]
        self._draining = exchange.status >= _BAD_REQUEST and not exchange.body_ended and self._has_body()
        if self._draining:
            # Without a length the answer ends when we say so, after the drain.
            headers = [pair for pair in headers if pair[0].lower() != b"content-length"]
            headers.append((b"connection", b"close"))
        return {**message, "headers": headers}

    def _has_body(self) -> bool:
        headers = dict(self._scope["headers"])
        return b"transfer-encoding" in headers or headers.get(b"content-length", b"0") != b"0"

    async def _drain(self) -> None:
        left = _DRAIN_MAX_BYTES
        try:
            async with asyncio.timeout(_DRAIN_MAX_S):
                while left > 0 and not self._exchange.body_ended:
                    message = await asyncio.wait_for(self.receive(), _DRAIN_IDLE_S)
                    left -= len(message.get("body", b""))
        except TimeoutError:
            return
