"""Splits X, Y, B into frequency bands: low (LF), medium (MF), high (HF) and ultra high (UHF).

LF and MF hold no detail finer than a few pixels: they are made, kept and compared at half resolution. HF is what the
two leave, so only their sum is interpolated back to full resolution.
"""

import numpy as np

from pixels.butteraugli import constants as c
from pixels.butteraugli.blur import blur_row, gaussian, gaussian_at_half, upsample_row
from pixels.butteraugli.jit import Plane, inlined, kernel

_f = np.float32
#: Filters, centre first: LF and MF at half resolution, HF at full resolution.
LF_WEIGHTS = gaussian_at_half(c.LF_SIGMA, radius=7)
MF_WEIGHTS = gaussian_at_half(c.MF_SIGMA, radius=4)
HF_WEIGHTS = gaussian(c.HF_SIGMA)
#: Pixels that a band depends on to each side: the blurs of LF and MF with their steps down and up, and of HF.
REACH_PX = 2 * (7 + 4 + 2) + 3

_REMOVE_MF, _AMPLIFY_MF = _f(c.REMOVE_MF_RANGE), _f(c.AMPLIFY_MF_RANGE)
_REMOVE_HF, _AMPLIFY_HF = _f(c.REMOVE_HF_RANGE), _f(c.AMPLIFY_HF_RANGE)
_REMOVE_UHF = _f(c.REMOVE_UHF_RANGE)
_MAX_HF, _MAX_UHF, _SLOPE = _f(c.MAX_HF), _f(c.MAX_UHF), _f(c.ABOVE_MAX_SLOPE)
_HF_Y, _UHF_Y = _f(c.HF_Y_SCALE), _f(c.UHF_Y_SCALE)
_FLOOR, _REST, _BY_Y = _f(c.SUPPRESS_X_FLOOR), _f(1 - c.SUPPRESS_X_FLOOR), _f(c.SUPPRESS_X_BY_Y)


@inlined
def remove_range(value: np.float32, width: np.float32) -> np.float32:
    """Move `value` towards 0 by `width`, and to 0 within it."""
    return max(value - width, _f(0)) + min(value + width, _f(0))


@inlined
def amplify_range(value: np.float32, width: np.float32) -> np.float32:
    """Move `value` away from 0 by `width`, and double it within it."""
    return value + min(max(value, -width), width)


@inlined
def clamp_softly(value: np.float32, limit: np.float32) -> np.float32:
    """Let `value` rise beyond +-`limit` at a lower slope only."""
    inside = min(max(value, -limit), limit)
    return inside + _SLOPE * (value - inside)


@kernel
def split_low(
    half: Plane, weights: tuple[Plane, Plane], edge_x: Plane, edge_y: Plane, rows: Plane, rest: Plane, low: Plane
) -> None:
    """Split `half`, the downsampled X, Y, B, into MF and LF.

    Parameters
    ----------
    half
        float32[3, h2, w2]; on return, its planes 0 and 1 hold the MF + LF of X and Y that HF is what remains of.
    weights
        The filters of LF and MF, float32 each.
    edge_x, edge_y
        float32[3, w2] and [3, h2]: the edge scales of LF and of MF, and the share of each cell that is in the image.
    rows
        Scratch, float32[2, w2 + 14].
    rest
        Scratch, float32[3, h2, w2].
    low
        Filled: float32[6, h2, w2], the MF of X, Y, B and then their LF.
    """
    lf_weights, mf_weights = weights
    _, height, width = half.shape
    pad = rows[0]
    for channel in range(3):
        for y in range(height):
            lf = low[3 + channel, y]
            blur_row(half[channel], y, lf_weights, edge_x[0], edge_y[0], pad, lf)
            whole, left, inside, inside_y = half[channel, y], rest[channel, y], edge_x[2], edge_y[2, y]
            for x in range(width):
                left[x] = whole[x] - lf[x] * (inside[x] * inside_y)
    for channel in range(3):
        for y in range(height):
            mf, lf, base = low[channel, y], low[3 + channel, y], half[channel, y]
            blur_row(rest[channel], y, mf_weights, edge_x[1], edge_y[1], pad, mf)
            if channel == 0:
                for x in range(width):
                    base[x] = mf[x] + lf[x]
                    mf[x] = remove_range(mf[x], _REMOVE_MF)
            elif channel == 1:
                for x in range(width):
                    base[x] = mf[x] + lf[x]
                    mf[x] = amplify_range(mf[x], _AMPLIFY_MF)


@kernel
def split_high(xyb: Plane, base: Plane, weights: Plane, edge_x: Plane, edge_y: Plane, pad: Plane, high: Plane) -> None:
    """Split what `base` leaves of X and Y into UHF and HF.

    Parameters
    ----------
    xyb
        float32[3, h, w]; on return, its planes 0 and 1 hold HF + UHF before they were split.
    base
        float32[3, h2, w2]: planes 0 and 1 are the MF + LF of X and Y.
    weights, edge_x, edge_y
        The filter of HF and its edge scales, float32.
    pad
        Scratch, float32[w + 6].
    high
        Filled: float32[4, h, w], the HF of X and Y and then their UHF.
    """
    _, height, width = xyb.shape
    row = high[0, 0]
    for y in range(height):
        x_row, y_row = xyb[0, y], xyb[1, y]
        row = high[0, y]
        upsample_row(base[0], y, pad, row)
        for x in range(width):
            x_row[x] -= row[x]
        upsample_row(base[1], y, pad, row)
        for x in range(width):
            fine = y_row[x] - row[x]
            y_row[x] = fine
            x_row[x] *= _FLOOR + _REST * _BY_Y / (fine * fine + _BY_Y)
    for y in range(height):
        hf, uhf, whole = high[0, y], high[2, y], xyb[0, y]
        blur_row(xyb[0], y, weights, edge_x, edge_y, pad, hf)
        for x in range(width):
            coarse = hf[x]
            uhf[x] = remove_range(whole[x] - coarse, _REMOVE_UHF)
            hf[x] = remove_range(coarse, _REMOVE_HF)
        hf, uhf, whole = high[1, y], high[3, y], xyb[1, y]
        blur_row(xyb[1], y, weights, edge_x, edge_y, pad, hf)
        for x in range(width):
            coarse = clamp_softly(hf[x], _MAX_HF)
            uhf[x] = _UHF_Y * clamp_softly(whole[x] - coarse, _MAX_UHF)
            hf[x] = amplify_range(_HF_Y * coarse, _AMPLIFY_HF)
