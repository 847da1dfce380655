"""From a map of distances to numbers."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pixels.butteraugli import constants as c
from pixels.butteraugli.diffmap import join_row
from pixels.butteraugli.jit import Plane, inlined, kernel

#: float64[4]: the maximum and the sums to the power of 3, 6 and 12; or a row of it for each of many regions.
Sums = npt.NDArray[np.float64]

_f = np.float32


class Distance(NamedTuple):
    """How far two images are apart: 0 is identical, about 1 just noticeable in a flicker test."""

    max: float
    norm3: float


class Tally(NamedTuple):
    """What the norms of any number of regions are pooled from.

    `mean3`, `mean6` and `mean12` are means over the region of the distances to the power of 3, 6 and 12.
    """

    max: float
    mean3: float
    mean6: float
    mean12: float

    def distance(self) -> Distance:
        """Return the 3-norm, the mean of the norms for p = 3, 6 and 12, and the maximum."""
        p = c.NORM_P
        roots = (self.mean3 ** (1 / p), self.mean6 ** (1 / (2 * p)), self.mean12 ** (1 / (4 * p)))
        return Distance(self.max, sum(roots) / 3)


def pool(tallies: list[Tally], weights: list[float]) -> Tally:
    """Return the weighted means over regions, each a sample of a stratum that is `weights` large.

    Raises
    ------
    ValueError
        There are no regions, not one weight for each, or no positive weight.
    """
    if not tallies or len(tallies) != len(weights) or min(weights) < 0 or sum(weights) <= 0:
        raise ValueError("pool needs one weight for each of at least one region, none negative, not all zero")
    total = sum(weights)
    means = [sum(w * t[power] for w, t in zip(weights, tallies, strict=True)) / total for power in (1, 2, 3)]
    return Tally(max(t.max for t in tallies), *means)


@kernel
def add_powers(
    full: Plane, half: Plane, left: tuple[int, int], width: int, margin_px: int, rows: Plane, sums: Sums
) -> None:
    """Gather the distances of an image, or of one tile of a strip, in `sums`, a margin at all its sides left out.

    Parameters
    ----------
    full, half
        The distances at both scales, float32[h, w] and [(h + 1) // 2, (w + 1) // 2]; [0, 0] where there is no half
        scale.
    left, width
        The first column of the tile at either scale, and how many it has at full resolution.
    margin_px
        How many pixels at each side do not count.
    rows
        Scratch, float32[2, width].
    sums
        float64[4]: the maximum and the sums to the power of 3, 6 and 12.
    """
    height, cells = full.shape[0], (width + 1) // 2
    joined, peaks = rows[0, :width], rows[1, :width]
    peaks[:] = 0
    for y in range(margin_px, height - margin_px):
        row = full[y, left[0] : left[0] + width]
        if half.size:
            join_row(row, half[y // 2, left[1] : left[1] + cells], joined)
            row = joined
        _add_row(row[margin_px : width - margin_px], peaks, sums)
    for x in range(width):
        sums[0] = max(sums[0], peaks[x])


@inlined
def _add_row(row: Plane, peaks: Plane, sums: Sums) -> None:
    # A maximum over each column is vectorised, one along a row is not, as it would have to keep NaN.
    cubes, sixths, twelfths = _f(0), _f(0), _f(0)
    for x in range(row.size):
        value = row[x]
        cube = value * value * value
        sixth = cube * cube
        peaks[x] = max(peaks[x], value)
        cubes += cube
        sixths += sixth
        twelfths += sixth * sixth
    sums[1] += cubes
    sums[2] += sixths
    sums[3] += twelfths


def tally(sums: Sums, count_px: int) -> Tally:
    """Return the means of the sums that `add_powers` gathered over `count_px` pixels."""
    return Tally(float(sums[0]), *(float(value) / count_px for value in sums[1:]))
