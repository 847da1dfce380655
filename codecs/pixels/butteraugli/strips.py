"""Tiles of one shape side by side, so that a loop runs over one long row in place of many short ones.

To begin all the loops over a row costs as much as 40 pixels more in it. What is between two tiles, the gap, is 0
wherever a filter reads across it, and wide enough for all but LF, which is given a wider one (`blur.blur_row_apart`).
An image by itself is a strip of one tile.
"""

from typing import Final, NamedTuple

import numpy as np

from pixels.butteraugli.jit import Plane, inlined, shared

#: Between two tiles at half resolution: how far MF reaches, and the lines of Malta between interpolated samples.
GAP_CELLS: Final = 4


class Strip(NamedTuple):
    """How many tiles there are, how wide each is, and how many columns after the one before each begins.

    `stride` is even, so that at half resolution it is half.
    """

    tiles: int
    width: int
    stride: int


@shared
def line_up(tiles: int, width: int) -> Strip:
    """Return the strip of `tiles` tiles of `width` columns."""
    return Strip(tiles, width, 2 * ((width + 1) // 2 + GAP_CELLS))


@shared
def halve_strip(strip: Strip) -> Strip:
    """Return the same strip at half resolution."""
    return Strip(strip.tiles, (strip.width + 1) // 2, strip.stride // 2)


@shared
def measure_strip(strip: Strip) -> int:
    """Return the number of columns; there is no gap after the last tile."""
    return (strip.tiles - 1) * strip.stride + strip.width


@inlined
def fill_gaps(row: Plane, strip: Strip, value: np.float32) -> None:
    """Set all columns of `row` that are between two tiles to `value`."""
    for tile in range(1, strip.tiles):
        for x in range((tile - 1) * strip.stride + strip.width, tile * strip.stride):
            row[x] = value


@inlined
def repeat_last_column(row: Plane, strip: Strip) -> None:
    """Write the last column of each tile but the last of the strip once more, into the gap.

    So the mean over it and the next column is its own where a tile's width is odd.
    """
    for tile in range(1, strip.tiles):
        end = (tile - 1) * strip.stride + strip.width
        row[end] = row[end - 1]
