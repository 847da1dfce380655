"""Chooses the quantised values of each block: least distortion plus lambda times bits.

Each coefficient is a number of the quantiser's steps, so the squared error is already weighed by what the quantisation
table says of the frequency. It may become the nearest whole number, the one below, or zero. What a value costs depends
on how many zeros come before it, so the best choice is a shortest path through the block in the order of the file
("trellis quantisation", as in mozjpeg and x264; dynamic programming over the last value that is not zero).
"""

import math
from typing import Final

import numpy as np
import numpy.typing as npt

from pixels.butteraugli.jit import Plane
from pixels.jpeg.jit import inlined, kernel

Coefficients = npt.NDArray[np.int16]
Links = npt.NDArray[np.int32]

_F = np.float32
#: Squared steps a bit is worth in a flat block, and how much more for each doubling of a block's energy: a busy block
#: hides its errors.
LUMA_LAMBDA: Final = 0.05
CHROMA_LAMBDA: Final = 0.1
_GROWTH = _F(0.1)
#: T.81's baseline holds AC values of 10 bits and differences of DC values of 11.
_AC_MAX, _DC_MAX = 1023, 1023
#: Paths from more than so many candidates back are not looked at: with steps that small nothing is left out anyway.
_REACH = 8
_END_BITS = _F(3)
_HUGE = _F(1e30)


def _estimate_bits() -> npt.NDArray[np.float32]:
    """Estimate for each number of zeros and size in bits what a value costs in the optimised codes of a photograph.

    As many bytes at equal distance as with the statistics of each image (within 0.5 %), without a pass to gather them.
    """
    zeros = np.arange(63)[:, None]
    size = np.arange(11)
    escapes, rest = np.divmod(zeros, 16)
    return np.asarray(11 * escapes + 1 + rest**0.7 + 2 * size, np.float32)


BITS: Final = _estimate_bits()


@kernel
def choose(coefficients: Plane, trade: float, bits: Plane, costs: Plane, links: Links, out: Coefficients) -> None:
    """Quantise blocks.

    Parameters
    ----------
    coefficients
        float32[rows of blocks, columns of blocks, 64], in steps of the quantiser, in the order of the file.
    trade
        The lambda of a flat block.
    bits
        `BITS`.
    costs, links
        Scratch, float32[64] and int32[3, 64].
    out
        int16, of the same shape as `coefficients`.
    """
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            block = coefficients[i, j]
            energy = _F(0)
            for k in range(1, 64):
                energy += block[k] * block[k]
            weight = _F(trade) * (_F(1) + _GROWTH * _F(math.log2(_F(1) + energy)))
            count = _find_paths(block, weight, bits, costs, links)
            _follow(block, _find_end(weight, costs, links, count), links, out[i, j])


@inlined
def _find_paths(block: Plane, weight: np.float32, bits: Plane, costs: Plane, links: Links) -> int:
    """Find the cheapest way to each candidate, a place that need not be zero, and return how many there are.

    costs[n] becomes the cost up to candidate n, less the distortion of a block that is all zeros up to there.
    """
    places, values, previous = links[0], links[1], links[2]
    places[0] = 0
    costs[0] = _F(0)
    count = 1
    dropped = _F(0)
    for k in range(1, 64):
        size = _F(abs(block[k]))
        before = dropped
        dropped += size * size
        nearest = min(int(size + _F(0.5)), _AC_MAX)
        if nearest == 0:
            continue
        cheapest, value, origin = _HUGE, 0, 0
        for level in range(max(nearest - 1, 1), nearest + 1):
            length = count_bits(level)
            error = size - _F(level)
            here = before + error * error
            for n in range(max(0, count - _REACH), count):
                cost = here + costs[n] + weight * bits[k - places[n] - 1, length]
                if cost < cheapest:
                    cheapest, value, origin = cost, level, n
        costs[count] = cheapest - dropped
        places[count], values[count], previous[count] = k, value, origin
        count += 1
    return count


@inlined
def _find_end(weight: np.float32, costs: Plane, links: Links, count: int) -> int:
    cheapest, end = _HUGE, 0
    for n in range(count):
        cost = costs[n] + (weight * _END_BITS if links[0, n] < 63 else _F(0))
        if cost < cheapest:
            cheapest, end = cost, n
    return end


@inlined
def _follow(block: Plane, end: int, links: Links, out: Coefficients) -> None:
    out[0] = min(max(np.rint(block[0]), -_DC_MAX), _DC_MAX)
    out[1:] = 0
    while end:
        k = links[0, end]
        out[k] = links[1, end] if block[k] > 0 else -links[1, end]
        end = links[2, end]


@inlined
def count_bits(value: int) -> int:
    """Return the bits of a value that is not negative: 0 for 0, 2 for 3."""
    count = 0
    while value:
        count += 1
        value >>= 1
    return count
