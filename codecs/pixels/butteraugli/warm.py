"""Compiles every kernel ahead of its first use."""

import numpy as np


def warm() -> None:
    """Compile all kernels, or load them from the cache: about half a minute of work the first time."""
    from pixels.butteraugli.comparator import Comparator

    whole = np.zeros((33, 33, 3), np.uint8)
    # Each of these is a type of its own to the compiler.
    for writeable in (True, False):
        whole.flags.writeable = writeable
        for pixels in (whole, whole[1:, 1:]):
            Comparator(pixels).compare(pixels)
