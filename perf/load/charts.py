"""Draws what runs found as small SVG files that can be read on white and on black."""

from collections.abc import Callable, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullLocator

from perf.drawing import HUES, INK, STYLE, draw_splits, save
from perf.load.result import Latency, PhaseResult, Result, StreamResult
from perf.server_timing import Split

_GOOD, _BAD, _REFUSED = HUES[0], HUES[4], HUES[1]
_STYLE: Final[dict[Any, Any]] = STYLE | {"legend.frameon": False, "legend.labelcolor": INK, "legend.fontsize": 8}
_PERCENTS: Final = (0, 50, 90, 99, 99.9, 99.99)
_COLUMNS: Final = 2
#: How loads are described begins with the one, and is the other.
_OPEN, _LONE = "open", "closed, 1 client"


def draw_throughput(results: Sequence[Result], path: Path) -> bool:
    """Draw what was accepted and refused over what was offered, for sweeps; False where no open loop was run."""

    def draw(panel: Axes, result: Result) -> None:
        points = sorted((one.offered_per_s, one) for phase in result.phases for one in _open_loops(phase))
        offered = [rate for rate, _ in points]
        panel.plot([0, max(offered)], [0, max(offered)], color=INK, linewidth=0.8, linestyle=":")
        panel.plot(offered, [one.accepted_per_s for _, one in points], "o-", color=_GOOD, label="accepted")
        refused = [rate * _share(one, one.refused) for rate, one in points]
        panel.plot(offered, refused, "s--", color=_REFUSED, label="refused", markersize=4)
        for phase in result.phases:
            if phase.name == "at capacity":
                panel.axhline(phase.streams[0].accepted_per_s, color=INK, linewidth=0.8, label="closed loop")
        panel.set_xlabel("offered, requests/s")
        panel.set_ylabel("answered, requests/s")

    wanted = [
        result
        for result in results
        if not _has_flood(result) and any(one.accepted for phase in result.phases for one in _open_loops(phase))
    ]
    return _draw_panels(wanted, draw, path)


def draw_latency(results: Sequence[Result], path: Path) -> bool:
    """Draw the percentiles of each phase's accepted requests, the rare ones spread out."""

    def draw(panel: Axes, result: Result) -> None:
        hues, drawn = cycle(HUES), []
        for phase in result.phases:
            for stream in phase.streams:
                hue = next(hues)
                if stream.accepted:
                    label = phase.name if len(phase.streams) == 1 else f"{phase.name}, {stream.name}"
                    nines, ms = _percentiles(stream.accepted)
                    panel.plot(nines, ms, color=hue, label=label, linewidth=1.4)
                    drawn.append(nines[-1])
        panel.set_yscale("log")
        ticks = [-np.log10(1 - percent / 100) for percent in _PERCENTS]
        _tick(panel.xaxis, ticks, [f"{percent:g} %" for percent in _PERCENTS])
        panel.set_xlim(0, max(2.0, *drawn) if drawn else 2.0)
        panel.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        panel.yaxis.set_minor_locator(NullLocator())
        panel.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        panel.set_ylabel("ms from due to the last byte")

    return _draw_panels(results, draw, path)


def draw_bytes(results: Sequence[Result], path: Path) -> bool:
    """Draw the mean bytes of a picture that was sent and of the result that came back, a pair of bars for each run."""
    names, sent, back = [], [], []
    for result in results:
        accepted = [one for phase in result.phases for one in phase.streams if one.accepted]
        count = sum(one.accepted.count for one in accepted if one.accepted)
        if count:
            names.append(_title(result))
            sent.append(sum(one.picture_bytes for one in accepted) / count / 1e3)
            back.append(sum(one.result_bytes for one in accepted) / count / 1e3)
    if not names:
        return False
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(9, 1 + 0.5 * len(names)), layout="constrained")
        panel = figure.subplots()
        places = np.arange(len(names))
        panel.barh(places - 0.2, sent, 0.38, color=INK, label="picture")
        panel.barh(places + 0.2, back, 0.38, color=_GOOD, label="result")
        for place, (before, after) in enumerate(zip(sent, back, strict=True)):
            panel.text(after, place + 0.2, f" {after / before:.0%}", va="center", fontsize=8)
        _tick(panel.yaxis, list(places), names)
        panel.invert_yaxis()
        panel.set_xlabel("kB, mean of the accepted requests")
        panel.legend()
        save(figure, path)
    return True


