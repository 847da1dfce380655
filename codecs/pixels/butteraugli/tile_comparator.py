"""Compares many small images of one shape with their references, all in one call."""

import weakref
from collections.abc import Sequence
from typing import Final

import numpy as np

from pixels.butteraugli import color, norms, stacks
from pixels.butteraugli import constants as c
from pixels.butteraugli.comparator import NOWHERE, Pixels, check_margin, check_pixels, freeze
from pixels.butteraugli.filters import FILTERS, find_edges
from pixels.butteraugli.jit import Plane, settle
from pixels.butteraugli.kept import kept
from pixels.butteraugli.norms import Tally
from pixels.butteraugli.rings import Memory, measure
from pixels.butteraugli.stacks import Scale
from pixels.butteraugli.stages import Reference
from pixels.butteraugli.strips import Strip, line_up, measure_strip

#: Of 45 tiles of 64 and 72 px, in strips of 330 to 2400 px: a narrower one loses more to the beginnings of loops, a
#: wider one to the cache.
STRIP_WIDTH_PX: Final = 800
_run = settle(stacks.run)
_NO_SUMS = np.zeros((0, 4))


class TileComparator:
    """Butteraugli distances from many references of one shape.

    Gives what a `Comparator` of each would. As there, memory is shared with what else the thread that makes it
    compares, and it is used by that thread alone.

    Parameters
    ----------
    references
        uint8[h, w, 3] of sRGB each, at least 8 pixels a side; or all in one array, uint8[n, h, w, 3].
    margin_px
        How many pixels at each side of every tile do not count.

    Raises
    ------
    TypeError
        A reference is not an array of uint8.
    ValueError
        There is none, their shapes differ or are not [h, w, 3], a side is under 8 pixels, or the margin leaves nothing.
    """

    def __init__(self, references: Pixels | Sequence[Pixels], *, margin_px: int = 0) -> None:
        if not len(references):
            raise ValueError("there must be at least one reference")
        check_pixels(references[0], "reference")
        height, width, _ = references[0].shape
        check_margin(margin_px, references[0].shape)
        self._shape = (len(references), height, width, 3)
        self._margin_px = margin_px
        self._stack: Pixels | None = None
        strips = -(-len(references) // max(1, STRIP_WIDTH_PX // line_up(1, width).stride))
        # The last strip may have fewer tiles than places.
        count = -(-len(references) // strips)
        half_height, half_width = (height + 1) // 2, (width + 1) // 2
        full, half = line_up(count, width), line_up(count, half_width)
        has_half = min(half_height, half_width) >= c.MIN_SIDE_PX
        half_shape = (half_height, measure_strip(half)) if has_half else (0, 0)
        shapes = (3, half_height, measure_strip(half)), (2, width), (height, measure_strip(full)), half_shape
        scratch = Memory(kept.find_scratch(sum(measure(*shape) for shape in shapes)))
        self._halves, self._rows, *distances = (scratch.take(*shape) for shape in shapes)
        parts = [shape for plane in distances for shape in _find_parts(strips, *plane.shape)]
        block = kept.take_block(sum(measure(*shape) for shape in parts))
        weakref.finalize(self, kept.give_back, block).atexit = False
        known = Memory(block)
        self._scales = _prepare(strips, full, distances[0], known), _prepare(strips, half, distances[1], known)
        self._run(self._gather(references, "reference"), _NO_SUMS)

    def tally(self, distorted: Pixels | Sequence[Pixels]) -> list[Tally]:
        """Return for each tile what its distance is computed from, to be pooled with that of the others.

        Parameters
        ----------
        distorted
            One for each reference and of its shape, as these were given.

        Raises
        ------
        TypeError
            One is not an array of uint8.
        ValueError
            There are more or fewer than references, or one has another shape.
        """
        count, height, width, _ = self._shape
        if len(distorted) != count:
            raise ValueError(f"there are {len(distorted)} distorted tiles, and {count} references")
        sums = np.zeros((count, 4))
        self._run(self._gather(distorted, "distorted"), sums)
        count_px = (height - 2 * self._margin_px) * (width - 2 * self._margin_px)
        return [norms.tally(each, count_px) for each in sums]

    def _run(self, tiles: Pixels, sums: norms.Sums) -> None:
        _run(
            freeze(tiles),
            FILTERS,
            self._scales,
            color.LINEAR,
            self._halves,
            self._rows,
            NOWHERE,
            self._margin_px,
            sums,
        )

    def _gather(self, tiles: Pixels | Sequence[Pixels], name: str) -> Pixels:
        """Return all tiles in one array; a list of them is copied to memory that is kept for the next."""
        if isinstance(tiles, np.ndarray) and tiles.flags.c_contiguous:
            check_pixels(tiles[0], name)
            if tiles.shape != self._shape:
                raise ValueError(f"{name} has the shape {tiles.shape}, not {self._shape}")
            return tiles
        if self._stack is None:
            self._stack = np.empty(self._shape, np.uint8)
        for tile, place in zip(tiles, self._stack, strict=True):
            check_pixels(tile, name)
            if tile.shape != place.shape:
                raise ValueError(f"{name} has the shape {tile.shape}, not {place.shape}")
            place[:] = tile
        return self._stack


def _prepare(strips: int, strip: Strip, distances: Plane, memory: Memory) -> Scale:
    """Return a scale with `memory` for what is to be known of the references there, so many strips like `strip`."""
    reference = Reference(*(memory.take(*shape) for shape in _find_parts(strips, *distances.shape)))
    # Where there is no half scale, it is an axis of nothing that would have no edges.
    edges = find_edges(strip.width, strip.tiles), find_edges(max(1, distances.shape[0]))
    return Scale(edges, kept.find_workspace(edges[0].hf.size), reference, distances)


def _find_parts(strips: int, height: int, width: int) -> tuple[tuple[int, ...], ...]:
    """Return the shapes of what is known of the references in `strips`, in the order of `Reference`."""
    shape, half = (height, width), ((height + 1) // 2, (width + 1) // 2)
    return (strips, 4, *shape), (strips, 6, *half), (strips, *half), (strips, *shape), (strips, *half)
