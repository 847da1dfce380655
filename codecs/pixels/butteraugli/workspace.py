"""The scratch memory of one tile, laid out once and used by every probe."""

import functools
import threading

import numpy as np

from pixels.butteraugli import bands, masking
from pixels.butteraugli.blur import edge_scale, share_inside
from pixels.butteraugli.jit import Plane
from pixels.butteraugli.malta import MARGIN


class Edges:
    """The edge scales of every filter along one axis, for tiles of one length."""

    def __init__(self, length_px: int) -> None:
        whole, shares = np.ones(length_px), share_inside(length_px)
        self.low = np.stack(
            (edge_scale(shares, bands.LF_WEIGHTS), edge_scale(shares, bands.MF_WEIGHTS), shares.astype(np.float32))
        )
        self.hf = edge_scale(whole, bands.HF_WEIGHTS)
        self.mask = edge_scale(whole, masking.WEIGHTS)


@functools.lru_cache(maxsize=64)
def find_edges(length_px: int) -> Edges:
    """Return the edge scales for an axis; tiles of one length share them."""
    return Edges(length_px)


class Workspace:
    """Planes for tiles of `height` by `width`, views of `memory`: what is dead by then lends its memory to the next."""

    def __init__(self, height: int, width: int, memory: Plane) -> None:
        self._memory = memory
        self._used = 0
        self.x_edges, self.y_edges = find_edges(width), find_edges(height)
        half_height, half_width = (height + 1) // 2, (width + 1) // 2
        padded = (height + 2 * MARGIN, width + 2 * MARGIN)
        half_padded = (half_height + 2 * MARGIN, half_width + 2 * MARGIN)
        self.rows = self._take(7, width + 24)
        self.ac = self._take(height, width)
        self.high = self._take(4, height, width)
        self.low = self._take(6, half_height, half_width)
        start = self._used
        self.linear = self._take(3, height, width)
        self.xyb = self._take(3, height, width)
        used = self._used
        # The linear image and the rests are dead once X, Y, B are made and split.
        self._used = start
        self.half = self._take(3, half_height, half_width)
        self.rest = self._take(3, half_height, half_width)
        used = max(used, self._used)
        # All of these are dead once the bands are made.
        self._used = start
        self.activity = self._take(height, width)
        self.distances = self._take(height, width)
        self.difference = self._take(*padded)
        self.triples = self._take(2, *padded)
        self.busy = np.empty(padded[0], np.bool_)
        self.half_busy = np.empty(half_padded[0], np.bool_)
        self.half_difference = self._take(*half_padded)
        self.between = self._take(3, *half_padded)
        self.low_ac = self._take(half_height, half_width)
        self.low_dc = self._take(half_height, half_width)
        self.size = max(used, self._used)

    def _take(self, *shape: int) -> Plane:
        count = int(np.prod(shape))
        start = self._used
        # A cache line is 16 samples: planes begin at one, and not all at the same distance from a page.
        self._used += -(-count // 16) * 16 + 16
        return self._memory[start : start + count].reshape(shape)


def measure(height: int, width: int) -> int:
    """Return how many samples of memory tiles up to `height` by `width` need."""
    plane = (height + 2 * MARGIN + 2) * (width + 2 * MARGIN + 2)
    return 15 * plane + 7 * (width + 24) + 64 * 16


_kept = threading.local()


def scratch(size: int) -> Plane:
    """Return `size` samples of memory that all comparators of this thread share: none keeps anything in it."""
    memory: Plane | None = getattr(_kept, "memory", None)
    if memory is None or memory.size < size:
        memory = _kept.memory = np.empty(size, np.float32)
    return memory
