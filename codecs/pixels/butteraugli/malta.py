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
from pixels.butteraugli.rings import slot

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
    span: tuple[int, int, int],
    out: Plane,
    busy: npt.NDArray[np.bool_],
) -> None:
    """Write the weighted difference of a band inside a margin of 4 zeros.

    Besides the difference itself, a value below 0.55 or above 1.05 of the reference's counts again.

    Parameters
    ----------
    reference, distorted
        float32[n, w], rings.
    weights
        Of `scale_weights`.
    span
        First and last row (exclusive) of those with the margin, of which row y of the band is y + 4; and how many rows
        the band has in all.
    out, busy
        float32[n, w + 8] and bool[n], rings; `busy` is for rows that are not all 0.
    """
    first, last, height = span
    count, width = out.shape[0], reference.shape[1]
    for padded in range(first, last):
        y, at = padded - MARGIN, slot(count, padded)
        whole = out[at]
        if y < 0 or y >= height:
            whole[:] = 0
            busy[at] = False
            continue
        whole[:MARGIN] = 0
        whole[width + MARGIN :] = 0
        before, after = reference[slot(reference.shape[0], y)], distorted[slot(distorted.shape[0], y)]
        # Not `> 0`: NaN is to be seen.
        busy[at] = _weigh_row(before, after, weights, whole[MARGIN : width + MARGIN]) != 0


@inlined
def _weigh_row(
    before: Plane, after: Plane, weights: tuple[np.float32, np.float32, np.float32], out: Plane
) -> np.float32:
    lost, added, norm = weights
    content = _f(0)
    for x in range(out.size):
        was, now = before[x], after[x]
        size = abs(was)
        along = now if was >= 0 else -now
        impact = max(_TOO_SMALL * size - along, _f(0)) - max(along - _TOO_BIG * size, _f(0))
        total = (lost * (size - along) + added * impact) / (norm + _HALF * (size + abs(now)))
        out[x] = total if was >= 0 else -total
        content += abs(total)
    return content


@kernel
def sum_neighbours(d: Plane, first: int, last: int, sums: Plane) -> None:
    """Write sums of neighbours of `d`, the rows of which up to `last` (exclusive) are known; from row `first` - 2 on.

    `sums`, float32[4, n, w + 8], a ring as `d` is, takes for each sample: it and the next two to the right; it and the
    next two below; it and the one below to the right; the one to the right and the one below.
    """
    count, width = d.shape
    for y in range(max(first - 2, 0), last - 2):
        at = slot(count, y)
        row, below, below2 = d[at], d[slot(count, y + 1)], d[slot(count, y + 2)]
        # Each in a loop of its own: with four targets in one, nothing was vectorised.
        _sum_three(row, row[1:], row[2:], sums[0, at, : width - 2])
        _sum_three(row, below, below2, sums[1, at])
        _sum_two(row, below[1:], sums[2, at, : width - 1])
        _sum_two(row[1:], below, sums[3, at, : width - 1])


@inlined
def _sum_three(a: Plane, b: Plane, e: Plane, out: Plane) -> None:
    for x in range(out.size):
        out[x] = a[x] + b[x] + e[x]


@inlined
def _sum_two(a: Plane, b: Plane, out: Plane) -> None:
    for x in range(out.size):
        out[x] = a[x] + b[x]


