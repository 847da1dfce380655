"""Gaussian blurs as short symmetric filters, vertical then horizontal, a row at a time.

A filter is given by its weights from the centre outwards. Beyond the border there is nothing: the sum is divided by
the weights that lie inside the image (`edge_scale`). Taps are taken in threes on both sides: with seven row arrays an
inner loop is still vectorised.
"""

import numpy as np
import numpy.typing as npt

from pixels.butteraugli import constants as c
from pixels.butteraugli.jit import Plane, inlined, kernel

#: What each cell of the half grid takes from 4 pixels, its own two in the middle. A plain mean of two would let
#: through a tenth of what is too fine for the grid.
CELL = (0.125, 0.375, 0.375, 0.125)


def gaussian(sigma: float) -> npt.NDArray[np.float64]:
    """Return the weights, centre first, of a Gaussian that is cut off at 2.25 sigma, summing to 1 over both sides."""
    radius = max(1, int(c.BLUR_REACH_SIGMAS * sigma))
    weights = np.exp(-0.5 * (np.arange(radius + 1) / sigma) ** 2)
    return np.asarray(weights / (2 * weights.sum() - weights[0]))


def gaussian_at_half(sigma: float, radius: int) -> npt.NDArray[np.float64]:
    """Return the filter of `radius` at half resolution that stands for `gaussian(sigma)` at full resolution.

    Downsampling by `CELL`, this filter and linear interpolation together are the least-squares match to the Gaussian,
    over both phases of the grid; the weights sum to 1 over both sides.
    """
    target = gaussian(sigma)
    reach = 2 * radius + 5
    offsets = np.arange(-reach, reach + 1)
    wanted = np.where(np.abs(offsets) < len(target), target[np.minimum(np.abs(offsets), len(target) - 1)], 0.0)
    design = np.zeros((len(offsets), radius + 1))
    for tap in range(-radius, radius + 1):
        # Seen from an even pixel, cell 0 of the half grid covers pixels 0 and 1 and is 1/2 px away, cell -1 3/2 px.
        for cell, share in ((tap, 0.75), (tap - 1, 0.25)):
            for index, weight in enumerate(CELL):
                design[2 * cell - 1 + index + reach, abs(tap)] += share * weight
    # The odd phase is the mirror image: fitting the even phase to a symmetric target fits both.
    weights, *_ = np.linalg.lstsq(design, wanted, rcond=None)
    return np.asarray(weights / (2 * weights.sum() - weights[0]))


