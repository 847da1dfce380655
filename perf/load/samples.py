"""What became of each request, kept exactly: a dozen numbers a request, in columns."""

from array import array
from collections import Counter
from typing import Final, Literal, Self

import numpy as np
import numpy.typing as npt

Kind = Literal["accepted", "refused", "rejected", "failed"]
Floats = npt.NDArray[np.float64]
#: A 503 that does not say when to come back.
RUDE: Final = "503 without Retry-After"
_UNCHANGED, _TOO_MANY, _UNAVAILABLE = "304", "429", "503"


def judge(label: str) -> Kind:
    """Tell what a label means.

    ``accepted``: the result came, or the client has it (304). ``refused``: too much, come back later (429, and 503 with
    Retry-After). ``rejected``: something is wrong with the request (other 4xx). ``failed``: everything else.
    """
    if label.startswith("2") or label == _UNCHANGED:
        return "accepted"
    if label in {_TOO_MANY, _UNAVAILABLE}:
        return "refused"
    return "rejected" if label.startswith("4") and label.isdigit() else "failed"


class Samples:
    """The requests of one stream in one phase. Times are seconds, `due_s` from the begin of the phase.

    Attributes
    ----------
    due_s
        When it was to start: what latency counts from, so that a server which stalls is charged for all that it kept
        waiting (no coordinated omission).
    lag_s
        How much later the generator did start it.
    head_s
        From due to the end of the answer's headers.
    latency_s
        From due to its last byte; for a job, to the last byte of the download.
    cache
        How often each `X-Cache` was seen in what was accepted.
    variants
        How often each `X-Variant` was, which answers of the CDN origin have.
    stages_ms
        The sums of what `Server-Timing` told, over the accepted.
    """

    def __init__(self) -> None:
        self.due_s, self.lag_s, self.head_s, self.latency_s = (array("d") for _ in range(4))
        self.sent_bytes, self.received_bytes = array("q"), array("q")
        self.labels: list[str] = []
        self._places: dict[str, int] = {}
        self._label = array("H")
        self.cache: Counter[str] = Counter()
        self.variants: Counter[str] = Counter()
        self.stages_ms: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self.due_s)

    def add(
        self, label: str, *, due_s: float, lag_s: float, head_s: float, latency_s: float, sent: int, received: int
    ) -> None:
        """Note one request: `label` is its status, or the name of what went wrong."""
        self._label.append(self._place(label))
        self.due_s.append(due_s)
        self.lag_s.append(lag_s)
        self.head_s.append(head_s)
        self.latency_s.append(latency_s)
        self.sent_bytes.append(sent)
        self.received_bytes.append(received)

    def extend(self, other: Self) -> None:
        """Take in what another process saw."""
        places = [self._place(label) for label in other.labels]
        self._label.extend(places[number] for number in other._label)
        for name in ("due_s", "lag_s", "head_s", "latency_s", "sent_bytes", "received_bytes"):
            getattr(self, name).extend(getattr(other, name))
        self.cache.update(other.cache)
        self.variants.update(other.variants)
        self.stages_ms.update(other.stages_ms)

    def count(self) -> dict[str, int]:
        """Return how often each label came, the most frequent first."""
        return {self.labels[place]: count for place, count in Counter(self._label).most_common()}

    def are(self, kind: Kind) -> npt.NDArray[np.bool_]:
        """Return which requests are of one kind."""
        kinds = np.array([judge(label) == kind for label in self.labels], dtype=bool)
        return kinds[np.frombuffer(self._label, dtype=np.uint16)] if len(self) else np.zeros(0, dtype=bool)

    def column(self, name: Literal["due_s", "lag_s", "head_s", "latency_s"]) -> Floats:
        """Return one column as an array."""
        return np.array(getattr(self, name), dtype=np.float64)

    def _place(self, label: str) -> int:
        if label not in self._places:
            self._places[label] = len(self.labels)
            self.labels.append(label)
        return self._places[label]
