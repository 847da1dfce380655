"""Chooses the tiles of an image that stand for the whole when its distance is measured.

A distortion shows most where the picture is busy: around edges, text, saturated colours. So tiles are ordered by their
activity, luma and chroma together. The busiest count for themselves, because the high powers of the norm are made of
few pixels; the rest is cut into strata, and the median tile of each stands for its stratum. Strata of busier tiles are
smaller. Without chroma in the activity, or without the busiest apart, the estimates scatter twice as widely.
"""

from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

#: What is encoded of a tile; a multiple of the blocks of all three codecs.
SIDE_PX: Final = 80
#: Pixels at each side that are dropped before a tile is compared: encoded beside a stranger, they bleed into it.
TRIM_PX: Final = 4
#: Pixels at each side of what remains that are compared but not scored: the metric looks that far.
MARGIN_PX: Final = 4
#: What is scored: small tiles make many strata.
CORE_PX: Final = SIDE_PX - 2 * (TRIM_PX + MARGIN_PX)
#: Tiles begin at multiples of it, so that a codec cuts them into the same blocks as the whole image.
_GRID_PX: Final = 16
_CERTAIN_SHARE: Final = 0.25
#: Strata hold equal sums of the activity to this power: 0 would make them of equal size.
_STRATUM_POWER: Final = 0.3
#: Every eighth row is looked at.
_ROW_STEP: Final = 8

Pixels = npt.NDArray[np.uint8]
#: Row and column of the first pixel.
Corner = tuple[int, int]


class Tile(NamedTuple):
    """A square of `SIDE_PX`, and how many tiles of the image it stands for."""

    top: int
    left: int
    weight: float


class Grid:
    """The tiles that an image can be cut into, and how busy each is.

    Parameters
    ----------
    looks
        The image before each background: uint8[h, w, 3], at least `SIDE_PX` a side.
    frame_height
        Where the image is made of frames below each other, the height of one, at least `SIDE_PX`: no tile lies across
        two.
    """

    def __init__(self, looks: list[Pixels], frame_height: int | None = None) -> None:
        height, width, _ = looks[0].shape
        frame_height = frame_height or height
        lefts = _positions(0, width)
        tops = [top for start in range(0, height, frame_height) for top in _positions(start, frame_height)]
        self._corners = [(top, left) for top in tops for left in lefts]
        self._activity = np.zeros(len(self._corners))
        for look in looks:
            self._activity += _measure_activity(look, np.asarray(tops), np.asarray(lefts)).ravel()
        self._order = np.argsort(-self._activity, kind="stable")

    def choose(self, budget_px: int) -> list[Tile]:
        """Choose tiles that score at most `budget_px` in all, but at least one, in reading order."""
        wanted = max(1, budget_px // CORE_PX**2)
        if wanted >= len(self._corners):
            return [Tile(top, left, 1.0) for top, left in self._corners]
        certain = int(_CERTAIN_SHARE * wanted)
        chosen = [self._tile(index, 1) for index in self._order[:certain]]
        rest = self._order[certain:]
        strata = _cut_strata(self._activity[rest], wanted - certain)
        chosen += [self._tile(rest[(stratum.start + stratum.stop) // 2], len(stratum)) for stratum in strata]
        return sorted(chosen)

    def _tile(self, index: np.intp, weight: int) -> Tile:
        top, left = self._corners[index]
        return Tile(top, left, float(weight))


def _cut_strata(activity: npt.NDArray[np.float64], count: int) -> list[range]:
    """Cut tiles, from the busiest on, into at most `count` runs."""
    sums = np.cumsum((activity + 1) ** _STRATUM_POWER)
    edges = np.searchsorted(sums, sums[-1] * np.arange(1, count) / count, side="right")
    bounds = [0, *edges.tolist(), len(activity)]
    return [range(first, last) for first, last in pairwise(bounds) if last > first]


def _positions(start: int, length: int) -> list[int]:
    """Cover an axis with cores; the last one may overlap the one before it."""
    regular = list(range(start, start + length - SIDE_PX + 1, CORE_PX))
    last = (start + length - SIDE_PX) // _GRID_PX * _GRID_PX
    return regular if last <= regular[-1] else [*regular, last]


def _measure_activity(
    pixels: Pixels, tops: npt.NDArray[np.intp], lefts: npt.NDArray[np.intp]
) -> npt.NDArray[np.float64]:
    """Return float64[tops, lefts]: the sum of the absolute gradients of green, red - green and blue - green.

    The three stand for luma and the two chroma channels, at the cost of two subtractions.
    """
    rows = _opponents(pixels[:-1:_ROW_STEP])
    below = _opponents(pixels[1::_ROW_STEP])
    steps = np.zeros(rows[0].shape, np.int16)
    for here, there in zip(rows, below, strict=True):
        steps += np.abs(there - here)
        steps[:, 1:] += np.abs(here[:, 1:] - here[:, :-1])
    across = np.cumsum(steps, axis=1, dtype=np.int32)
    first = -(-tops // _ROW_STEP)
    last = np.minimum(-(-(tops + SIDE_PX) // _ROW_STEP), len(steps))
    down = np.zeros((len(steps) + 1, len(lefts)))
    np.cumsum(across[:, lefts + SIDE_PX - 1] - across[:, lefts], axis=0, out=down[1:])
    return np.asarray(down[last] - down[first])


def _opponents(rows: Pixels) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.int16], npt.NDArray[np.int16]]:
    red, green, blue = (rows[..., channel].astype(np.int16) for channel in range(3))
    return green, red - green, blue - green
