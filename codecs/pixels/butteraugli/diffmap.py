"""Sums the squared differences of the bands, weighs them by the mask, and joins the two scales."""

import numpy as np

from pixels.butteraugli import constants as c
from pixels.butteraugli.blur import blur_row, upsample_row
from pixels.butteraugli.filters import Edges
from pixels.butteraugli.jit import Plane, inlined, kernel
from pixels.butteraugli.rings import slot
from pixels.butteraugli.strips import Strip, halve_strip

_f = np.float32
_LOST, _ADDED = c.HF_SQUARED_SHARE * c.HF_ASYMMETRY, c.HF_SQUARED_SHARE / c.HF_ASYMMETRY
_HF_X = (_f(c.HF_X_SQUARED * _LOST), _f(c.HF_X_SQUARED * _ADDED))
_HF_Y = (_f(c.HF_Y_SQUARED * _LOST), _f(c.HF_Y_SQUARED * _ADDED))
_TOO_SMALL = _f(c.HF_SQUARED_TOO_SMALL)
_MF_X, _MF_Y, _MF_B = _f(c.MF_X_SQUARED), _f(c.MF_Y_SQUARED), _f(c.MF_B_SQUARED)
_LF_X = _f(c.LF_X_SQUARED * c.LF_X_SCALE**2)
_LF_Y = _f(c.LF_Y_SQUARED * c.LF_Y_SCALE**2)
_LF_B, _LF_Y_TO_B = _f(c.LF_B_SQUARED * c.LF_B_SCALE**2), _f(c.LF_Y_TO_B)
_MASK = _f(c.MASK_ACTIVITY_SQUARED)
_FULL, _HALF = _f(c.FULL_SCALE_WEIGHT), _f(c.HALF_SCALE_WEIGHT)


@kernel
def square_low(
    reference: Plane, distorted: Plane, visibility: Plane, first: int, last: int, ac: Plane, dc: Plane
) -> None:
    """Write the weighted squares of the MF differences to `ac`, of LF to `dc`, in rows `first` to `last` (exclusive).

    `reference` and `distorted` are float32[6, n, w2]: MF of X, Y, B, then LF; `ac` and `dc` are float32[n, w2]. All are
    rings. By `visibility`, float32[h2, w2], the squares of LF are multiplied.
    """
    for y in range(first, last):
        was, now, at = slot(reference.shape[1], y), slot(distorted.shape[1], y), slot(ac.shape[0], y)
        _square_mf(
            reference[0, was],
            reference[1, was],
            reference[2, was],
            distorted[0, now],
            distorted[1, now],
            distorted[2, now],
            ac[at],
        )
        _square_lf(
            reference[3, was],
            reference[4, was],
            reference[5, was],
            distorted[3, now],
            distorted[4, now],
            distorted[5, now],
            visibility[y],
            dc[at],
        )


@inlined
def _square_mf(x0: Plane, y0: Plane, b0: Plane, x1: Plane, y1: Plane, b1: Plane, out: Plane) -> None:
    for i in range(out.size):
        red_green, luminance, blue = x0[i] - x1[i], y0[i] - y1[i], b0[i] - b1[i]
        out[i] = _MF_X * red_green * red_green + _MF_Y * luminance * luminance + _MF_B * blue * blue


@inlined
def _square_lf(x0: Plane, y0: Plane, b0: Plane, x1: Plane, y1: Plane, b1: Plane, visible: Plane, out: Plane) -> None:
    for i in range(out.size):
        red_green, luminance = x0[i] - x1[i], y0[i] - y1[i]
        blue = b0[i] - b1[i] + _LF_Y_TO_B * luminance
        square = _LF_X * red_green * red_green + _LF_Y * luminance * luminance + _LF_B * blue * blue
        out[i] = square * visible[i]


@kernel
def square_high(reference: Plane, distorted: Plane, first: int, last: int, ac: Plane) -> None:
    """Write the weighted squares of the HF differences of rows `first` to `last` (exclusive) to `ac`.

    What falls below 0.4 of the reference's value, or rises above it, counts again. `reference` and `distorted` are
    rings, float32[4, n, w], of which planes 0 and 1 are HF; `ac` is a ring, float32[n, w].
    """
    for y in range(first, last):
        was, now = slot(reference.shape[1], y), slot(distorted.shape[1], y)
        _square_hf_row(
            reference[0, was], reference[1, was], distorted[0, now], distorted[1, now], ac[slot(ac.shape[0], y)]
        )


