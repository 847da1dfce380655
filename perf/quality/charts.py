"""Draws the two charts as small SVG files that can be read on white and on black."""

import itertools
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

import matplotlib as mpl
import msgspec
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from perf.drawing import HUES, INK, STYLE, save
from perf.quality.accuracy import NEAR
from perf.quality.measure import Row

Curve = npt.NDArray[np.float64]

_SMART, _FIXED = HUES[:2]
#: A lossless result has no place on a logarithmic axis: it is drawn here, like all that is nearly so.
_LEAST_DRAWN: Final = 0.2
_DISTANCES: Final = np.geomspace(0.6, 2.4, 25)
_BASELINES: Final = {"photos": "mozjpeg 4:2:0", "graphics": "mozjpeg 4:4:4"}
#: A mean over fewer of the images would be a mean over the easy ones.
_LEAST_SHARE: Final = 0.7


class EncoderRow(msgspec.Struct, frozen=True):
    """One encode of the comparison of encoders, as far as it is drawn."""

    image: str
    kind: str
    encoder: str
    quality: float
    bytes: int
    norm3: float


def draw_distances(rows: Sequence[Row], target: float, path: Path) -> None:
    """Draw the distance of each image, smart beside fixed, a panel for each format."""
    found = {(row.method, row.format, row.image): row.distance for row in rows}
    kept = {(row.format, row.image) for row in rows if row.source_kept}
    formats = list(dict.fromkeys(row.format for row in rows))
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(9, 3.6), layout="constrained")
        panels = figure.subplots(1, len(formats), sharey=True, squeeze=False)[0]
        for panel, name in zip(panels, formats, strict=True):
            pairs = sorted(
                (fixed, found["smart", name, image])
                for (method, its, image), fixed in found.items()
                if method == "fixed" and its == name and ("smart", name, image) in found and (name, image) not in kept
            )
            _draw_pairs(panel, pairs, target)
            panel.set_title(name.upper() if name != "webp" else "WebP")
        panels[0].set_ylabel("butteraugli 3-norm")
        panels[0].legend(frameon=False, loc="upper left", labelcolor=INK, handletextpad=0.2)
        figure.supxlabel("images, in the order of their distance at the fixed quality", fontsize=9, color=INK)
        save(figure, path)


def draw_encoders(source: Path, path: Path) -> bool:
    """Draw bytes over distance of each encoder, a panel for each kind of image; False where `source` is missing.

    Each kind has its baseline: half chroma does not bring graphics near enough to compare there.
    """
    if not source.is_file():
        return False
    rows = msgspec.json.decode(source.read_bytes(), type=list[EncoderRow])
    kinds = list(dict.fromkeys(row.kind for row in rows))
    encoders = list(dict.fromkeys(row.encoder for row in rows))
    hues = dict(zip(encoders, itertools.cycle(HUES)))
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(9, 4.2), layout="constrained")
        panels = figure.subplots(1, len(kinds), squeeze=False)[0]
        for panel, kind in zip(panels, kinds, strict=True):
            baseline = _BASELINES.get(kind, encoders[0])
            _draw_ratios(panel, [row for row in rows if row.kind == kind], hues, baseline)
            panel.set_title(kind)
            panel.set_ylabel(f"bytes, {baseline} = 1")
        names = [Line2D([], [], color=hue, label=encoder) for encoder, hue in hues.items()]
        figure.legend(handles=names, loc="outside lower center", ncols=4, frameon=False, labelcolor=INK, fontsize=8)
        figure.supxlabel("butteraugli 3-norm", fontsize=9, color=INK)
        save(figure, path)
    return True


def compare_bytes(rows: Sequence[EncoderRow], baseline: str) -> dict[str, Curve]:
    """Return each encoder's bytes over those of `baseline` at the same distance of the same image.

    The geometric mean over the images, at each of `_DISTANCES`; NaN where too few images reach the distance with both
    encoders. Between the qualities that were tried, ln(bytes) is interpolated over ln(distance).
    """
    points: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for row in rows:
        if row.norm3 > 0:
            points.setdefault((row.encoder, row.image), []).append((math.log(row.norm3), math.log(row.bytes)))
    curves = {key: _interpolate(found) for key, found in points.items()}
    images = {image for encoder, image in curves if encoder == baseline}

    def mean(encoder: str) -> Curve:
        both = [image for image in images if (encoder, image) in curves]
        offsets = np.full((len(both), _DISTANCES.size), np.nan)
        for index, image in enumerate(both):
            offsets[index] = curves[encoder, image] - curves[baseline, image]
        known = np.isfinite(offsets).sum(axis=0)
        sums = np.nansum(offsets, axis=0)
        return np.exp(np.where(known >= _LEAST_SHARE * len(images), sums / np.maximum(known, 1), np.nan))

    return {encoder: mean(encoder) for encoder in dict.fromkeys(row.encoder for row in rows)}


def _interpolate(points: Iterable[tuple[float, float]]) -> Curve:
    distances, sizes = zip(*sorted(points), strict=True)
    curve: Curve = np.interp(np.log(_DISTANCES), distances, sizes, left=np.nan, right=np.nan)
    return curve


def _draw_pairs(panel: Axes, pairs: Sequence[tuple[float, float]], target: float) -> None:
    places = range(len(pairs))
    fixed, smart = ([max(pair[index], _LEAST_DRAWN) for pair in pairs] for index in range(2))
    panel.axhspan(target * (1 - NEAR), target * (1 + NEAR), color=INK, alpha=0.25, linewidth=0)
    panel.axhline(target, color=INK, linewidth=0.8)
    panel.vlines(places, fixed, smart, color=INK, linewidth=0.6, alpha=0.7)
    panel.plot(places, fixed, "o", markersize=4, markerfacecolor="none", markeredgecolor=_FIXED, label="fixed")
    panel.plot(places, smart, "o", markersize=4, color=_SMART, markeredgewidth=0, label="smart")
    panel.set_yscale("log")
    panel.set_xticks([])
    _scale(panel.yaxis, (0.2, 0.3, 0.4, 0.6, 0.8, 1.0, 1.2, 1.5, 2.0, 3.0, 4.0))


def _draw_ratios(panel: Axes, rows: Sequence[EncoderRow], hues: dict[str, str], baseline: str) -> None:
    for encoder, ratios in compare_bytes(rows, baseline).items():
        panel.plot(_DISTANCES, ratios, color=hues[encoder], linewidth=1.6)
    panel.set_xscale("log")
    _scale(panel.xaxis, (0.6, 0.8, 1.0, 1.2, 1.6, 2.4))


def _scale(axis: Axis, ticks: Sequence[float]) -> None:
    axis.set_major_locator(FixedLocator(ticks))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_locator(NullLocator())
