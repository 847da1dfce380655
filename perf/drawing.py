"""How the charts of all measurements look: small SVG files that can be read on white and on black."""

from collections.abc import Sequence
from itertools import cycle, islice
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator, PercentFormatter

from perf.server_timing import REST, Split, name_stages

#: A grey and hues that are as far from white as from the near-black of dark pages.
INK: Final = "#7d8590"
HUES: Final = ("#2f81f7", "#d2691e", "#2da44e", "#a371f7", "#db3b6e", "#1b9aaa", "#b08800", "#8c6d5a", "#6e7fd0")
STYLE: Final[dict[Any, Any]] = {
    "axes.edgecolor": INK, "axes.labelcolor": INK, "text.color": INK, "xtick.color": INK, "ytick.color": INK,
    "axes.spines.top": False, "axes.spines.right": False, "axes.titlesize": 10, "font.size": 9,
    # Text stays text, and the same figures give the same file.
    "svg.fonttype": "none", "font.family": "sans-serif", "font.sans-serif": ["Helvetica", "Arial", "DejaVu Sans"],
    "svg.hashsalt": "compressorize",
}  # fmt: skip


def save(figure: Figure, path: Path) -> None:
    """Write a figure, and the folder that it belongs into."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, transparent=True, metadata={"Date": None})


def draw_splits(splits: Sequence[Split], path: Path) -> None:
    """Draw the shares of the stages as a stacked bar for each, however much longer one takes than another."""
    with mpl.rc_context(STYLE | {"legend.frameon": False, "legend.labelcolor": INK, "legend.fontsize": 8}):
        figure = Figure(figsize=(9, 1.2 + 0.4 * len(splits)), layout="constrained")
        panel = figure.subplots()
        places, left = np.arange(len(splits)), np.zeros(len(splits))
        named = [(stage, [split.stages_ms.get(stage, 0.0) for split in splits]) for stage in name_stages(splits)]
        hues = [*islice(cycle(HUES), len(named)), INK]
        whole_ms = np.array([sum(split.stages_ms.values()) + split.rest_ms for split in splits])
        for (stage, ms), hue in zip([*named, (REST, [split.rest_ms for split in splits])], hues, strict=True):
            shares = np.array(ms) / whole_ms
            panel.barh(places, shares, 0.6, left=left, color=hue, label=stage)
            left += shares
        panel.yaxis.set_major_locator(FixedLocator(list(places)))
        panel.set_yticklabels([f"{split.title}: {split.total_ms:.3g} ms" for split in splits])
        panel.yaxis.set_minor_locator(NullLocator())
        panel.invert_yaxis()
        panel.set_xlim(0, 1)
        panel.xaxis.set_major_formatter(PercentFormatter(1))
        panel.set_xlabel("of the time that one client waits")
        figure.legend(*panel.get_legend_handles_labels(), loc="outside lower center", ncols=9)
        save(figure, path)
