"""The door: authentication, then the rate limit, and the headers that tell a client where it stands."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from app.api.auth import authenticate
from app.api.exchange import exchange_of
from app.errors import ServiceError
from app.ports.keys import Keys
from app.ports.limiter import WINDOW_S, Budget, Limiter, Window

Guard = Callable[[ASGIConnection[Any, Any, Any, Any], BaseRouteHandler], Awaitable[None]]
#: Polling has a budget of its own, so that it never eats compressions.
POLLS_PER_COMPRESSION = 10


def door(keys: Keys, limiter: Limiter, budget: Budget) -> Guard:
    """Make the guard of a route that spends from `budget`.

    The guard raises 401, 429 or 503 before a byte of body is read.
    """

    async def admit(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
        exchange = exchange_of(connection)
        key = await authenticate(connection.headers.get("authorization"), keys)
        exchange.facts["key"] = key.id
        limit = key.per_minute * (POLLS_PER_COMPRESSION if budget == "poll" else 1)
        window = await limiter.spend(budget, key.id, limit)
        exchange.headers += rate_headers(budget, window)
        if not window.allowed:
            raise _refused(window)

    return admit


def rate_headers(budget: Budget, window: Window) -> list[tuple[bytes, bytes]]:
    """The published three headers, and the IETF draft's two (draft-ietf-httpapi-ratelimit-headers-10)."""
    return [
        (b"x-ratelimit-limit", b"%d" % window.limit),
        (b"x-ratelimit-remaining", b"%d" % window.remaining),
        (b"x-ratelimit-reset", b"%d" % window.reset_at),
        (b"ratelimit-policy", b'"%s";q=%d;w=%d' % (budget.encode(), window.limit, WINDOW_S)),
        (b"ratelimit", b'"%s";r=%d;t=%d' % (budget.encode(), window.remaining, window.reset_in_s)),
    ]


def _refused(window: Window) -> ServiceError:
    reset = datetime.fromtimestamp(window.reset_at, UTC)
    return ServiceError(
        "rate_limit_exceeded",
        f"Too many requests: {window.limit} a minute are allowed. The limit resets at {reset:%Y-%m-%dT%H:%M:%SZ}.",
        headers={"Retry-After": str(window.reset_in_s)},
    )
