"""Compiles every kernel ahead of its first use."""

import numpy as np


def warm() -> None:
    """Compile all kernels, or load them from the cache: about ten seconds of work the first time."""
    from pixels.jpeg import baseline, progressive

    # As they come from libvips: a writeable array would be a type of its own to the compiler.
    rgb = np.frombuffer(bytes(24 * 24 * 3), np.uint8).reshape(24, 24, 3)
    for half_chroma in (True, False):
        baseline.encode_color(rgb, 50, half_chroma=half_chroma)
    draft = baseline.encode_grey(np.frombuffer(bytes(24 * 24), np.uint8).reshape(24, 24), 50)
    for way in progressive.WAYS:
        progressive.make_progressive(draft, [way])
