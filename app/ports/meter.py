"""What is counted of the service's work, for those who look after it."""

from collections.abc import Mapping
from typing import Final, Literal, Protocol

from pixels.formats import FormatName

#: A stage of an encode, in their order; a request waits in `queue` for memory and a slot.
Stage = Literal["queue", "handover", "decode", "search", "encode"]
#: What becomes of a job besides `complete`, or the code of its failure: its claim has gone to another worker, or it was
#: given back because this one ends.
LOST: Final = "lost"
HANDED_BACK: Final = "handed_back"
#: What an attempt to send a webhook came to; after `retry` there will be another.
Attempt = Literal["delivered", "retry", "failed"]


class Meter(Protocol):
    """Counts. Nothing here waits or raises."""

    def count_request(
        self, route: str, status: int, *, took_s: float, bytes_in: int, bytes_out: int, refusal: str | None
    ) -> None:
        """Count an answer; `route` is one of few, never a path as it came, and `refusal` a code of the error table."""
        ...

    def count_encode(
        self,
        target: FormatName,
        *,
        stages_ms: Mapping[Stage, float],
        source_bytes: int,
        result_bytes: int,
        distance: float | None,
    ) -> None:
        """Count a picture that was compressed; a stage that took no time was left out."""
        ...

    def count_job(self, lane: str, outcome: str, *, waited_s: float, took_s: float) -> None:
        """Count a job that a worker is done with: `complete`, a failure's code, `LOST` or `HANDED_BACK`.

        It waited from its submission until a worker took it, and took from then on.
        """
        ...

    def count_webhook(self, attempt: Attempt, *, took_s: float) -> None:
        """Count an attempt to send a webhook."""
        ...


class _Uncounted:
    """The meter of a process that nobody asks."""

    def count_request(self, route: str, status: int, **_: object) -> None:
        return

    def count_encode(self, target: FormatName, **_: object) -> None:
        return

    def count_job(self, lane: str, outcome: str, **_: object) -> None:
        return

    def count_webhook(self, attempt: Attempt, **_: object) -> None:
        return


UNCOUNTED: Final[Meter] = _Uncounted()
