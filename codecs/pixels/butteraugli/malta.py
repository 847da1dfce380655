"""Malta: differences of a band, summed along 16 line segments through each pixel and squared.

A difference that lies along a line is seen more easily than the same differences strewn about. HF and UHF use lines
of 9 pixels; "sparse" lines, for HF and MF, take 5 samples of the same length, every second pixel or so.

In the reference's dense table four of the 16 lines occur twice; they are summed once here and count double. At half
resolution the sparse lines run through the three interpolated grids in between (`interpolate`), so a line is the same
length as at full resolution, and is evaluated for a quarter of the pixels.
"""

import math

import numpy as np
import numpy.typing as npt

from pixels.butteraugli import constants as c
from pixels.butteraugli.jit import Plane, inlined, kernel

_f = np.float32
MARGIN = 4
_HALF, _TOO_SMALL, _TOO_BIG = _f(0.5), _f(c.MALTA_TOO_SMALL), _f(c.MALTA_TOO_BIG)


def scale_weights(weights: c.MaltaWeights, scale: float) -> tuple[np.float32, np.float32, np.float32]:
    """Return the factors of lost and of added detail, and the norm, as `difference` takes them."""
    per_sample = scale / (2 * c.MALTA_LENGTH + 1) * weights.norm
    lost = per_sample * math.sqrt(c.MALTA_LOST_SHARE * weights.lost)
    added = per_sample * math.sqrt(c.MALTA_ADDED_SHARE * weights.added)
    return _f(lost), _f(added), _f(weights.norm)


@kernel
def difference(
    reference: Plane,
    distorted: Plane,
    weights: tuple[np.float32, np.float32, np.float32],
    out: Plane,
    busy: npt.NDArray[np.bool_],
) -> None:
    """Write the weighted difference of a band inside a margin of 4 zeros; `busy`, bool[h + 8]: which rows have any.

    `reference` and `distorted` are float32[h, w], `out` is float32[h + 8, w + 8], `weights` is of `scale_weights`.
    Besides the difference itself, a value below 0.55 or above 1.05 of the reference's counts again.
    """
    height, width = reference.shape
    lost, added, norm = weights
    out[:MARGIN] = 0
    out[height + MARGIN :] = 0
    busy[:] = False
    for y in range(height):
        whole = out[y + MARGIN]
        whole[:MARGIN] = 0
        whole[width + MARGIN :] = 0
        row = whole[MARGIN : width + MARGIN]
        before, after = reference[y], distorted[y]
        content = _f(0)
        for x in range(width):
            was, now = before[x], after[x]
            size = abs(was)
            along = now if was >= 0 else -now
            impact = max(_TOO_SMALL * size - along, _f(0)) - max(along - _TOO_BIG * size, _f(0))
            total = (lost * (size - along) + added * impact) / (norm + _HALF * (size + abs(now)))
            row[x] = total if was >= 0 else -total
            content += abs(total)
        # Not `> 0`: NaN is to be seen.
        busy[y + MARGIN] = content != 0


@kernel
def sum_triples(d: Plane, across: Plane, upward: Plane) -> None:
    """Write the sums of three neighbours of `d`, the named one and the next to the right or below, to each plane."""
    height, width = d.shape
    for y in range(height):
        row, target = d[y], across[y]
        for x in range(width - 2):
            target[x] = row[x] + row[x + 1] + row[x + 2]
    for y in range(height - 2):
        a, b, e, target = d[y], d[y + 1], d[y + 2], upward[y]
        for x in range(width):
            target[x] = a[x] + b[x] + e[x]


@kernel
def add_lines(d: Plane, triples: Plane, out: Plane) -> None:
    """Add the squared sums along the 16 lines of 9 pixels to `out`, float32[h, w].

    `d` is of `difference` and `triples`, float32[2, h + 8, w + 8], of `sum_triples`: half of the lines are three each.
    """
    for y in range(out.shape[0]):
        _add_straight(triples[0], triples[1], y, out[y])
        _add_diagonal(d, y, out[y])


@inlined
def _add_straight(across: Plane, upward: Plane, y: int, out: Plane) -> None:
    above, level, below = across[y + 3], across[y + 4], across[y + 5]
    top, middle, bottom = upward[y], upward[y + 3], upward[y + 6]
    two = _f(2)
    for x in range(out.size):
        flat, upright = level[x + 3], middle[x + 4]
        a = flat + level[x] + level[x + 6]
        b = flat + above[x] + below[x + 6]
        e = flat + below[x] + above[x + 6]
        g = upright + top[x + 4] + bottom[x + 4]
        i = upright + top[x + 3] + bottom[x + 5]
        k = upright + top[x + 5] + bottom[x + 3]
        out[x] += a * a + g * g + two * (b * b + e * e + i * i + k * k)


