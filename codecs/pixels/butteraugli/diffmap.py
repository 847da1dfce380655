"""Sums the squared differences of the bands, weighs them by the mask, and joins the two scales."""

import numpy as np

from pixels.butteraugli import constants as c
from pixels.butteraugli.blur import blur_row, upsample_row
from pixels.butteraugli.jit import Plane, inlined, kernel

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
def square_low(reference: Plane, distorted: Plane, ac: Plane, dc: Plane) -> None:
    """Write the weighted squares of the MF differences to `ac` and of LF to `dc`, float32[h2, w2].

    `reference` and `distorted` are float32[6, h2, w2]: MF of X, Y, B, then LF.
    """
    for y in range(ac.shape[0]):
        _square_mf(reference, distorted, y, ac[y])
        _square_lf(reference, distorted, y, dc[y])


@inlined
def _square_mf(reference: Plane, distorted: Plane, y: int, out: Plane) -> None:
    x0, y0, b0 = reference[0, y], reference[1, y], reference[2, y]
    x1, y1, b1 = distorted[0, y], distorted[1, y], distorted[2, y]
    for i in range(out.size):
        red_green, luminance, blue = x0[i] - x1[i], y0[i] - y1[i], b0[i] - b1[i]
        out[i] = _MF_X * red_green * red_green + _MF_Y * luminance * luminance + _MF_B * blue * blue


@inlined
def _square_lf(reference: Plane, distorted: Plane, y: int, out: Plane) -> None:
    x0, y0, b0 = reference[3, y], reference[4, y], reference[5, y]
    x1, y1, b1 = distorted[3, y], distorted[4, y], distorted[5, y]
    for i in range(out.size):
        red_green, luminance = x0[i] - x1[i], y0[i] - y1[i]
        blue = b0[i] - b1[i] + _LF_Y_TO_B * luminance
        out[i] = _LF_X * red_green * red_green + _LF_Y * luminance * luminance + _LF_B * blue * blue


@kernel
def square_high(reference: Plane, distorted: Plane, ac: Plane) -> None:
    """Write the weighted squares of the HF differences to `ac`, float32[h, w].

    What falls below 0.4 of the reference's value, or rises above it, counts again.
    """
    for y in range(ac.shape[0]):
        x0, x1, y0, y1, row = reference[0, y], distorted[0, y], reference[1, y], distorted[1, y], ac[y]
        for x in range(row.size):
            row[x] = _square_hf(x0[x], x1[x], _HF_X[0], _HF_X[1]) + _square_hf(y0[x], y1[x], _HF_Y[0], _HF_Y[1])


@inlined
def _square_hf(was: np.float32, now: np.float32, lost: np.float32, added: np.float32) -> np.float32:
    size = abs(was)
    along = now if was >= 0 else -now
    change = size - along
    impact = max(_TOO_SMALL * size - along, _f(0)) + max(along - size, _f(0))
    return lost * change * change + added * impact * impact


@kernel
def add_mask_difference(
    activity: Plane, blurred: Plane, weights: Plane, edge_x: Plane, edge_y: Plane, rows: Plane, ac: Plane
) -> None:
    """Add the weighted square of what `activity` blurred is off the reference's `blurred` to `ac`, float32[h, w]."""
    row = rows[1, : ac.shape[1]]
    for y in range(ac.shape[0]):
        blur_row(activity, y, weights, edge_x, edge_y, rows[0], row)
        was, total = blurred[y], ac[y]
        for x in range(row.size):
            change = was[x] - row[x]
            total[x] += _MASK * change * change


@kernel
def weigh(ac: Plane, low_ac: Plane, low_dc: Plane, visibility: Plane, rows: Plane, out: Plane) -> None:
    """Write the distance of each pixel to `out`, float32[h, w].

    `ac` is float32[h, w]; `low_ac` and `low_dc`, float32[h2, w2], are what the bands at half resolution add;
    `visibility` is float32[2, h, w], for detail and for LF; `rows`, float32[3, w + 2], is scratch.
    """
    height, width = out.shape
    fine, coarse, between = rows[0, :width], rows[1, :width], rows[2]
    for y in range(height):
        upsample_row(low_ac, y, between, fine)
        upsample_row(low_dc, y, between, coarse)
        detail, ac_visible, dc_visible, row = ac[y], visibility[0, y], visibility[1, y], out[y]
        for x in range(width):
            # Interpolated beyond the border, a sum of squares may fall below 0.
            square = max(detail[x] + fine[x], _f(0)) * ac_visible[x] + max(coarse[x], _f(0)) * dc_visible[x]
            row[x] = np.sqrt(square)


@kernel
def join_scales(full: Plane, half: Plane, top: int, left: int) -> None:
    """Weigh `full`, float32[h, w], and add the region of `half`, float32, that begins at (`top`, `left`), in place."""
    height, width = full.shape
    for y in range(height):
        row = full[y]
        coarse = half[top + y // 2, left : left + (width + 1) // 2]
        for x in range(width // 2):
            value = _HALF * coarse[x]
            row[2 * x] = _FULL * row[2 * x] + value
            row[2 * x + 1] = _FULL * row[2 * x + 1] + value
        if width % 2:
            row[width - 1] = _FULL * row[width - 1] + _HALF * coarse[width // 2]
