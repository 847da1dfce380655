"""Gaussian blurs as short symmetric filters, vertical then horizontal, a row at a time.

A filter is given by its weights from the centre outwards. Beyond the border there is nothing: the sum is divided by
the weights that lie inside the image (`filters.edge_scale`). Taps are taken in threes on both sides: with seven row
arrays an inner loop still keeps to the processor's registers.
"""

import numpy as np

from pixels.butteraugli.filters import CELL
from pixels.butteraugli.jit import Plane, inlined, kernel
from pixels.butteraugli.rings import slot
from pixels.butteraugli.strips import Strip, fill_gaps, halve_strip, measure_strip

_f = np.float32
_FAR, _NEAR = _f(CELL[0]), _f(CELL[1])


@inlined
def blur_row(
    plane: Plane, y: int, count: int, weights: Plane, edge_x: Plane, edge_y: Plane, pad: Plane, out: Plane
) -> None:
    """Write row `y` of the blurred `plane`, a ring, float32[n, w], of a strip of `count` tiles to `out`, float32[w].

    `weights` is float32[r + 1] with r = 3 or more; `edge_x` and `edge_y` have an edge scale for each column and row, 0
    in a gap; `pad`, float32[w + 2 r], is scratch.
    """
    height, width = edge_y.size, plane.shape[1]
    radius = weights.size - 1
    pad[:radius] = 0
    pad[radius + width : 2 * radius + width] = 0
    # The last cell of a half grid may lie half outside: it is one more that has a scale of its own.
    inside = radius <= y < height - radius - 1
    if inside:
        _sum_rows(plane, y, weights, pad[radius : radius + width])
    else:
        _sum_rows_inside(plane, y, height, weights, pad[radius : radius + width])
    _sum_columns(pad, weights, out)
    if inside and count == 1 and width > 2 * radius:
        # Elsewhere the scale is 1.
        _scale(out[:radius], edge_y[y], edge_x)
        _scale(out[width - radius - 1 :], edge_y[y], edge_x[width - radius - 1 :])
    else:
        _scale(out, edge_y[y], edge_x)


@inlined
def blur_row_apart(
    plane: Plane, y: int, strip: Strip, weights: Plane, edge_x: Plane, edge_y: Plane, rows: Plane, out: Plane
) -> None:
    """Do the same as `blur_row` with a filter that reaches further than the gaps of `strip` are wide.

    `rows`, float32[3, n (w + r) + r] for n tiles of width w, is scratch.
    """
    height, width = edge_y.size, plane.shape[1]
    radius = weights.size - 1
    apart = Strip(strip.tiles, strip.width, strip.width + radius)
    middle, pad, sums = rows[0, :width], rows[1], rows[2, : measure_strip(apart)]
    if radius <= y < height - radius - 1:
        _sum_rows(plane, y, weights, middle)
    else:
        _sum_rows_inside(plane, y, height, weights, middle)
    pad[: radius + measure_strip(apart) + radius] = 0
    for tile in range(strip.tiles):
        left, to = tile * strip.stride, radius + tile * apart.stride
        _copy(middle[left : left + strip.width], pad[to : to + strip.width])
    _sum_columns(pad, weights, sums)
    for tile in range(strip.tiles):
        left, at = tile * strip.stride, tile * apart.stride
        end = left + strip.width
        _copy_scaled(sums[at : at + strip.width], edge_y[y], edge_x[left:end], out[left:end])
    fill_gaps(out, strip, _f(0))


@inlined
def _copy(row: Plane, out: Plane) -> None:
    for x in range(out.size):
        out[x] = row[x]


@inlined
def _copy_scaled(row: Plane, by: np.float32, each: Plane, out: Plane) -> None:
    for x in range(out.size):
        out[x] = row[x] * (by * each[x])


@inlined
def _scale(row: Plane, by: np.float32, each: Plane) -> None:
    for x in range(row.size):
        row[x] *= by * each[x]


@inlined
def _sum_rows(plane: Plane, y: int, w: Plane, out: Plane) -> None:
    count, radius = plane.shape[0], w.size - 1
    middle, a1, b1 = plane[slot(count, y)], plane[slot(count, y - 1)], plane[slot(count, y + 1)]
    a2, b2 = plane[slot(count, y - 2)], plane[slot(count, y + 2)]
    a3, b3 = plane[slot(count, y - 3)], plane[slot(count, y + 3)]
    _sum_triple(middle, a1, b1, a2, b2, a3, b3, w, out)
    for k in range(4, radius - 1, 3):
        a1, b1 = plane[slot(count, y - k)], plane[slot(count, y + k)]
        a2, b2 = plane[slot(count, y - k - 1)], plane[slot(count, y + k + 1)]
        a3, b3 = plane[slot(count, y - k - 2)], plane[slot(count, y + k + 2)]
        _add_triple(a1, b1, a2, b2, a3, b3, w[k:], out)
    for k in range(radius - (radius % 3) + 1, radius + 1):
        _add_pair(plane[slot(count, y - k)], plane[slot(count, y + k)], w[k], out)