def share_inside(length_px: int) -> npt.NDArray[np.float64]:
    """Return for each cell of the half grid how much of its weight lies inside an axis of `length_px`."""
    shares = np.ones((length_px + 1) // 2)
    if length_px % 2:
        shares[-1] = 0.5
    return shares


def edge_scale(shares: npt.NDArray[np.float64], weights: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """Return for each position of an axis 1 / (the weights inside), where `shares` of the positions are inside."""
    both = np.concatenate((weights[:0:-1], weights))
    return (1 / np.convolve(np.pad(shares, len(weights) - 1), both, mode="valid")).astype(np.float32)


@inlined
def blur_row(plane: Plane, y: int, weights: Plane, edge_x: Plane, edge_y: Plane, pad: Plane, out: Plane) -> None:
    """Write row `y` of the blurred `plane`, float32[h, w], to `out`, float32[w].

    `weights` is float32[r + 1] with r = 3 or more; `pad`, float32[w + 2 r], is scratch.
    """
    height, width = plane.shape
    radius = weights.size - 1
    pad[:radius] = 0
    pad[radius + width : 2 * radius + width] = 0
    if radius <= y < height - radius:
        _sum_rows(plane, y, weights, pad[radius : radius + width])
    else:
        _sum_rows_inside(plane, y, weights, pad[radius : radius + width])
    _sum_columns(pad, weights, out)
    scale = edge_y[y]
    for x in range(width):
        out[x] *= scale * edge_x[x]


@inlined
def _sum_rows(plane: Plane, y: int, w: Plane, out: Plane) -> None:
    _sum_triple(plane[y], plane[y - 1], plane[y + 1], plane[y - 2], plane[y + 2], plane[y - 3], plane[y + 3], w, out)
    radius = w.size - 1
    for k in range(4, radius - 1, 3):
        a, b, e = plane[y - k], plane[y - k - 1], plane[y - k - 2]
        _add_triple(a, plane[y + k], b, plane[y + k + 1], e, plane[y + k + 2], w[k:], out)
    for k in range(radius - (radius % 3) + 1, radius + 1):
        _add_pair(plane[y - k], plane[y + k], w[k], out)


@inlined
def _sum_rows_inside(plane: Plane, y: int, w: Plane, out: Plane) -> None:
    height, width = plane.shape
    radius = w.size - 1
    out[:] = 0
    for other in range(max(0, y - radius), min(height, y + radius + 1)):
        weight, row = w[abs(other - y)], plane[other]
        for x in range(width):
            out[x] += weight * row[x]


@inlined
def _sum_columns(pad: Plane, w: Plane, out: Plane) -> None:
    radius = w.size - 1
    a, b, e = pad[radius - 1 :], pad[radius - 2 :], pad[radius - 3 :]
    _sum_triple(pad[radius:], a, pad[radius + 1 :], b, pad[radius + 2 :], e, pad[radius + 3 :], w, out)
    for k in range(4, radius - 1, 3):
        a, b, e = pad[radius - k :], pad[radius - k - 1 :], pad[radius - k - 2 :]
        _add_triple(a, pad[radius + k :], b, pad[radius + k + 1 :], e, pad[radius + k + 2 :], w[k:], out)
    for k in range(radius - (radius % 3) + 1, radius + 1):
        _add_pair(pad[radius - k :], pad[radius + k :], w[k], out)


@inlined
def _sum_triple(
    middle: Plane, a1: Plane, b1: Plane, a2: Plane, b2: Plane, a3: Plane, b3: Plane, weights: Plane, out: Plane
) -> None:
    w0, w1, w2, w3 = weights[0], weights[1], weights[2], weights[3]
    for x in range(out.size):
        out[x] = w0 * middle[x] + w1 * (a1[x] + b1[x]) + w2 * (a2[x] + b2[x]) + w3 * (a3[x] + b3[x])


@inlined
def _add_triple(a1: Plane, b1: Plane, a2: Plane, b2: Plane, a3: Plane, b3: Plane, weights: Plane, out: Plane) -> None:
    w1, w2, w3 = weights[0], weights[1], weights[2]
    for x in range(out.size):
        out[x] += w1 * (a1[x] + b1[x]) + w2 * (a2[x] + b2[x]) + w3 * (a3[x] + b3[x])


@inlined
def _add_pair(a: Plane, b: Plane, weight: np.float32, out: Plane) -> None:
    for x in range(out.size):
        out[x] += weight * (a[x] + b[x])


@kernel
def downsample(plane: Plane, pad: Plane, out: Plane) -> None:
    """Write `plane`, float32[h, w], at half resolution to `out`, float32[(h + 1) // 2, (w + 1) // 2].

    A cell that would lie outside gives its share of a pixel to the one at the border, so that all pixels count alike.
    Other than that, outside the image counts 0. `pad`, float32[w + 3], is scratch.
    """
    height, width = plane.shape
    near, far = np.float32(CELL[1]), np.float32(CELL[0])
    pad[width + 1 : width + 3] = 0
    middle = pad[1 : width + 1]
    for y in range(out.shape[0]):
        if y >= 1 and 2 * y + 2 < height:
            a, b, e, g = plane[2 * y - 1], plane[2 * y], plane[2 * y + 1], plane[2 * y + 2]
            for x in range(width):
                middle[x] = near * (b[x] + e[x]) + far * (a[x] + g[x])
        else:
            middle[:] = 0
            for other in range(2 * y - 1, 2 * y + 3):
                if other >= height + 1 - height % 2:
                    continue
                weight = near if other // 2 == y else far
                row = plane[min(max(other, 0), height - 1)]
                for x in range(width):
                    middle[x] += weight * row[x]
        pad[0] = middle[0]
        if width % 2 == 0:
            pad[width + 1] = middle[width - 1]
        row = out[y]
        for x in range(row.size):
            row[x] = near * (pad[2 * x + 1] + pad[2 * x + 2]) + far * (pad[2 * x] + pad[2 * x + 3])


@inlined
def upsample_row(plane: Plane, y: int, between: Plane, out: Plane) -> None:
    """Write row `y` of `plane`, float32[h2, w2], interpolated linearly to twice its size, to `out`.

    w is 2 w2 or 2 w2 - 1; `between`, float32[w2 + 2], is scratch. At the border the last two cells' slope goes on.
    """
    height, width = plane.shape
    three, one = np.float32(0.75), np.float32(0.25)
    cell = y // 2
    other = cell + 1 if y % 2 else cell - 1
    near_share, far_share = three, one
    if other < 0 or other >= height:
        other = 2 * cell - other
        near_share, far_share = three + 2 * one, -one
    near, far = plane[cell], plane[other]
    middle = between[1 : width + 1]
    for x in range(width):
        middle[x] = near_share * near[x] + far_share * far[x]
    between[0] = 2 * middle[0] - middle[1]
    between[width + 1] = 2 * middle[width - 1] - middle[width - 2]
    for x in range(out.size // 2):
        out[2 * x] = three * between[x + 1] + one * between[x]
        out[2 * x + 1] = three * between[x + 1] + one * between[x + 2]
    if out.size % 2:
        out[out.size - 1] = three * between[width] + one * between[width - 1]
