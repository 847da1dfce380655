"""The span of a request, around all that is done for it; not there where nothing is traced."""

from collections.abc import MutableMapping
from typing import Any, Final

from app.api.edge import QUIET_PATHS, ASGIApp, Edge, Receive, Send, route_of
from app.api.exchange import Exchange
from app.ports.tracer import Tracer

_SERVER_ERROR: Final = 500
#: What HTTP names; others are a client's invention, and would be as many names of spans.
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Traced:
    """Wraps the edge, so that its log line is within the span.

    A request that comes with a `traceparent` becomes a part of that trace.
    """

    def __init__(self, app: Edge, tracer: Tracer) -> None:
        self._app: ASGIApp = app
        self._tracer = tracer

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Serve one connection event; the ASGI entry point."""
        if scope["type"] != "http" or scope["path"] in QUIET_PATHS:
            await self._app(scope, receive, send)
            return
        method = scope["method"] if scope["method"] in _METHODS else "HTTP"
        parent = next((value for name, value in scope["headers"] if name == b"traceparent"), b"")
        with self._tracer.span(method, kind="server", parent=parent.decode("latin-1")) as span:
            try:
                await self._app(scope, receive, send)
            finally:
                exchange, route = Exchange.within(scope), route_of(scope)
                span.rename(f"{method} {route}")
                span.note("http.request.method", method)
                span.note("http.route", route)
                if exchange is not None:
                    span.note("http.response.status_code", exchange.status)
                    span.note("compressorize.request_id", exchange.request_id)
                    if exchange.status >= _SERVER_ERROR:
                        span.fail(str(exchange.facts.get("error", exchange.status)))
