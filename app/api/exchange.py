"""What one request and its answer carry besides their bodies: an id, headers for any answer, facts for the log."""

import secrets
from collections.abc import MutableMapping
from dataclasses import dataclass, field
from typing import Any, cast

from litestar.connection import ASGIConnection

_KEY = "compressorize.exchange"


def new_id() -> str:
    """Make an id of 96 random bits, fit for URLs and headers."""
    return secrets.token_urlsafe(12)


@dataclass(slots=True)
class Exchange:
    """One request and its answer.

    Attributes
    ----------
    request_id
        In the answer's `X-Request-Id` and on every log line of the request.
    headers
        Added to the answer, whether it turns out well or not.
    facts
        Added to the request's log line.
    """

    request_id: str = field(default_factory=new_id)
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    status: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    body_ended: bool = False

    def bind(self, scope: MutableMapping[str, Any]) -> None:
        """Make this the exchange of `scope`."""
        scope[_KEY] = self


def exchange_of(connection: ASGIConnection[Any, Any, Any, Any]) -> Exchange:
    """The exchange that a connection belongs to."""
    found: Exchange = cast("dict[str, Any]", connection.scope)[_KEY]
    return found
