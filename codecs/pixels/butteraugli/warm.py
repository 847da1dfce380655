"""Compiles every kernel ahead of its first use."""

import numpy as np


def warm() -> None:
    """Compile all kernels, or load them from the cache: about half a minute of work the first time."""
    from pixels.butteraugli.comparator import Comparator
    from pixels.butteraugli.tile_comparator import TileComparator

    whole = np.zeros((33, 33, 3), np.uint8)
    judge = Comparator(whole)
    judge.compare(whole)
    judge.diffmap(whole)
    TileComparator([whole]).tally([whole])