@inlined
def _square_hf_row(x0: Plane, y0: Plane, x1: Plane, y1: Plane, out: Plane) -> None:
    for x in range(out.size):
        out[x] = _square_hf(x0[x], x1[x], _HF_X[0], _HF_X[1]) + _square_hf(y0[x], y1[x], _HF_Y[0], _HF_Y[1])


@inlined
def _square_hf(was: np.float32, now: np.float32, lost: np.float32, added: np.float32) -> np.float32:
    size = abs(was)
    along = now if was >= 0 else -now
    change = size - along
    impact = max(_TOO_SMALL * size - along, _f(0)) + max(along - size, _f(0))
    return lost * change * change + added * impact * impact


@kernel
def add_mask_difference(
    activity: Plane,
    blurred: Plane,
    weights: Plane,
    edges: tuple[Edges, Edges],
    span: tuple[int, int],
    rows: Plane,
    ac: Plane,
) -> None:
    """Add the weighted square of what `activity` blurred is off the reference's `blurred` to `ac`.

    `span` is the first and last row (exclusive); `activity` and `ac` are rings, float32[n, w2], and `blurred` is
    float32[h2, w2]; `rows`, float32[2, w2 + 6], is scratch.
    """
    x_edges, y_edges = edges
    width = ac.shape[1]
    for y in range(span[0], span[1]):
        blur_row(activity, y, x_edges.strip.tiles, weights, x_edges.mask, y_edges.mask, rows[0], rows[1, :width])
        _add_square(blurred[y], rows[1], ac[slot(ac.shape[0], y)])


@inlined
def _add_square(was: Plane, now: Plane, out: Plane) -> None:
    for x in range(out.size):
        change = was[x] - now[x]
        out[x] += _MASK * change * change


@kernel
def weigh(
    ac: Plane,
    low: tuple[Plane, Plane],
    visibility: Plane,
    strip: Strip,
    span: tuple[int, int],
    place: tuple[int, int, int, int],
    rows: Plane,
    out: Plane,
) -> None:
    """Write the distance of each pixel of some rows of a tile to `out`.

    Parameters
    ----------
    ac
        float32[n, w], a ring: the squared differences of HF and UHF.
    low
        What is added at half resolution, float32[n, w2], rings: to `ac`, and to the squared distance.
    visibility
        float32[h, w]: by what `ac` is multiplied.
    strip
        Which tiles lie side by side in all of these.
    span
        The first and last row (exclusive).
    place
        Where the tile's row 0 and column 0 lie in `out`, and the first and last column (exclusive) that are written.
    rows
        Scratch, float32[3, w + 2].
    out
        float32[H, W], the distances of the whole image.
    """
    top, left, first, last = place
    height, width = visibility.shape
    cells = halve_strip(strip)
    start = first - left
    for y in range(span[0], span[1]):
        upsample_row(low[0], y, cells, (height + 1) // 2, rows[0], rows[1, :width])
        upsample_row(low[1], y, cells, (height + 1) // 2, rows[0], rows[2, :width])
        detail, visible = ac[slot(ac.shape[0], y), start:], visibility[y, start:]
        _root_row(detail, visible, rows[1, start:], rows[2, start:], out[top + y, first:last])


@inlined
def _root_row(detail: Plane, visible: Plane, low_ac: Plane, low_dc: Plane, out: Plane) -> None:
    for x in range(out.size):
        # Interpolated beyond the border, a sum of squares may fall below 0.
        out[x] = np.sqrt(max((detail[x] + low_ac[x]) * visible[x] + low_dc[x], _f(0)))


@inlined
def join_row(full: Plane, half: Plane, out: Plane) -> None:
    """Write the weighted distances of both scales to `out`, float32[w], whose column 0 is even in the image."""
    for x in range(out.size // 2):
        coarse = _HALF * half[x]
        out[2 * x] = _FULL * full[2 * x] + coarse
        out[2 * x + 1] = _FULL * full[2 * x + 1] + coarse
    if out.size % 2:
        last = out.size // 2
        out[2 * last] = _FULL * full[2 * last] + _HALF * half[last]


@kernel
def join_scales(full: Plane, half: Plane, out: Plane) -> None:
    """Write the weighted distances of both scales, float32[h, w] and [(h + 1) // 2, (w + 1) // 2], to `out`."""
    for y in range(full.shape[0]):
        join_row(full[y], half[y // 2], out[y])
