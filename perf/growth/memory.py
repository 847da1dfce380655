"""Memory of the service's processes after ever more requests, none of which is answered from what is kept."""

import random
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from perf.bare import photograph
from perf.growth.result import Curve, Finding, Growth, Point
from perf.processes import resident_each, tree
from perf.running import NO_REUSE, RunningService

CHECKPOINTS: Final = (1_000, 2_000, 5_000, 10_000)
#: Small, so that ten thousand take minutes; of many sizes, so that memory is asked for in many pieces.
_SIDES: Final = tuple((3 * side, 2 * side) for side in range(40, 220, 12))
_FIELDS: Final[tuple[dict[str, str], ...]] = (
    {"quality": "75"},
    {"quality": "80", "max_width": "100"},
    {"quality": "75", "format": "webp"},
    {},
)
_BATCH: Final = 20
_CLIENTS: Final = 4
#: What was answered is still being kept.
_SETTLE_S: Final = 2.0
_MOST_GROWTH: Final = 1.1
#: It keeps a record of every result for as long as the result is kept, which is a day.
_STORE: Final = "valkey-server"
_MB: Final = 1e6


def measure(checkpoints: Sequence[int] = CHECKPOINTS) -> Growth:
    """Send requests up to each checkpoint, and look at what is resident there."""
    pictures = [photograph(*sides, seed=number) for number, sides in enumerate(_SIDES)]
    dice = random.Random(1)  # noqa: S311 - it has to be repeatable
    parts: dict[str, list[Point]] = {"all": [], "all but Valkey": [], "Valkey": []}
    sent = 0
    with RunningService(NO_REUSE) as service:
        for checkpoint in checkpoints:
            while sent < checkpoint:
                service.compress_many(dice.choice(pictures), dice.choice(_FIELDS), requests=_BATCH, clients=_CLIENTS)
                sent += _BATCH
            time.sleep(_SETTLE_S)
            store, rest = _look(service.pid)
            for title, size in (("all", store + rest), ("all but Valkey", rest), ("Valkey", store)):
                parts[title].append(Point.of(sent, [size / _MB]))
    return Growth.now(
        "memory",
        at="requests",
        value="MB resident, each process by itself",
        curves=[Curve(title, points) for title, points in parts.items()],
        findings=[
            Finding(
                f"{title}: after {points[-1].at:,g} requests over {points[0].at:,g}",
                round(points[-1].value / points[0].value, 3),
                _MOST_GROWTH,
            )
            for title, points in parts.items()
            if title != "Valkey"
        ],
        notes=["Valkey holds a record for each result, for as long as that is kept: a day"],
    )


def _look(root: int) -> tuple[int, int]:
    """Return the bytes that the Valkey and all the others have resident."""
    sizes = {True: 0, False: 0}
    for pid, size in resident_each(tree(root)).items():
        try:
            is_store = Path(f"/proc/{pid}/comm").read_text().strip() == _STORE
        except OSError:
            continue  # it ended meanwhile
        sizes[is_store] += size
    return sizes[True], sizes[False]
