"""sRGB to linear light."""

import numpy as np
import numpy.typing as npt

from pixels.butteraugli.jit import Plane, inlined, kernel
from pixels.butteraugli.rings import slot
from pixels.butteraugli.strips import Strip, line_up


def _decode_srgb() -> npt.NDArray[np.float32]:
    """Return linear light in [0, 1] for the 256 codes of sRGB (IEC 61966-2-1)."""
    code = np.arange(256) / 255
    return np.where(code <= 0.04045, code / 12.92, ((code + 0.055) / 1.055) ** 2.4).astype(np.float32)


#: float32[256], linear light in [0, 1].
LINEAR = _decode_srgb()


@kernel
def linearize(
    rgb: npt.NDArray[np.uint8],
    linear: Plane,
    strip: Strip,
    corner: tuple[int, int],
    first: int,
    last: int,
    out: Plane,
    half: Plane,
) -> None:
    """Write rows `first` to `last` (exclusive) of the region that begins at `corner` of each image as linear light.

    Parameters
    ----------
    rgb
        uint8[count, h, w, 3] of sRGB, whole images, the last of which stands for those that are missing in `strip`.
    linear
        `LINEAR`.
    strip
        The regions side by side.
    corner, first
        Top and left of the region, and the first of its rows: all even.
    last
        Even, unless it is the end of the image.
    out
        Filled: float32[3, n, strip's w], a ring.
    half
        Filled where the rows lie: float32[3, (h + 1) // 2, w2], means over 2 x 2 pixels, of images of half the size
        side by side. At an odd last row or column of the image the mean is over the pixels that there are.
    """
    top, left = corner
    width, cells = strip.width, (strip.width + 1) // 2
    halves = line_up(strip.tiles, cells)
    for y in range(first, last):
        at, above = slot(out.shape[1], y), slot(out.shape[1], y - y % 2)
        for tile in range(strip.tiles):
            begin = tile * strip.stride
            end = begin + width
            row = rgb[min(tile, rgb.shape[0] - 1), top + y, left : left + width]
            _look_up(row, linear, out[0, at, begin:end], out[1, at, begin:end], out[2, at, begin:end])
            if y % 2 == 1 or y == last - 1:
                half_begin = left // 2 + tile * halves.stride
                for channel in range(3):
                    target = half[channel, (top + y) // 2, half_begin : half_begin + cells]
                    halve_row(out[channel, above, begin:end], out[channel, at, begin:end], target)


@inlined
def _look_up(row: npt.NDArray[np.uint8], linear: Plane, red: Plane, green: Plane, blue: Plane) -> None:
    for x in range(red.size):
        red[x] = linear[row[x, 0]]
        green[x] = linear[row[x, 1]]
        blue[x] = linear[row[x, 2]]


@inlined
def halve_row(above: Plane, below: Plane, out: Plane) -> None:
    """Write the means over 2 x 2 samples of two rows, float32[w], to `out`, float32[(w + 1) // 2]."""
    quarter, width = np.float32(0.25), above.size
    for x in range(width // 2):
        out[x] = quarter * (above[2 * x] + above[2 * x + 1] + below[2 * x] + below[2 * x + 1])
    if width % 2:
        out[width // 2] = np.float32(0.5) * (above[width - 1] + below[width - 1])


@kernel
def copy_rows(plane: Plane, top: int, left: int, first: int, last: int, out: Plane) -> None:
    """Write the same rows of linear light as `linearize`, but from `plane`, float32[3, h, w], which holds it."""
    width = out.shape[2]
    for channel in range(3):
        for y in range(first, last):
            _copy(plane[channel, top + y, left : left + width], out[channel, slot(out.shape[1], y)])


@inlined
def _copy(row: Plane, out: Plane) -> None:
    for x in range(out.size):
        out[x] = row[x]
