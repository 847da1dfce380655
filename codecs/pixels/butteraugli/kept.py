"""Memory that outlives the comparators, one store for each thread."""

import functools
import threading
from typing import Final

import numpy as np

from pixels.butteraugli.jit import Plane
from pixels.butteraugli.rings import lay_out

#: Enough for a reference of 2.5 MP, or for many small ones.
_MAX_KEPT_BYTES: Final = 96 * 2**20


class Kept(threading.local):
    """Memory that outlives a comparator: a page that is fresh from the system costs as much as the work on it."""

    def __init__(self) -> None:
        self._scratch = np.empty(0, np.float32)
        self._blocks: list[Plane] = []
        self.find_workspace = functools.lru_cache(maxsize=4)(lay_out)

    def find_scratch(self, size: int) -> Plane:
        """Return at least `size` samples that all comparators of this thread share: none keeps anything in them."""
        if self._scratch.size < size:
            self._scratch = np.empty(size, np.float32)
        return self._scratch

    def take_block(self, size: int) -> Plane:
        """Return at least `size` samples for one comparator."""
        for index, block in enumerate(self._blocks):
            if size <= block.size <= 2 * size:
                return self._blocks.pop(index)
        return np.empty(size, np.float32)

    def give_back(self, block: Plane) -> None:
        """Take the memory of a comparator that is gone; the oldest is let go of when there is too much."""
        self._blocks.append(block)
        while sum(each.nbytes for each in self._blocks) > _MAX_KEPT_BYTES:
            self._blocks.pop(0)


kept = Kept()
