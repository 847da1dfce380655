"""Visual masking: detail in the reference hides differences near it.

How much detail there is, is blurred so much that half resolution holds it: it is compared there. Only the erosion of
the mask, which has sharp ridges, is at full resolution.
"""

import numpy as np

from pixels.butteraugli import constants as c
from pixels.butteraugli.blur import blur_row, upsample_row
from pixels.butteraugli.color import halve_row
from pixels.butteraugli.filters import Edges
from pixels.butteraugli.jit import Plane, inlined, kernel
from pixels.butteraugli.rings import slot
from pixels.butteraugli.strips import Strip, fill_gaps, halve_strip, repeat_last_column

_f = np.float32
_STEP = c.EROSION_STEP_PX
_MARGIN = 4

_X, _Y = _f(c.MASK_X_SCALE), _f(c.MASK_Y_SCALE)
_GAIN, _BIAS = _f(c.MASK_GAIN), _f(c.MASK_GAIN * c.MASK_BIAS)
_ROOT_BIAS = _f((c.MASK_GAIN * c.MASK_BIAS) ** 0.5)
_SMALLEST, _SECOND, _THIRD = (_f(share) for share in c.EROSION_SHARES)
_GLOBAL = _f(c.GLOBAL_SCALE)
_AC_OFFSET, _AC_SLOPE, _AC_GAIN = (_f(value) for value in c.AC_MASK)
_DC_OFFSET, _DC_SLOPE, _DC_GAIN = (_f(value) for value in c.DC_MASK)


@kernel
def sense(high: Plane, first: int, last: int, out: Plane) -> None:
    """Write how much detail there is in rows `first` to `last` (exclusive) of `high` to `out`.

    `high`, float32[4, n, w], is a ring of the HF of X and Y and the UHF of X and Y; `out` is a ring, float32[n, w].
    """
    for y in range(first, last):
        at = slot(high.shape[1], y)
        _sense_row(high[0, at], high[1, at], high[2, at], high[3, at], out[slot(out.shape[0], y)])


@inlined
def _sense_row(hf_x: Plane, hf_y: Plane, uhf_x: Plane, uhf_y: Plane, out: Plane) -> None:
    for x in range(out.size):
        red_green = _X * (hf_x[x] + uhf_x[x])
        luminance = _Y * (hf_y[x] + uhf_y[x])
        detail = np.sqrt(red_green * red_green + luminance * luminance)
        out[x] = np.sqrt(_GAIN * detail + _BIAS) - _ROOT_BIAS


@kernel
def blur(activity: Plane, weights: Plane, edges: tuple[Edges, Edges], pad: Plane, out: Plane) -> None:
    """Blur `activity`, float32[h2, w2], into `out`; `pad`, float32[w2 + 6], is scratch."""
    x_edges, y_edges = edges
    for y in range(out.shape[0]):
        blur_row(activity, y, x_edges.strip.tiles, weights, x_edges.mask, y_edges.mask, pad, out[y])


@kernel
def find_visibility(blurred: Plane, strip: Strip, spread: Plane, rows: Plane, ac: Plane, dc: Plane) -> None:
    """Erode the mask and write by what squared differences of detail, and of LF, are multiplied.

    The erosion is 0.45, 0.3 and 0.25 of the three smallest values of a pixel and its 8 neighbours 3 px away, of which
    the last two start at twice the pixel's own. So the mask is low wherever a smooth area is near: there a difference
    shows. Outside the image there is nothing small.

    Parameters
    ----------
    blurred
        float32[h2, w2], of `blur`, for the tiles of `strip`.
    spread
        Scratch, float32[8, w + 8]: a ring of rows interpolated to full resolution, inside margins of infinity.
    rows
        Scratch, float32[3, w + 2].
    ac, dc
        float32[h, w], and float32[h2, w2]: its means over 2 x 2 pixels.
    """
    height, width = ac.shape
    cells = halve_strip(strip)
    spread[:] = np.inf
    for y in range(height + _STEP):
        if y < height:
            into = spread[y & 7, _MARGIN : _MARGIN + width]
            upsample_row(blurred, y, cells, blurred.shape[0], rows[0], into)
            _keep_positive(into)
            fill_gaps(into, strip, _f(np.inf))
        at = y - _STEP
        if at < 0:
            continue
        if y >= height:
            spread[y & 7] = np.inf
        _erode_row(spread[(at - _STEP) & 7], spread[at & 7], spread[y & 7], rows[0, :width])
        now = rows[1 + at % 2, :width]
        _see_row(rows[0], ac[at], now)
        repeat_last_column(now, strip)
        if at % 2 == 1 or at == height - 1:
            halve_row(rows[1, :width], now, dc[at // 2])


@inlined
def _keep_positive(row: Plane) -> None:
    # Interpolated beyond the border, the mask may fall below 0, where visibility has a pole.
    for x in range(row.size):
        row[x] = max(row[x], _f(0))


@inlined
def _erode_row(above: Plane, level: Plane, below: Plane, out: Plane) -> None:
    left, middle, right = _MARGIN - _STEP, _MARGIN, _MARGIN + _STEP
    for x in range(out.size):
        first = level[x + middle]
        second = first + first
        third = second
        for value in (level[x + left], above[x + left], below[x + left]):
            third = min(third, max(second, value))
            second = min(second, max(first, value))
            first = min(first, value)
        for value in (level[x + right], above[x + right], below[x + right]):
            third = min(third, max(second, value))
            second = min(second, max(first, value))
            first = min(first, value)
        for value in (above[x + middle], below[x + middle]):
            third = min(third, max(second, value))
            second = min(second, max(first, value))
            first = min(first, value)
        out[x] = _SMALLEST * first + _SECOND * second + _THIRD * third


@inlined
def _see_row(mask: Plane, ac: Plane, dc: Plane) -> None:
    for x in range(ac.size):
        value = mask[x]
        visible = _GLOBAL + _GLOBAL * _AC_GAIN / (_AC_SLOPE * value + _AC_OFFSET)
        ac[x] = visible * visible
        visible = _GLOBAL + _GLOBAL * _DC_GAIN / (_DC_SLOPE * value + _DC_OFFSET)
        dc[x] = visible * visible
