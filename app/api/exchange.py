"""What one request and its answer carry besides their bodies: an id, headers for any answer, facts for the log."""

import time
from collections.abc import MutableMapping
from dataclasses import dataclass, field
from typing import Any, cast

from litestar.connection import ASGIConnection

from app.ports.keys import ApiKey
from app.service.job_blobs import new_id
from app.service.once import Claim

_KEY = "compressorize.exchange"


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
    key
        Whose request it is, once that is known.
    claim
        On its `Idempotency-Key`, where it carries a valid one.
    timings_ms
        How long its stages took, in their order, as far as it has come.
    """

    request_id: str = field(default_factory=new_id)
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    status: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    body_ended: bool = False
    key: ApiKey | None = None
    claim: Claim | None = None
    timings_ms: dict[str, float] = field(default_factory=dict)
    begun_s: float = field(default_factory=time.perf_counter)
    _stage_begun_s: float = 0.0

    @property
    def caller(self) -> ApiKey:
        """The key that the request was let in with; behind the door there always is one."""
        if self.key is None:
            raise ValueError("the request has not passed the door")
        return self.key

    def end_stage(self, stage: str) -> None:
        """Note what has passed since the last stage's end, or since the request came, as the time of `stage`."""
        now_s = time.perf_counter()
        self.timings_ms[stage] = (now_s - (self._stage_begun_s or self.begun_s)) * 1e3
        self._stage_begun_s = now_s

    @classmethod
    def within(cls, scope: MutableMapping[str, Any]) -> "Exchange | None":
        """The exchange that `scope` was made the one of."""
        return scope.get(_KEY)

    def bind(self, scope: MutableMapping[str, Any]) -> None:
        """Make this the exchange of `scope`."""
        scope[_KEY] = self


def exchange_of(connection: ASGIConnection[Any, Any, Any, Any]) -> Exchange:
    """The exchange that a connection belongs to."""
    found: Exchange = cast("dict[str, Any]", connection.scope)[_KEY]
    return found
