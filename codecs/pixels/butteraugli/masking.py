"""Visual masking: detail in the reference hides differences near it."""

import numpy as np

from pixels.butteraugli import constants as c
from pixels.butteraugli.blur import blur_row, gaussian
from pixels.butteraugli.jit import Plane, kernel

_f = np.float32
WEIGHTS = gaussian(c.MASK_SIGMA)
#: Pixels that the mask depends on to each side.
REACH_PX = len(WEIGHTS) - 1 + c.EROSION_STEP_PX
_STEP = c.EROSION_STEP_PX

_X, _Y = _f(c.MASK_X_SCALE), _f(c.MASK_Y_SCALE)
_GAIN, _BIAS = _f(c.MASK_GAIN), _f(c.MASK_GAIN * c.MASK_BIAS)
_ROOT_BIAS = _f((c.MASK_GAIN * c.MASK_BIAS) ** 0.5)
_SMALLEST, _SECOND, _THIRD = (_f(share) for share in c.EROSION_SHARES)
_GLOBAL = _f(c.GLOBAL_SCALE)
_AC_OFFSET, _AC_SLOPE, _AC_GAIN = (_f(value) for value in c.AC_MASK)
_DC_OFFSET, _DC_SLOPE, _DC_GAIN = (_f(value) for value in c.DC_MASK)


@kernel
def sense(high: Plane, out: Plane) -> None:
    """Write how much detail there is in `high`, float32[4, h, w] (HF of X and Y, UHF of X and Y), to `out`."""
    _, height, width = high.shape
    for y in range(height):
        hf_x, hf_y, uhf_x, uhf_y, row = high[0, y], high[1, y], high[2, y], high[3, y], out[y]
        for x in range(width):
            red_green = _X * (hf_x[x] + uhf_x[x])
            luminance = _Y * (hf_y[x] + uhf_y[x])
            detail = np.sqrt(red_green * red_green + luminance * luminance)
            row[x] = np.sqrt(_GAIN * detail + _BIAS) - _ROOT_BIAS


@kernel
def blur(plane: Plane, weights: Plane, edge_x: Plane, edge_y: Plane, pad: Plane, out: Plane) -> None:
    """Blur `plane`, float32[h, w], into `out`; `pad` is scratch, float32[w + 12]."""
    for y in range(plane.shape[0]):
        blur_row(plane, y, weights, edge_x, edge_y, pad, out[y])


@kernel
def erode(plane: Plane, rows: Plane, out: Plane) -> None:
    """Write a soft minimum of `plane`, float32[h, w], over each pixel and its 8 neighbours 3 px away, to `out`.

    It is 0.45, 0.3 and 0.25 of the three smallest values, of which the last two start at twice the pixel's own. So
    the mask is low wherever a smooth area is near: there a difference shows. `rows`, float32[3, w + 6], is scratch.
    """
    height, width = plane.shape
    rows[:3, : width + 2 * _STEP] = np.inf
    for y in range(height):
        for index in range(3):
            other = y + (index - 1) * _STEP
            target = rows[index, _STEP : _STEP + width]
            if 0 <= other < height:
                source = plane[other]
                for x in range(width):
                    target[x] = source[x]
            else:
                target[:] = np.inf
        above, level, below, row = rows[0], rows[1], rows[2], out[y]
        for x in range(width):
            first = level[x + _STEP]
            second = first + first
            third = second
            for value in (level[x], above[x], below[x]):
                third = min(third, max(second, value))
                second = min(second, max(first, value))
                first = min(first, value)
            for value in (level[x + 6], above[x + 6], below[x + 6]):
                third = min(third, max(second, value))
                second = min(second, max(first, value))
                first = min(first, value)
            for value in (above[x + 3], below[x + 3]):
                third = min(third, max(second, value))
                second = min(second, max(first, value))
                first = min(first, value)
            row[x] = _SMALLEST * first + _SECOND * second + _THIRD * third


@kernel
def find_visibility(mask: Plane, ac: Plane, dc: Plane) -> None:
    """Write to `ac` and `dc` by what a squared difference of detail, and of LF, is multiplied under `mask`."""
    for y in range(mask.shape[0]):
        row, ac_row, dc_row = mask[y], ac[y], dc[y]
        for x in range(mask.shape[1]):
            value = row[x]
            visible = _GLOBAL + _GLOBAL * _AC_GAIN / (_AC_SLOPE * value + _AC_OFFSET)
            ac_row[x] = visible * visible
            visible = _GLOBAL + _GLOBAL * _DC_GAIN / (_DC_SLOPE * value + _DC_OFFSET)
            dc_row[x] = visible * visible
