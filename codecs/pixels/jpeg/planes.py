"""Pixels to luma and chroma, and chroma at half resolution in such a way that the decoder's picture is close.

A decoder enlarges half-size chroma by linear interpolation, 3/4 of the nearer sample and 1/4 of the farther one each
way. Two things are done ahead of that here. Chroma is sharpened by what interpolation will blur. And where it still
comes out wrong, along coloured edges, luma takes up the change of luminance that the wrong chroma would make: the eye,
and butteraugli, see luminance much more sharply than hue. (The aim is that of libwebp's "sharp YUV", which iterates; to
first order one pass does it.)

All planes are of a strip of the image: `first_row` is the image's row that is the strip's first, and rows outside the
image repeat its border.
"""

import numpy as np
import numpy.typing as npt

from pixels.butteraugli.jit import Plane
from pixels.jpeg.jit import inlined, kernel

Pixels = npt.NDArray[np.uint8]

# Numba fixes the type of a constant where it is written: a float64 among float32 would halve the speed.
_F = np.float32
#: How much of the blur of interpolation is anticipated; all of it rings.
_SHARPENING = _F(0.8)
_NEAR, _FAR = _F(0.75), _F(0.25)
#: Interpolating and taking means of two again, as a filter: what is left of a sample, and what comes from each side.
_KEPT, _SPREAD = _F(0.75), _F(0.125)
#: JFIF's YCbCr: luma's weights, and what a unit of Cb and Cr adds to R, G and B.
_RED, _GREEN, _BLUE = _F(0.299), _F(0.587), _F(0.114)
_CB_SCALE, _CR_SCALE = _F(0.5 / (1 - 0.114)), _F(0.5 / (1 - 0.299))
_CR_TO_RED, _CB_TO_BLUE = _F(1.402), _F(1.772)
_CB_TO_GREEN, _CR_TO_GREEN = _F(-0.344136), _F(-0.714136)
#: Shares of luminance, of linear light (BT.709).
_RED_LIGHT, _GREEN_LIGHT, _BLUE_LIGHT = _F(0.2126), _F(0.7152), _F(0.0722)
#: (v + 1.5) (v + 918) is proportional to the slope of sRGB's curve at v, 0-255, within 1 % of the largest slope.
_SLOPE_ZERO, _SLOPE_BEND = _F(1.5), _F(918)
_GREY = _F(128)


@kernel
def convert(flat_rgb: Pixels, first_row: int, y: Plane, cb: Plane, cr: Plane) -> None:
    """Fill a strip of YCbCr, float32[n, m] each, -128 to 127 (m is the width rounded up), from uint8[h, 3 * w].

    With the pixels in an axis of their own, the step from one to the next would be no constant to the compiler, and the
    loop not vectorised.
    """
    height, width = flat_rgb.shape[0], flat_rgb.shape[1] // 3
    for i in range(y.shape[0]):
        source = flat_rgb[min(max(first_row + i, 0), height - 1)]
        for j in range(width):
            red, green, blue = _F(source[3 * j]), _F(source[3 * j + 1]), _F(source[3 * j + 2])
            luma = _RED * red + _GREEN * green + _BLUE * blue
            y[i, j] = luma - _GREY
            cb[i, j] = (blue - luma) * _CB_SCALE
            cr[i, j] = (red - luma) * _CR_SCALE
        for plane in (y, cb, cr):
            plane[i, width:] = plane[i, width - 1]


@kernel
def copy_grey(grey: Pixels, first_row: int, y: Plane) -> None:
    """Fill a strip of luma, float32[n, m], -128 to 127, from uint8[h, w]."""
    height, width = grey.shape
    for i in range(y.shape[0]):
        source = grey[min(max(first_row + i, 0), height - 1)]
        for j in range(width):
            y[i, j] = _F(source[j]) - _GREY
        y[i, width:] = y[i, width - 1]


@kernel
def halve(plane: Plane, half: Plane) -> None:
    """Take the means of 2 x 2 samples of float32[n, m] into float32[n / 2, m / 2 + 2], a border column at each side."""
    for i in range(half.shape[0]):
        upper, lower, out = plane[2 * i], plane[2 * i + 1], half[i]
        for j in range(plane.shape[1] // 2):
            out[j + 1] = _FAR * (upper[2 * j] + upper[2 * j + 1] + lower[2 * j] + lower[2 * j + 1])
        _repeat_border(out)


@kernel
def sharpen(half: Plane, row: Plane, out: Plane) -> None:
    """Sharpen half-size chroma by what interpolation will blur; the first and last row of `out` are not written.

    `row` is scratch as wide as `half`.
    """
    width = half.shape[1]
    for i in range(1, half.shape[0] - 1):
        above, here, below, sharp = half[i - 1], half[i], half[i + 1], out[i]
        for j in range(width):
            row[j] = _KEPT * here[j] + _SPREAD * (above[j] + below[j])
        for j in range(1, width - 1):
            blurred = _KEPT * row[j] + _SPREAD * (row[j - 1] + row[j + 1])
            sharp[j] = here[j] + _SHARPENING * (here[j] - blurred)
        _repeat_border(sharp)


@kernel
def correct_luma(width: int, full: tuple[Plane, Plane], half: tuple[Plane, Plane], rows: Plane, y: Plane) -> None:
    """Change luma so that the luminance stays what it was when `half` takes the place of `full`.

    Parameters
    ----------
    width
        Of the picture; the samples beyond repeat its last ones.
    full, half
        Cb and Cr, at full resolution and at half with its border columns.
    rows
        Scratch, float32[4, m + 2].
    y
        The first 4 and the last 4 rows are left alone.
    """
    near_cb, near_cr, cb, cr = rows[0], rows[1], rows[2], rows[3]
    for i in range(4, y.shape[0] - 4):
        near = i // 2
        far = near + 1 if i % 2 else near - 1
        _enlarge(half[0][near], half[0][far], near_cb, cb)
        _enlarge(half[1][near], half[1][far], near_cr, cr)
        true_cb, true_cr, luma = full[0][i], full[1][i], y[i]
        for j in range(width):
            # What the pixel was: cheaper than to pick it out of the interleaved ones again.
            grey = luma[j] + _GREY
            red = _slope(grey + _CR_TO_RED * true_cr[j]) * _RED_LIGHT
            green = _slope(grey + _CB_TO_GREEN * true_cb[j] + _CR_TO_GREEN * true_cr[j]) * _GREEN_LIGHT
            blue = _slope(grey + _CB_TO_BLUE * true_cb[j]) * _BLUE_LIGHT
            more_cb, more_cr = cb[j] - true_cb[j], cr[j] - true_cr[j]
            brighter = more_cb * (blue * _CB_TO_BLUE + green * _CB_TO_GREEN)
            brighter += more_cr * (red * _CR_TO_RED + green * _CR_TO_GREEN)
            luma[j] -= brighter / (red + green + blue)
        y[i, width:] = y[i, width - 1]


@inlined
def _slope(value: np.float32) -> np.float32:
    return (value + _SLOPE_ZERO) * (value + _SLOPE_BEND)


@inlined
def _enlarge(near: Plane, far: Plane, row: Plane, out: Plane) -> None:
    width = near.shape[0]
    for j in range(width):
        row[j] = _NEAR * near[j] + _FAR * far[j]
    for j in range(width - 2):
        out[2 * j] = _NEAR * row[j + 1] + _FAR * row[j]
        out[2 * j + 1] = _NEAR * row[j + 1] + _FAR * row[j + 2]


@inlined
def _repeat_border(row: Plane) -> None:
    row[0] = row[1]
    row[-1] = row[-2]
