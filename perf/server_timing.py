"""Where the service says that the time of a request went."""

import re
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

#: What the client waited for beyond the stages that the service names.
REST: Final = "http"
_STAGE: Final = re.compile(r"([\w-]+);dur=([\d.]+)")


class Split(NamedTuple):
    """One kind of work.

    Attributes
    ----------
    total_ms
        What the client saw.
    stages_ms
        What the service told of it, in its order.
    """

    title: str
    total_ms: float
    stages_ms: Mapping[str, float]

    @property
    def rest_ms(self) -> float:
        """What is in the total and in no stage."""
        return max(0.0, self.total_ms - sum(self.stages_ms.values()))


def read_stages(header: str) -> dict[str, float]:
    """Return the milliseconds of each stage in a `Server-Timing`, in its order."""
    return {name: float(ms) for name, ms in _STAGE.findall(header)}


def name_stages(splits: Sequence[Split]) -> list[str]:
    """Return every stage that takes time in one of them, in the order of a request."""
    stages = dict.fromkeys(stage for split in splits for stage in split.stages_ms)
    return [stage for stage in stages if any(split.stages_ms.get(stage) for split in splits)]
