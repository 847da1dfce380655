"""Splits X, Y, B into frequency bands: low (LF), medium (MF), high (HF) and ultra high (UHF).

LF and MF hold no detail finer than a few pixels: they are made, kept and compared at half resolution. HF is what the
two leave, so only their sum is interpolated back to full resolution.
"""

import numpy as np

from pixels.butteraugli import constants as c
from pixels.butteraugli.blur import blur_row, blur_row_apart, upsample_row
from pixels.butteraugli.filters import Edges
from pixels.butteraugli.jit import Plane, inlined, kernel
from pixels.butteraugli.rings import slot
from pixels.butteraugli.strips import fill_gaps, halve_strip

_f = np.float32
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
def split_lf(
    half: Plane, weights: Plane, edges: tuple[Edges, Edges], first: int, last: int, rows: Plane, rest: Plane, low: Plane
) -> None:
    """Write LF of rows `first` to `last` (exclusive) to planes 3 to 5 of `low`, and what it leaves to `rest`.

    `half`, `rest` and `low` are rings, float32[3, n, w2] and float32[6, n, w2]; `half` is X, Y, B downsampled. `rows`,
    float32[3, n (w + 7) + 7] for n tiles of w cells, is scratch.
    """
    x_edges, y_edges = edges
    cells = halve_strip(x_edges.strip)
    for y in range(first, last):
        source, left, target = slot(half.shape[1], y), slot(rest.shape[1], y), slot(low.shape[1], y)
        for channel in range(3):
            lf = low[3 + channel, target]
            if cells.tiles == 1:
                blur_row(half[channel], y, 1, weights, x_edges.lf, y_edges.lf, rows[0], lf)
            else:
                blur_row_apart(half[channel], y, cells, weights, x_edges.lf, y_edges.lf, rows, lf)
            _subtract_inside(half[channel, source], lf, x_edges.share, y_edges.share[y], rest[channel, left])


@inlined
def _subtract_inside(whole: Plane, part: Plane, share_x: Plane, share_y: np.float32, out: Plane) -> None:
    for x in range(out.size):
        out[x] = whole[x] - part[x] * (share_x[x] * share_y)


@kernel
def split_mf(
    rest: Plane, weights: Plane, edges: tuple[Edges, Edges], first: int, last: int, pad: Plane, low: Plane, base: Plane
) -> None:
    """Write MF of rows `first` to `last` (exclusive) to planes 0 to 2 of `low`, and MF + LF of X and Y to `base`.

    `rest` and `low` are of `split_lf`; `base` is a ring, float32[2, n, w2]; `pad`, float32[w2 + 8], is scratch.
    """
    x_edges, y_edges = edges
    for y in range(first, last):
        target, under = slot(low.shape[1], y), slot(base.shape[1], y)
        for channel in range(3):
            blur_row(rest[channel], y, x_edges.strip.tiles, weights, x_edges.mf, y_edges.mf, pad, low[channel, target])
        _finish_mf_x(low[0, target], low[3, target], base[0, under])
        _finish_mf_y(low[1, target], low[4, target], base[1, under])


@inlined
def _finish_mf_x(mf: Plane, lf: Plane, base: Plane) -> None:
    for x in range(base.size):
        base[x] = mf[x] + lf[x]
        mf[x] = remove_range(mf[x], _REMOVE_MF)


@inlined
def _finish_mf_y(mf: Plane, lf: Plane, base: Plane) -> None:
    for x in range(base.size):
        base[x] = mf[x] + lf[x]
        mf[x] = amplify_range(mf[x], _AMPLIFY_MF)


@kernel
def leave_fine(base: Plane, edges: tuple[Edges, Edges], first: int, last: int, rows: Plane, xy: Plane) -> None:
    """Take `base`, interpolated, from X and Y of rows `first` to `last` (exclusive): what is left is HF + UHF.

    `base` is of `split_mf`; `xy`, float32[2, n, w], is a ring and changed in place, with 0 in the gaps; `rows`,
    float32[3, w + 2], is scratch.
    """
    width, half_height, strip = xy.shape[2], edges[1].share.size, edges[0].strip
    cells = halve_strip(strip)
    for y in range(first, last):
        at = slot(xy.shape[1], y)
        upsample_row(base[0], y, cells, half_height, rows[0], rows[1, :width])
        upsample_row(base[1], y, cells, half_height, rows[0], rows[2, :width])
        _leave_fine_row(rows[1], rows[2], xy[0, at], xy[1, at])
        fill_gaps(xy[0, at], strip, _f(0))
        fill_gaps(xy[1, at], strip, _f(0))


@inlined
def _leave_fine_row(base_x: Plane, base_y: Plane, opponent: Plane, luminance: Plane) -> None:
    for x in range(opponent.size):
        fine = luminance[x] - base_y[x]
        luminance[x] = fine
        opponent[x] = (opponent[x] - base_x[x]) * (_FLOOR + _REST * _BY_Y / (fine * fine + _BY_Y))


@kernel
def split_high(
    fine: Plane, weights: Plane, edges: tuple[Edges, Edges], first: int, last: int, pad: Plane, high: Plane
) -> None:
    """Split X and Y of `fine`, of `leave_fine`, into HF and UHF, in rows `first` to `last` (exclusive).

    `high`, float32[4, n, w], is filled: HF of X and Y, then their UHF; `pad`, float32[w + 6], is scratch.
    """
    x_edges, y_edges = edges
    for y in range(first, last):
        source, target = slot(fine.shape[1], y), slot(high.shape[1], y)
        blur_row(fine[0], y, x_edges.strip.tiles, weights, x_edges.hf, y_edges.hf, pad, high[0, target])
        blur_row(fine[1], y, x_edges.strip.tiles, weights, x_edges.hf, y_edges.hf, pad, high[1, target])
        _split_high_x(fine[0, source], high[0, target], high[2, target])
        _split_high_y(fine[1, source], high[1, target], high[3, target])


@inlined
def _split_high_x(whole: Plane, hf: Plane, uhf: Plane) -> None:
    for x in range(whole.size):
        coarse = hf[x]
        uhf[x] = remove_range(whole[x] - coarse, _REMOVE_UHF)
        hf[x] = remove_range(coarse, _REMOVE_HF)


@inlined
def _split_high_y(whole: Plane, hf: Plane, uhf: Plane) -> None:
    for x in range(whole.size):
        coarse = clamp_softly(hf[x], _MAX_HF)
        uhf[x] = _UHF_Y * clamp_softly(whole[x] - coarse, _MAX_UHF)
        hf[x] = amplify_range(_HF_Y * coarse, _AMPLIFY_HF)
