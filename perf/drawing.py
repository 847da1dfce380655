"""How the charts of all measurements look: small SVG files that can be read on white and on black."""

from pathlib import Path
from typing import Any, Final

from matplotlib.figure import Figure

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
