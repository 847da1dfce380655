"""Squares of a picture, taken out as they were quantised.

The quality search looks at some squares of what it has encoded. To decode the whole file for that costs a tenth of what
encoding it did; to keep the coefficients of these squares costs next to nothing.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np

from pixels.jpeg.trellis import Coefficients
from pixels.tiles import Corner

#: A block's samples each way; with chroma at half resolution a block of chroma covers twice as many pixels.
_BLOCK: Final = 8


class Excerpt:
    """Collects the coefficients of squares while a picture is encoded strip by strip.

    Parameters
    ----------
    corners
        Multiples of 16; the squares lie inside the picture.
    side_px
        A multiple of 16.

    Attributes
    ----------
    squares
        The components of each square, once the last strip was taken.
    data
        The squares below each other as a JPEG, once the encoder has written it.
    """

    def __init__(self, corners: Sequence[Corner], side_px: int) -> None:
        self.data = b""
        self.side_px = side_px
        self._corners = corners
        self.squares: list[list[Coefficients]] = []

    @property
    def height_px(self) -> int:
        """Of all squares below each other."""
        return self.side_px * len(self._corners)

    def take(self, first_row: int, components: list[Coefficients]) -> None:
        """Copy what the squares have of a strip.

        Parameters
        ----------
        first_row
            Of the strip in the picture; a multiple of 16.
        components
            int16[n, m, 64] each, luma first.
        """
        units = [_BLOCK * components[0].shape[0] // each.shape[0] for each in components]
        end_row = first_row + _BLOCK * components[0].shape[0]
        if not self.squares:
            sides = [self.side_px // unit for unit in units]
            self.squares = [[np.zeros((side, side, 64), np.int16) for side in sides] for _ in self._corners]
        for (top, left), square in zip(self._corners, self.squares, strict=True):
            start, stop = max(top, first_row), min(top + self.side_px, end_row)
            if start >= stop:
                continue
            for unit, strip, kept in zip(units, components, square, strict=True):
                columns = slice(left // unit, (left + self.side_px) // unit)
                rows = slice((start - first_row) // unit, (stop - first_row) // unit)
                kept[(start - top) // unit : (stop - top) // unit] = strip[rows, columns]
