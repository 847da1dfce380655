"""Cuts an image into regions narrow enough for the rows in use to stay in the processor's cache."""

import functools
from typing import Final, NamedTuple

#: Pixels around a core on which its distances depend: 2 by the opsin blur; 26 by LF, MF and the steps to half
#: resolution and back; 3 by HF; 16 by the mask, its erosion and its steps. A multiple of 4 keeps grids aligned.
HALO_PX: Final = 48
#: Of 2 MP, 400 to 1600 px wide, the widest was the fastest: a narrower one loses more to the halo than it gains in the
#: cache.
CORE_WIDTH_PX: Final = 2048
#: Rows pass through one after the other: a tile may be as high as the image.
CORE_HEIGHT_PX: Final = 1 << 16


class Span(NamedTuple):
    """Along one axis: what is computed, `start` to `stop`, and the core in it that counts, `first` to `last`."""

    start: int
    stop: int
    first: int
    last: int


class Tile(NamedTuple):
    """A region of the image and the core in it."""

    rows: Span
    columns: Span


def cut_axis(length_px: int, core_px: int) -> list[Span]:
    """Cut an axis into equal cores of at most `core_px`, each with its halo; cores begin at multiples of 4."""
    count = -(-length_px // core_px)
    core_px = -(-length_px // (4 * count)) * 4
    return [
        Span(max(0, first - HALO_PX), min(length_px, first + core_px + HALO_PX), first, min(length_px, first + core_px))
        for first in range(0, length_px, core_px)
    ]


@functools.lru_cache(maxsize=64)
def cut(height_px: int, width_px: int, core_height_px: int, core_width_px: int) -> tuple[Tile, ...]:
    """Cut an image into tiles, row by row."""
    columns = cut_axis(width_px, core_width_px)
    return tuple(Tile(rows, span) for rows in cut_axis(height_px, core_height_px) for span in columns)