def draw_timelines(results: Sequence[Result], path: Path) -> bool:
    """Draw the answers of each second, phase after phase, of runs with a flood or a storm; False without one."""

    def draw(panel: Axes, result: Result) -> None:
        begin = 0.0
        columns: list[tuple[float, int, int, int]] = []
        for phase in result.phases:
            seconds = zip(*(stream.timeline for stream in phase.streams), strict=True)
            for at, streams in enumerate(seconds):
                columns.append((begin + at, *(sum(one[kind] for one in streams) for kind in range(3))))
            panel.axvline(begin, color=INK, linewidth=0.6)
            panel.text(begin, 1.0, f" {phase.name}", transform=panel.get_xaxis_transform(), fontsize=7, va="top")
            begin += phase.duration_s
        at_s, accepted, refused, other = zip(*columns, strict=True)
        for values, hue, label in (
            (accepted, _GOOD, "accepted"),
            (refused, _REFUSED, "refused"),
            (other, _BAD, "other"),
        ):
            if any(values):
                panel.step(at_s, values, where="post", color=hue, label=label, linewidth=1.2)
        panel.set_yscale("symlog", linthresh=10)
        panel.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        panel.set_xlabel("s (pauses between phases left out)")
        panel.set_ylabel("answers/s")

    return _draw_panels([result for result in results if _has_flood(result)], draw, path)


def draw_stages(results: Sequence[Result], path: Path) -> bool:
    """Draw where the time of a request of one client goes, a stacked bar for each run; False where nothing tells."""
    lone = [(_title(one), stream) for one in results if (stream := _find_lone(one)) is not None]
    splits = [Split(title, one.accepted.mean_ms, one.stages_ms) for title, one in lone if one.accepted]
    if splits:
        draw_splits(splits, path)
    return bool(splits)


def _draw_panels(results: Sequence[Result], draw: Callable[[Axes, Result], None], path: Path) -> bool:
    if not results:
        return False
    with mpl.rc_context(_STYLE):
        rows = -(-len(results) // _COLUMNS)
        figure = Figure(figsize=(9, 3.4 * rows), layout="constrained")
        panels = figure.subplots(rows, min(_COLUMNS, len(results)), squeeze=False).flatten()
        for panel, result in zip(panels, results, strict=False):
            draw(panel, result)
            panel.set_title(_title(result))
            panel.legend()
        for panel in panels[len(results) :]:
            panel.set_axis_off()
        save(figure, path)
    return True


def _percentiles(latency: Latency) -> tuple[list[float], list[float]]:
    """Return -log10 of the share that took longer, and the milliseconds: the last request has half a place."""
    seen, nines, ms = 0, [0.0], [latency.histogram[0][0]]
    for bound, count in latency.histogram:
        seen += count
        nines.append(float(-np.log10(max(latency.count - seen, 0.5) / latency.count)))
        ms.append(bound)
    return nines, ms


def _open_loops(phase: PhaseResult) -> list[StreamResult]:
    return [one for one in phase.streams if one.load.startswith(_OPEN)]


def _find_lone(result: Result) -> StreamResult | None:
    """Return the first stream of one client, where the service told its stages."""
    streams = (one for phase in result.phases for one in phase.streams if len(phase.streams) == 1)
    return next((one for one in streams if one.stages_ms and one.load == _LONE), None)


def _share(stream: StreamResult, part: Latency | None) -> float:
    return part.count / sum(stream.counts.values()) if part else 0.0


def _has_flood(result: Result) -> bool:
    return any(word in phase.name for phase in result.phases for word in ("flood", "storm"))


def _title(result: Result) -> str:
    return result.scenario if result.scenario == result.mix else f"{result.scenario}, {result.mix}"


def _tick(axis: Axis, places: Sequence[float], names: Sequence[str]) -> None:
    axis.set_major_locator(FixedLocator(places))
    axis.set_ticklabels(names)
    axis.set_minor_locator(NullLocator())