@inlined
def _sum_rows_inside(plane: Plane, y: int, height: int, w: Plane, out: Plane) -> None:
    radius = w.size - 1
    out[:] = 0
    for other in range(max(0, y - radius), min(height, y + radius + 1)):
        _add_weighted(plane[slot(plane.shape[0], other)], w[abs(other - y)], out)


@inlined
def _add_weighted(row: Plane, weight: np.float32, out: Plane) -> None:
    for x in range(out.size):
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
def downsample(plane: Plane, strip: Strip, height: int, first: int, last: int, pad: Plane, out: Plane) -> None:
    """Write rows `first` to `last` (exclusive) of `plane` at half resolution to `out`.

    A cell that would lie outside gives its share of a pixel to the one at the border, so that all pixels count alike.

    Parameters
    ----------
    plane
        float32[n, w], a ring of `height` rows in all, of the tiles of `strip`.
    pad
        Scratch, float32[w + 3].
    out
        float32[n2, (w + 1) // 2], a ring of (height + 1) // 2 rows in all, with 0 in the gaps.
    """
    count, width = plane.shape
    middle, cells = pad[1 : width + 1], halve_strip(strip)
    for y in range(first, last):
        above = slot(count, max(2 * y - 1, 0))
        a, b = plane[above], plane[slot(count, 2 * y)]
        if 2 * y + 1 < height:
            below = slot(count, min(2 * y + 2, height - 1))
            _mix(a, b, plane[slot(count, 2 * y + 1)], plane[below], middle)
        else:
            # An odd height ends in the middle of a cell, of which nothing else is inside.
            _mix_two(a, b, middle)
        for tile in range(strip.tiles):
            left = 1 + tile * strip.stride
            end = left + strip.width
            pad[left - 1] = pad[left]
            pad[end] = pad[end - 1] if strip.width % 2 == 0 else _f(0)
            pad[end + 1] = 0
        row = out[slot(out.shape[0], y)]
        _mix_columns(pad, row)
        fill_gaps(row, cells, _f(0))


@inlined
def _mix(a: Plane, b: Plane, e: Plane, g: Plane, out: Plane) -> None:
    far, near = _FAR, _NEAR
    for x in range(out.size):
        out[x] = near * (b[x] + e[x]) + far * (a[x] + g[x])


@inlined
def _mix_two(a: Plane, b: Plane, out: Plane) -> None:
    far, near = _FAR, _NEAR
    for x in range(out.size):
        out[x] = near * b[x] + far * a[x]


@inlined
def _mix_columns(pad: Plane, out: Plane) -> None:
    far, near = _FAR, _NEAR
    for x in range(out.size):
        out[x] = near * (pad[2 * x + 1] + pad[2 * x + 2]) + far * (pad[2 * x] + pad[2 * x + 3])


@inlined
def upsample_row(plane: Plane, y: int, strip: Strip, height: int, between: Plane, out: Plane) -> None:
    """Write row `y` of `plane`, interpolated linearly to twice its size, to `out`, float32[w].

    `plane` is float32[n, w2], a ring of `height` rows in all, of the tiles of `strip`; w is 2 w2 or 2 w2 - 1;
    `between`, float32[w2 + 2], is scratch. At the border the last two cells' slope goes on.
    """
    count, width = plane.shape
    near_share, far_share = _f(0.75), _f(0.25)
    cell = y // 2
    other = cell + 1 if y % 2 else cell - 1
    if other < 0 or other >= height:
        other = 2 * cell - other
        near_share, far_share = _f(1.25), _f(-0.25)
    middle = between[1 : width + 1]
    _mix_pair(plane[slot(count, cell)], plane[slot(count, other)], near_share, far_share, middle)
    for tile in range(strip.tiles):
        left = 1 + tile * strip.stride
        end = left + strip.width
        between[left - 1] = 2 * between[left] - between[left + 1]
        between[end] = 2 * between[end - 1] - between[end - 2]
    _spread(between, out)


@inlined
def _mix_pair(near: Plane, far: Plane, near_share: np.float32, far_share: np.float32, out: Plane) -> None:
    for x in range(out.size):
        out[x] = near_share * near[x] + far_share * far[x]


@inlined
def _spread(between: Plane, out: Plane) -> None:
    three, one = _f(0.75), _f(0.25)
    for x in range(out.size // 2):
        out[2 * x] = three * between[x + 1] + one * between[x]
        out[2 * x + 1] = three * between[x + 1] + one * between[x + 2]
    if out.size % 2:
        last = out.size // 2
        out[out.size - 1] = three * between[last + 1] + one * between[last]
