"""The discrete cosine transform of T.81, annex A.3.3, orthonormal, of 8 x 8 samples."""

import math
from typing import Final

import numpy as np

from pixels.butteraugli.jit import Plane
from pixels.jpeg.jit import inlined, kernel
from pixels.jpeg.tables import ZIGZAG

_F = np.float32
#: COSINES[k] = cos(k pi / 16) / 2.
_C1, _C2, _C3, _C4, _C5, _C6, _C7 = (_F(math.cos(k * math.pi / 16) / 2) for k in range(1, 8))
#: The place in the order of the file of each coefficient, row by row.
_PLACE: Final = np.argsort(ZIGZAG)


@kernel
def transform(plane: Plane, top: int, left: int, scale: Plane, block: Plane, out: Plane) -> None:
    """Transform blocks and multiply each coefficient by its scale.

    Parameters
    ----------
    plane
        float32[n, m], centred about zero; the first block starts at row `top` and column `left`.
    scale
        float32[64], row by row: the reciprocals of the quantiser's steps.
    block
        Scratch, float32[8, 8].
    out
        float32[rows of blocks, columns of blocks, 64], in the order of the file.
    """
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            y, x, found = top + 8 * i, left + 8 * j, out[i, j]
            for k in range(8):
                v = transform_8(
                    plane[y, x + k], plane[y + 1, x + k], plane[y + 2, x + k], plane[y + 3, x + k],
                    plane[y + 4, x + k], plane[y + 5, x + k], plane[y + 6, x + k], plane[y + 7, x + k],
                )  # fmt: skip
                for u in range(8):
                    block[u, k] = v[u]
            for u in range(8):
                b = block[u]
                v = transform_8(b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7])
                for k in range(8):
                    found[_PLACE[8 * u + k]] = v[k] * scale[8 * u + k]


@inlined
def transform_8(
    x0: _F, x1: _F, x2: _F, x3: _F, x4: _F, x5: _F, x6: _F, x7: _F
) -> tuple[_F, _F, _F, _F, _F, _F, _F, _F]:
    """Return the coefficients of 8 samples: even and odd parts apart, and the even part split once more."""
    s0, s1, s2, s3 = x0 + x7, x1 + x6, x2 + x5, x3 + x4
    d0, d1, d2, d3 = x0 - x7, x1 - x6, x2 - x5, x3 - x4
    outer, inner = s0 + s3, s1 + s2
    far, close = s0 - s3, s1 - s2
    return (
        _C4 * (outer + inner),
        _C1 * d0 + _C3 * d1 + _C5 * d2 + _C7 * d3,
        _C2 * far + _C6 * close,
        _C3 * d0 - _C7 * d1 - _C1 * d2 - _C5 * d3,
        _C4 * (outer - inner),
        _C5 * d0 - _C1 * d1 + _C7 * d2 + _C3 * d3,
        _C6 * far - _C2 * close,
        _C7 * d0 - _C5 * d1 + _C3 * d2 - _C1 * d3,
    )


@inlined
def inverse_8(c0: _F, c1: _F, c2: _F, c3: _F, c4: _F, c5: _F, c6: _F, c7: _F) -> tuple[_F, _F, _F, _F, _F, _F, _F, _F]:
    """Return the samples of 8 coefficients."""
    sum_, difference = _C4 * (c0 + c4), _C4 * (c0 - c4)
    wide, narrow = _C2 * c2 + _C6 * c6, _C6 * c2 - _C2 * c6
    e0, e1, e2, e3 = sum_ + wide, difference + narrow, difference - narrow, sum_ - wide
    o0 = _C1 * c1 + _C3 * c3 + _C5 * c5 + _C7 * c7
    o1 = _C3 * c1 - _C7 * c3 - _C1 * c5 - _C5 * c7
    o2 = _C5 * c1 - _C1 * c3 + _C7 * c5 + _C3 * c7
    o3 = _C7 * c1 - _C5 * c3 + _C3 * c5 - _C1 * c7
    return e0 + o0, e1 + o1, e2 + o2, e3 + o3, e3 - o3, e2 - o2, e1 - o1, e0 - o0
