"""A circuit breaker: once a service fails, leave it alone for a moment, then let one caller try."""

import time
from collections.abc import Callable
from typing import Final

#: Failures in a row that open the breaker. More than one: a single slow answer is no outage.
_FAILURES: Final = 5
#: How long it stays open between tries.
_PAUSE_S: Final = 1.0


class Breaker:
    """Decides whether to call a service that may be down. For one event loop; share one for each service.

    Attributes
    ----------
    opened
        How often it has opened, for a metric.
    """

    def __init__(
        self, *, failures: int = _FAILURES, pause_s: float = _PAUSE_S, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.opened = 0
        self._failures_to_open = failures
        self._pause_s = pause_s
        self._clock = clock
        self._failures = 0
        self._retry_at: float | None = None

    @property
    def is_open(self) -> bool:
        """Whether calls are being held back."""
        return self._retry_at is not None

    def allows(self) -> bool:
        """Whether to call now. While open, True for one caller in each pause: that one tries."""
        if self._retry_at is None:
            return True
        now = self._clock()
        if now < self._retry_at:
            return False
        # Moved on before the try ends: a try that is cancelled and reports nothing blocks nobody.
        self._retry_at = now + self._pause_s
        return True

    def succeed(self) -> None:
        """Report an answer: closes the breaker."""
        self._failures = 0
        self._retry_at = None

    def fail(self) -> None:
        """Report a failure: opens the breaker after enough of them in a row."""
        self._failures += 1
        if self._retry_at is None and self._failures >= self._failures_to_open:
            self._retry_at = self._clock() + self._pause_s
            self.opened += 1