@kernel
def add_lines(d: Plane, sums: Plane, busy: npt.NDArray[np.bool_], first: int, last: int, out: Plane) -> None:
    """Add the squared sums along the 16 lines of 9 pixels to rows `first` to `last` (exclusive) of `out`.

    `d` and `busy` are of `difference`, `sums` of `sum_neighbours`, of which the lines are made; `out` is a ring,
    float32[n, w].
    """
    n = d.shape[0]
    for y in range(first, last):
        if not any_busy(busy, y):
            continue
        row = out[slot(out.shape[0], y)]
        s1, s2, s3 = slot(n, y + 1), slot(n, y + 2), slot(n, y + 3)
        s4, s5, s6 = slot(n, y + 4), slot(n, y + 5), slot(n, y + 6)
        across, upward, falling, rising = sums[0], sums[1], sums[2], sums[3]
        _add_straight(across[s3], across[s4], across[s5], upward[slot(n, y)], upward[s3], upward[s6], row)
        _add_falling(falling[s1], falling[s2], falling[s3], d[s5], falling[s5], falling[s6], row)
        _add_rising(rising[s1], rising[s2], d[s3], rising[s4], rising[s5], rising[s6], row)


@inlined
def _add_straight(
    above: Plane, level: Plane, below: Plane, top: Plane, middle: Plane, bottom: Plane, out: Plane
) -> None:
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
def _add_falling(p1: Plane, p2: Plane, p3: Plane, r5: Plane, p5: Plane, p6: Plane, out: Plane) -> None:
    for x in range(out.size):
        middle = p3[x + 3] + r5[x + 5]
        a = middle + p1[x + 1] + p6[x + 6]
        b = middle + p1[x + 2] + p6[x + 5]
        e = middle + p2[x + 1] + p5[x + 6]
        out[x] += a * a + b * b + e * e


@inlined
def _add_rising(p1: Plane, p2: Plane, r3: Plane, p4: Plane, p5: Plane, p6: Plane, out: Plane) -> None:
    for x in range(out.size):
        middle = r3[x + 5] + p4[x + 3]
        a = middle + p1[x + 6] + p6[x + 1]
        b = middle + p1[x + 5] + p6[x + 2]
        e = middle + p2[x + 6] + p5[x + 1]
        out[x] += a * a + b * b + e * e


@inlined
def any_busy(busy: npt.NDArray[np.bool_], y: int) -> bool:
    """Return whether any of the 9 rows that the lines through row `y` of the band touch has a difference."""
    found = False
    for other in range(y, y + 2 * MARGIN + 1):
        found |= busy[slot(busy.size, other)]
    return found


@kernel
def add_sparse_lines(d: Plane, busy: npt.NDArray[np.bool_], first: int, last: int, out: Plane) -> None:
    """Add the squared sums along the 16 sparse lines to rows `first` to `last` (exclusive) of `out`.

    `d` and `busy` are of `difference`; `out` is a ring, float32[n, w]. Most of X has no HF: its lines are not summed.
    """
    n = d.shape[0]
    for y in range(first, last):
        if not any_busy(busy, y):
            continue
        row = out[slot(out.shape[0], y)]
        r0, r1, r2, r3 = d[slot(n, y)], d[slot(n, y + 1)], d[slot(n, y + 2)], d[slot(n, y + 3)]
        r4, r5, r6 = d[slot(n, y + 4)], d[slot(n, y + 5)], d[slot(n, y + 6)]
        r7, r8 = d[slot(n, y + 7)], d[slot(n, y + 8)]
        _add_sparse_steep(r0, r1, r2, r4, r6, r7, r8, row)
        _add_sparse_flat(r1, r2, r3, r4, r5, r6, r7, row)


@inlined
def _add_sparse_steep(r0: Plane, r1: Plane, r2: Plane, r4: Plane, r6: Plane, r7: Plane, r8: Plane, out: Plane) -> None:
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
def _add_sparse_flat(r1: Plane, r2: Plane, r3: Plane, r4: Plane, r5: Plane, r6: Plane, r7: Plane, out: Plane) -> None:
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
def interpolate(d: Plane, first: int, last: int, between: Plane) -> None:
    """Write the grids half a cell right, down, and both, of `d`, whose rows up to `last` (exclusive) are known.

    `d` is of `difference` for a band at half resolution, `between`, float32[3, n, w2 + 8], a ring. The grid to the
    right is written from row `first` on, the others from row `first` - 2 on. Cubic, over 4 samples; the outermost two
    samples of the margin are not written, nor are they read.
    """
    count, width = d.shape
    for y in range(max(first, 1), last):
        row = d[slot(count, y)]
        _interpolate_row(row, row[1:], row[2:], row[3:], between[0, slot(count, y), 1 : width - 2])
    for y in range(max(first - 2, 2), last - 2):
        at = slot(count, y)
        above, below, below2 = slot(count, y - 1), slot(count, y + 1), slot(count, y + 2)
        _interpolate_row(d[above], d[at], d[below], d[below2], between[1, at])
        right = between[0]
        _interpolate_row(right[above], right[at], right[below], right[below2], between[2, at])


