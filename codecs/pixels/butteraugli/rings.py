"""Planes of which only the rows in use are kept.

The image goes through all stages a few rows at a time, so that a row is read again while it is still in the processor's
cache. What is between two stages is a ring of n rows, a power of two, that keeps row y at y & (n - 1). A whole plane is
a ring that never wraps: every kernel takes either.
"""

import math
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from pixels.butteraugli.jit import Plane, inlined

#: Samples around the rows of `Workspace` for the margin of Malta and the longest filter.
_MARGIN: Final = 4
_SCRATCH_MARGIN: Final = 24


@inlined
def slot(count: int, y: int) -> int:
    """Return where a ring, or a whole plane, of `count` rows keeps row `y`."""
    return y & (count - 1) if y >= count else y


class Workspace(NamedTuple):
    """Rings for tiles of one width, in the order in which they are filled.

    `rows` is scratch. `linear`, `xy` (which becomes its own fine detail), `blue`, `high` and `activity` are at full
    resolution, `half`, `rest`, `low`, `base` and `sensed` at half. The others only a comparison needs: differences with
    a margin, which rows of them are busy, sums of neighbours among them, what is between them at half resolution, and
    the sums of squares.
    """

    rows: Plane
    linear: Plane
    xy: Plane
    blue: Plane
    high: Plane
    activity: Plane
    half: Plane
    rest: Plane
    low: Plane
    base: Plane
    sensed: Plane
    differences: Plane
    busy: npt.NDArray[np.bool_]
    sums: Plane
    half_differences: Plane
    half_busy: npt.NDArray[np.bool_]
    between: Plane
    ac: Plane
    low_ac: Plane
    low_dc: Plane


class Memory:
    """Planes one after the other in a block of memory."""

    def __init__(self, block: Plane) -> None:
        self._block = block
        self._used = 0

    def take(self, *shape: int) -> Plane:
        """Return the next plane of `shape`; it begins at a cache line."""
        count, start = math.prod(shape), self._used
        self._used += measure(*shape)
        return self._block[start : start + count].reshape(shape)


def measure(*shape: int) -> int:
    """Return how many samples a plane of `shape` takes of a memory.

    A cache line is 16 samples; one more between planes, so that not all are at the same distance from a page.
    """
    return -(-math.prod(shape) // 16) * 16 + 16


def lay_out(width: int) -> Workspace:
    """Return the rings for tiles of `width`; how many rows each has follows from `stages.Reach`."""
    half, padded = (width + 1) // 2, width + 2 * _MARGIN
    half_padded = half + 2 * _MARGIN
    # 18 rings, of 486 rows at full and 416 at half resolution, and each with what aligns it.
    memory = Memory(np.empty(486 * (padded + 16) + 416 * half_padded + 18 * 32, np.float32))
    return Workspace(
        rows=memory.take(6, width + _SCRATCH_MARGIN),
        linear=memory.take(3, 16, width),
        xy=memory.take(2, 64, width),
        blue=memory.take(16, width),
        high=memory.take(4, 16, width),
        activity=memory.take(16, width),
        half=memory.take(3, 32, half),
        rest=memory.take(3, 16, half),
        low=memory.take(6, 16, half),
        base=memory.take(2, 8, half),
        sensed=memory.take(16, half),
        differences=memory.take(4, 16, padded),
        busy=np.zeros((4, 16), np.bool_),
        sums=memory.take(2, 4, 16, padded),
        half_differences=memory.take(2, 16, half_padded),
        half_busy=np.zeros((2, 16), np.bool_),
        between=memory.take(2, 3, 16, half_padded),
        ac=memory.take(16, width),
        low_ac=memory.take(8, half),
        low_dc=memory.take(8, half),
    )
