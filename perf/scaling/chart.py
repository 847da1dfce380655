"""Draws depth and pods over time, a panel for each run."""

from pathlib import Path
from typing import Final

import matplotlib as mpl
from matplotlib.figure import Figure

from perf.drawing import HUES, INK, STYLE, save
from perf.scaling.result import Result

_DEPTH, _WANTED, _READY = HUES[0], HUES[1], HUES[2]
_STYLE: Final = STYLE | {"legend.frameon": False, "legend.labelcolor": INK, "legend.fontsize": 8}


def draw(result: Result, path: Path) -> None:
    """Draw all runs on one time axis."""
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(7.2, 2.2 * len(result.runs)), layout="constrained")
        panels = figure.subplots(len(result.runs), 1, sharex=True, squeeze=False)[:, 0]
        for panel, run in zip(panels, result.runs, strict=True):
            at_s = [moment.at_s for moment in run.moments]
            panel.fill_between(at_s, [moment.depth for moment in run.moments], color=_DEPTH, alpha=0.3, linewidth=0)
            panel.plot(at_s, [moment.depth for moment in run.moments], color=_DEPTH, label="jobs waiting or running")
            panel.axvline(run.drained_s, color=INK, linewidth=0.8, linestyle=":")
            panel.set_title(f"{run.name}: drained in {run.drained_s:.0f} s", loc="left")
            panel.set_ylabel("jobs")
            pods = panel.twinx()
            pods.step(at_s, [moment.wanted for moment in run.moments], where="post", color=_WANTED, label="pods wanted")
            pods.step(
                at_s, [moment.ready for moment in run.moments], where="post", color=_READY, ls="--", label="pods ready"
            )
            pods.set_ylim(0, result.most + 1)
            pods.set_ylabel("pods")
            pods.spines["right"].set_visible(True)
            handles = [*panel.get_legend_handles_labels()[0], *pods.get_legend_handles_labels()[0]]
        figure.legend(handles=handles, loc="outside upper right", ncols=len(handles))
        panels[-1].set_xlabel(f"seconds of cluster time ({result.factor:g} in a real second)")
        save(figure, path)