@inlined
def _interpolate_row(a: Plane, b: Plane, e: Plane, g: Plane, out: Plane) -> None:
    near, far = _f(9 / 16), _f(-1 / 16)
    for x in range(out.size):
        out[x] = near * (b[x] + e[x]) + far * (a[x] + g[x])


@kernel
def add_sparse_lines_at_half(
    d: Plane, between: Plane, busy: npt.NDArray[np.bool_], first: int, last: int, out: Plane
) -> None:
    """Add the squared sums along the 16 sparse lines to rows `first` to `last` (exclusive) of `out`.

    `d` and `busy` are of `difference` for a band at half resolution; `between`, of `interpolate`, has what lies an odd
    number of pixels away. `out` is a ring, float32[n, w2].
    """
    n = d.shape[0]
    right, down, diagonal = between[0], between[1], between[2]
    for y in range(first, last):
        if not any_busy(busy, y):
            continue
        row = out[slot(out.shape[0], y)]
        # The row itself is at y + MARGIN; n2 to n6 are the slots of those from two above it to two below.
        n2, n3, n4, n5, n6 = slot(n, y + 2), slot(n, y + 3), slot(n, y + 4), slot(n, y + 5), slot(n, y + 6)
        _add_half_straight(d[n2], d[n3], d[n4], d[n5], d[n6], diagonal[n2], diagonal[n5], row)
        _add_half_steep(d[n2], d[n4], d[n6], right[n2], right[n3], right[n5], right[n6], row)
        _add_half_flat(d[n3], d[n4], d[n5], right[n3], right[n5], down[n3], down[n4], row)
        _add_half_knight(d[n4], right[n3], right[n5], down[n2], down[n5], row)


@inlined
def _add_half_straight(
    r2: Plane, r3: Plane, r4: Plane, r5: Plane, r6: Plane, before: Plane, after: Plane, out: Plane
) -> None:
    for x in range(out.size):
        centre = r4[x + 4]
        a = centre + r4[x + 2] + r4[x + 3] + r4[x + 5] + r4[x + 6]
        b = centre + r2[x + 4] + r3[x + 4] + r5[x + 4] + r6[x + 4]
        e = centre + before[x + 2] + r3[x + 3] + r5[x + 5] + after[x + 5]
        g = centre + before[x + 5] + r3[x + 5] + r5[x + 3] + after[x + 2]
        out[x] += a * a + b * b + e * e + g * g


@inlined
def _add_half_steep(r2: Plane, r4: Plane, r6: Plane, s2: Plane, s3: Plane, s5: Plane, s6: Plane, out: Plane) -> None:
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
def _add_half_flat(r3: Plane, r4: Plane, r5: Plane, s3: Plane, s5: Plane, t3: Plane, t4: Plane, out: Plane) -> None:
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
def _add_half_knight(r4: Plane, s3: Plane, s5: Plane, before: Plane, after: Plane, out: Plane) -> None:
    for x in range(out.size):
        centre = r4[x + 4]
        a = centre + s3[x + 3] + s5[x + 4] + before[x + 3] + after[x + 5]
        b = centre + s3[x + 4] + s5[x + 3] + before[x + 5] + after[x + 3]
        out[x] += a * a + b * b
