"""Lets luma go beyond black and white where that saves bits.

Quantising a block that holds an edge makes it ring. Where a sample is white already, the decoder cuts off what rings
upwards, which harms nothing; yet an encoder that holds on to 255 pays for every value that would undo it. Here such
samples may become whatever the quantised block comes out as, if that is beyond them: projections onto what can be
decoded and onto what the picture allows, in turn. (The aim is that of mozjpeg's "overshoot deringing".)
"""

import numpy as np

from pixels.butteraugli.jit import Plane
from pixels.jpeg.dct import inverse_8, transform_8
from pixels.jpeg.jit import inlined, kernel

_F = np.float32
#: Of luma about zero. Rounding to 8 bits makes these of all that is beyond.
_BLACK, _WHITE = _F(-127.5), _F(126.5)
#: Twice as many gain another percent on black text.
_ROUNDS = 4
#: What the trellis makes zero, about.
_DEAD_ZONE = _F(0.6)


@kernel
def relax(plane: Plane, top: int, blocks: tuple[int, int], steps: Plane, target: Plane, block: Plane) -> None:
    """Change the black and the white samples of the blocks that hold others too.

    Parameters
    ----------
    plane
        Luma about zero, float32[n, m]; the first block starts at row `top`.
    blocks
        How many rows and columns of blocks there are.
    steps
        float32[8, 8] of the quantiser.
    target, block
        Scratch, float32[8, 8] each.
    """
    for i in range(blocks[0]):
        for j in range(blocks[1]):
            y, x = top + 8 * i, 8 * j
            free = 0
            for v in range(8):
                for u in range(8):
                    value = plane[y + v, x + u]
                    target[v, u] = value
                    free += value >= _WHITE or value <= _BLACK
            if 0 < free < 64:
                for _ in range(_ROUNDS):
                    _quantise(plane, y, x, steps, block)
                    if not _go_beyond(plane, y, x, target, block):
                        break


@inlined
def _go_beyond(plane: Plane, y: int, x: int, target: Plane, block: Plane) -> bool:
    """Take over what lies beyond, and tell whether that changed anything."""
    changed = False
    for v in range(8):
        for u in range(8):
            wanted = target[v, u]
            if wanted >= _WHITE:
                wanted = max(wanted, block[v, u])
            elif wanted <= _BLACK:
                wanted = min(wanted, block[v, u])
            changed |= wanted != plane[y + v, x + u]
            plane[y + v, x + u] = wanted
    return changed


@inlined
def _quantise(plane: Plane, y: int, x: int, steps: Plane, block: Plane) -> None:
    """Fill `block` with what would be decoded."""
    for v in range(8):
        p = plane[y + v, x : x + 8]
        found = transform_8(p[0], p[1], p[2], p[3], p[4], p[5], p[6], p[7])
        for k in range(8):
            block[v, k] = found[k]
    for k in range(8):
        b = block[:, k]
        found = transform_8(b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7])
        for u in range(8):
            value = found[u] / steps[u, k]
            block[u, k] = np.rint(value) * steps[u, k] if abs(value) >= _DEAD_ZONE else _F(0)
        found = inverse_8(b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7])
        for u in range(8):
            block[u, k] = found[u]
    for v in range(8):
        b = block[v]
        found = inverse_8(b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7])
        for k in range(8):
            block[v, k] = found[k]