@inlined
def _add_diagonal(d: Plane, y: int, out: Plane) -> None:
    r1, r2, r3, r4, r5, r6, r7 = d[y + 1], d[y + 2], d[y + 3], d[y + 4], d[y + 5], d[y + 6], d[y + 7]
    for x in range(out.size):
        down = r3[x + 3] + r4[x + 4] + r5[x + 5]
        up = r3[x + 5] + r4[x + 4] + r5[x + 3]
        a = down + r1[x + 1] + r2[x + 2] + r6[x + 6] + r7[x + 7]
        b = up + r1[x + 7] + r2[x + 6] + r6[x + 2] + r7[x + 1]
        e = down + r1[x + 2] + r2[x + 3] + r6[x + 5] + r7[x + 6]
        g = up + r1[x + 6] + r2[x + 5] + r6[x + 3] + r7[x + 2]
        i = down + r2[x + 1] + r3[x + 2] + r5[x + 6] + r6[x + 7]
        k = up + r2[x + 7] + r3[x + 6] + r5[x + 2] + r6[x + 1]
        out[x] += a * a + b * b + e * e + g * g + i * i + k * k


@kernel
def add_sparse_lines(d: Plane, busy: npt.NDArray[np.bool_], out: Plane) -> None:
    """Add the squared sums along the 16 sparse lines to `out`, float32[h, w]; `d` and `busy` are of `difference`.

    Most of X has no HF: its lines are not summed.
    """
    for y in range(out.shape[0]):
        if not busy[y : y + 9].any():
            continue
        _add_sparse_steep(d, y, out[y])
        _add_sparse_flat(d, y, out[y])


@inlined
def _add_sparse_steep(d: Plane, y: int, out: Plane) -> None:
    r0, r1, r2, r4, r6, r7, r8 = d[y], d[y + 1], d[y + 2], d[y + 4], d[y + 6], d[y + 7], d[y + 8]
    for x in range(out.size):
        centre = r4[x + 4]
        down = centre + r2[x + 3] + r6[x + 5]
        up = centre + r2[x + 5] + r6[x + 3]
        a = centre + r2[x + 4] + r6[x + 4] + r0[x + 4] + r8[x + 4]
        b = up + r0[x + 5] + r8[x + 3]
        e = down + r0[x + 3] + r8[x + 5]
        g = down + r1[x + 2] + r7[x + 6]
        i = up + r1[x + 6] + r7[x + 2]
        k = down + r0[x + 2] + r8[x + 6]
        m = up + r0[x + 6] + r8[x + 2]
        out[x] += a * a + b * b + e * e + g * g + i * i + k * k + m * m


@inlined
def _add_sparse_flat(d: Plane, y: int, out: Plane) -> None:
    r1, r2, r3, r4, r5, r6, r7 = d[y + 1], d[y + 2], d[y + 3], d[y + 4], d[y + 5], d[y + 6], d[y + 7]
    for x in range(out.size):
        centre = r4[x + 4]
        down = centre + r3[x + 2] + r5[x + 6]
        up = centre + r3[x + 6] + r5[x + 2]
        a = centre + r4[x] + r4[x + 2] + r4[x + 6] + r4[x + 8]
        b = centre + r2[x + 2] + r6[x + 6] + r1[x + 1] + r7[x + 7]
        e = centre + r2[x + 6] + r6[x + 2] + r1[x + 7] + r7[x + 1]
        g = down + r2[x + 1] + r6[x + 7]
        i = up + r2[x + 7] + r6[x + 1]
        k = down + r2[x] + r6[x + 8]
        m = up + r2[x + 8] + r6[x]
        o = down + r3[x] + r5[x + 8]
        q = up + r5[x] + r3[x + 8]
        out[x] += a * a + b * b + e * e + g * g + i * i + k * k + m * m + o * o + q * q


@kernel
def interpolate(d: Plane, between: Plane) -> None:
    """Write the grids half a cell right, down, and right and down of `d` to `between`, float32[3, h + 8, w + 8].

    Cubic, over 4 samples; the outermost two samples of the margin are not written, nor are they read.
    """
    height, width = d.shape
    near, far = _f(9 / 16), _f(-1 / 16)
    for y in range(1, height - 1):
        r1, right = d[y], between[0, y]
        a, b, e, g = r1[: width - 3], r1[1 : width - 2], r1[2 : width - 1], r1[3:width]
        target = right[1 : width - 2]
        for x in range(width - 3):
            target[x] = near * (b[x] + e[x]) + far * (a[x] + g[x])
    for y in range(2, height - 3):
        _interpolate_down(d, y, between[1, y])
        _interpolate_down(between[0], y, between[2, y])


