"""Cuts an image into regions small enough for the processor's cache."""

from typing import NamedTuple

from pixels.butteraugli import bands, masking

#: Pixels around a core on which its distances depend: opsin blur, bands, mask; a multiple of 4 keeps grids aligned.
HALO_PX = -(-(2 + bands.REACH_PX + masking.REACH_PX) // 4) * 4
#: At 2 MP no smaller core was faster: what it gains in the cache, it loses to the halo.
CORE_WIDTH_PX = 1024
CORE_HEIGHT_PX = 512


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


def cut(height_px: int, width_px: int, core_height_px: int, core_width_px: int) -> list[Tile]:
    """Cut an image into tiles, row by row."""
    columns = cut_axis(width_px, core_width_px)
    return [Tile(rows, span) for rows in cut_axis(height_px, core_height_px) for span in columns]
