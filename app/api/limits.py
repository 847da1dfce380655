"""The door: authentication, then the rate limit, and the headers that tell a client where it stands."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, Final

from litestar.connection import ASGIConnection

from app.api.auth import authenticate
from app.api.exchange import Exchange, exchange_of
from app.errors import ServiceError
from app.ports.keys import Keys
from app.ports.limiter import WINDOW_S, Budget, Limiter, Window
from app.service.once import Once

Door = Callable[[ASGIConnection[Any, Any, Any, Any]], Awaitable[None]]
IDEMPOTENCY_KEY: Final = "idempotency-key"
MAX_IDEMPOTENCY_KEY: Final = 255
#: Polling has a budget of its own, so that it never eats compressions.
POLLS_PER_COMPRESSION = 10


def door(keys: Keys, limiter: Limiter, budget: Budget, once: Once | None = None) -> Door:
    """Make what a route that spends from `budget` begins with; with `once`, one that takes an `Idempotency-Key`.

    It raises 401, 429 or 503 before a byte of body is read. It is none of Litestar's guards: for each request Litestar
    copies the handler that it guards, which costs 0.1 ms.
    """

    async def admit(connection: ASGIConnection[Any, Any, Any, Any]) -> None:
        exchange = exchange_of(connection)
        exchange.key = key = await authenticate(connection.headers.get("authorization"), keys)
        exchange.facts["key"] = key.id
        text = connection.headers.get(IDEMPOTENCY_KEY)
        if once is not None and text is not None and is_idempotency_key(text):
            exchange.claim = await once.claim(key.account, text)
        try:
            await charge(exchange, limiter, budget)
        except BaseException:
            if once is not None and exchange.claim is not None and exchange.claim.is_mine:
                await once.release(exchange.claim)
            raise

    return admit


async def charge(exchange: Exchange, limiter: Limiter, budget: Budget) -> None:
    """Spend one request from its key's budget, and put the headers that tell of it into the answer.

    A repetition of an idempotent request costs nothing but a poll, so that it cannot be repeated without end.

    Raises
    ------
    ServiceError
        429 `rate_limit_exceeded`.
    """
    key = exchange.caller
    is_repetition = exchange.claim is not None and not exchange.claim.is_mine
    limit = key.per_minute * (POLLS_PER_COMPRESSION if budget == "poll" else 1)
    window = await limiter.spend(budget, key.id, limit, 0 if is_repetition else 1)
    told = rate_headers(budget, window)
    names = {name for name, _ in told}
    exchange.headers = [pair for pair in exchange.headers if pair[0] not in names] + told
    if is_repetition:
        window = await limiter.spend("poll", key.id, key.per_minute * POLLS_PER_COMPRESSION)
    if not window.allowed:
        raise _refused(window)


def is_idempotency_key(text: str) -> bool:
    """Whether an `Idempotency-Key` is one: 1 to 255 printable ASCII characters."""
    return 0 < len(text) <= MAX_IDEMPOTENCY_KEY and text.isascii() and text.isprintable()


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
