"""Sets two records side by side: how many times as much each benchmark costs, and whether that is more than noise."""

from collections.abc import Iterator
from typing import Final

import msgspec

from perf.bench.record import Cost, Record

_HEAD: Final = ("benchmark", "CPU ms", "in calibrations", "quartiles")
_BESIDE: Final = ("new / old", "spread", "")


class Change(msgspec.Struct, frozen=True):
    """What became of one benchmark.

    Attributes
    ----------
    ratio
        New over old: below 1, it is cheaper now.
    low, high
        The least and the greatest that the quartiles of both allow.
    """

    ratio: float
    low: float
    high: float

    @property
    def verdict(self) -> str:
        """``slower`` or ``faster`` where not even the quartiles meet; else nothing."""
        if self.low > 1:
            return "slower"
        return "faster" if self.high < 1 else ""


def compare(old: Cost, new: Cost) -> Change:
    """Compare one benchmark's costs."""
    return Change(new.cost / old.cost, new.low / old.high, new.high / old.low)


def render(new: Record, old: Record | None) -> str:
    """Return a table in Markdown, with the ratios to `old` where there is one."""
    return "\n".join(_render(new, old))


def _render(new: Record, old: Record | None) -> Iterator[str]:
    yield f"New: {_describe(new)}."
    if old is not None:
        yield f"Old: {_describe(old)}."
        if old.machine != new.machine or old.versions != new.versions:
            yield "They ran on different machines or versions, so that the ratios also compare these."
    yield ""
    head = _HEAD if old is None else _HEAD + _BESIDE
    yield _row(head)
    yield _row(("---",) * len(head))
    before = {} if old is None else {cost.name: cost for cost in old.costs}
    for cost in new.costs:
        cells: tuple[str, ...] = (
            cost.name,
            f"{cost.cpu_ms:.4g}",
            f"{cost.cost:.3g}",
            f"{cost.low:.3g}-{cost.high:.3g}",
        )
        if old is not None:
            cells += _beside(before[cost.name], cost) if cost.name in before else ("", "", "new")
        yield _row(cells)
    yield ""
    yield from (f"- {cost.name}: {cost.note}" for cost in new.costs if cost.note)
    yield from (f"- {name} gave no figure: {why}" for name, why in new.missing.items())
    if old is not None:
        yield from (f"- {name} gave no figure in the old one: {why}" for name, why in old.missing.items())
        changes = [compare(before[cost.name], cost).verdict for cost in new.costs if cost.name in before]
        yield f"- {changes.count('slower')} slower, {changes.count('faster')} faster, of {len(changes)}"


def _beside(old: Cost, new: Cost) -> tuple[str, str, str]:
    change = compare(old, new)
    verdict = f"**{change.verdict}**" if change.verdict else ""
    return f"{change.ratio:.2f}", f"{change.low:.2f}-{change.high:.2f}", verdict


def _describe(record: Record) -> str:
    runs = f"{record.runs} run{'s' if record.runs > 1 else ''}"
    return (
        f"{record.date}, commit {record.commit}, {runs}, {record.machine}, calibration {record.calibration_ms:.2f} ms"
    )


def _row(cells: tuple[str, ...]) -> str:
    return f"| {' | '.join(cells)} |"