@inlined
def _interpolate_down(d: Plane, y: int, out: Plane) -> None:
    near, far = _f(9 / 16), _f(-1 / 16)
    a, b, e, g = d[y - 1], d[y], d[y + 1], d[y + 2]
    for x in range(out.size):
        out[x] = near * (b[x] + e[x]) + far * (a[x] + g[x])


@kernel
def add_sparse_lines_at_half(d: Plane, between: Plane, busy: npt.NDArray[np.bool_], out: Plane) -> None:
    """Add the squared sums along the 16 sparse lines to `out`, float32[h2, w2], for a band at half resolution.

    `d` and `busy` are of `difference`; `between`, of `interpolate`, has what lies an odd number of pixels away.
    """
    right, down, diagonal = between[0], between[1], between[2]
    for y in range(out.shape[0]):
        if not busy[y : y + 9].any():
            continue
        _add_half_straight(d, diagonal, y + MARGIN, out[y])
        _add_half_steep(d, right, y + MARGIN, out[y])
        _add_half_flat(d, right, down, y + MARGIN, out[y])
        _add_half_knight(d, right, down, y + MARGIN, out[y])


@inlined
def _add_half_straight(d: Plane, diagonal: Plane, y: int, out: Plane) -> None:
    r2, r3, r4, r5, r6 = d[y - 2], d[y - 1], d[y], d[y + 1], d[y + 2]
    before, after = diagonal[y - 2], diagonal[y + 1]
    for x in range(out.size):
        centre = r4[x + 4]
        a = centre + r4[x + 2] + r4[x + 3] + r4[x + 5] + r4[x + 6]
        b = centre + r2[x + 4] + r3[x + 4] + r5[x + 4] + r6[x + 4]
        e = centre + before[x + 2] + r3[x + 3] + r5[x + 5] + after[x + 5]
        g = centre + before[x + 5] + r3[x + 5] + r5[x + 3] + after[x + 2]
        out[x] += a * a + b * b + e * e + g * g


@inlined
def _add_half_steep(d: Plane, right: Plane, y: int, out: Plane) -> None:
    r2, r4, r6 = d[y - 2], d[y], d[y + 2]
    s2, s3, s5, s6 = right[y - 2], right[y - 1], right[y + 1], right[y + 2]
    for x in range(out.size):
        centre = r4[x + 4]
        falling = centre + s3[x + 3] + s5[x + 4]
        rising = centre + s3[x + 4] + s5[x + 3]
        a = rising + s2[x + 4] + s6[x + 3]
        b = falling + s2[x + 3] + s6[x + 4]
        e = falling + r2[x + 3] + r6[x + 5]
        g = rising + r2[x + 5] + r6[x + 3]
        out[x] += a * a + b * b + e * e + g * g


@inlined
def _add_half_flat(d: Plane, right: Plane, down: Plane, y: int, out: Plane) -> None:
    r3, r4, r5, s3, s5, t3, t4 = d[y - 1], d[y], d[y + 1], right[y - 1], right[y + 1], down[y - 1], down[y]
    for x in range(out.size):
        centre = r4[x + 4]
        falling = centre + t3[x + 3] + t4[x + 5]
        rising = centre + t3[x + 5] + t4[x + 3]
        a = falling + t3[x + 2] + t4[x + 6]
        b = rising + t3[x + 6] + t4[x + 2]
        e = falling + s3[x + 2] + s5[x + 5]
        g = rising + s3[x + 5] + s5[x + 2]
        i = falling + r3[x + 2] + r5[x + 6]
        k = rising + r3[x + 6] + r5[x + 2]
        out[x] += a * a + b * b + e * e + g * g + i * i + k * k


@inlined
def _add_half_knight(d: Plane, right: Plane, down: Plane, y: int, out: Plane) -> None:
    r4, s3, s5, before, after = d[y], right[y - 1], right[y + 1], down[y - 2], down[y + 1]
    for x in range(out.size):
        centre = r4[x + 4]
        a = centre + s3[x + 3] + s5[x + 4] + before[x + 3] + after[x + 5]
        b = centre + s3[x + 4] + s5[x + 3] + before[x + 5] + after[x + 3]
        out[x] += a * a + b * b
