"""Quantisation tables by quality, and the orders of a block's 64 coefficients.

The tables and the scale of qualities are those of jpegli (lib/jpegli/quant.cc, BSD-3), which fitted them so that the
butteraugli 3-norm is about that of libjpeg at the same quality.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

#: At distance 1; rows are vertical frequencies. The chroma table is jpegli's for Cr, which it uses for Cb as well.
_LUMA: Final = (
    (2.16, 3.00, 5.08, 4.89, 5.81, 6.03, 6.68, 6.73),
    (3.00, 3.64, 4.95, 4.70, 5.99, 5.51, 7.00, 7.02),
    (5.08, 4.95, 5.15, 5.89, 6.30, 6.79, 6.54, 7.37),
    (4.89, 4.70, 5.89, 5.88, 7.25, 8.36, 8.32, 8.01),
    (5.81, 5.99, 6.30, 7.25, 7.97, 8.56, 9.70, 9.54),
    (6.03, 5.51, 6.79, 8.36, 8.56, 9.46, 8.86, 10.59),
    (6.68, 7.00, 6.54, 8.32, 9.70, 8.86, 9.46, 9.40),
    (6.73, 7.02, 7.37, 8.01, 9.54, 10.59, 9.40, 7.62),
)
_CHROMA: Final = (
    (5.08, 7.82, 12.80, 11.45, 14.85, 15.31, 15.98, 16.50),
    (7.82, 10.98, 12.22, 12.45, 14.00, 12.20, 11.68, 14.58),
    (12.80, 12.22, 11.99, 11.97, 15.28, 11.96, 13.72, 15.10),
    (11.45, 12.45, 11.97, 12.18, 13.43, 13.84, 13.00, 14.55),
    (14.85, 14.00, 15.28, 13.43, 11.79, 16.50, 15.73, 14.01),
    (15.31, 12.20, 11.96, 13.84, 16.50, 14.97, 17.26, 111.78),
    (15.98, 11.68, 13.72, 13.00, 15.73, 17.26, 109.92, 145.01),
    (16.50, 14.58, 15.10, 14.55, 14.01, 111.78, 145.01, 199.87),
)
_HALF_CHROMA: Final = (
    (2.54, 3.06, 5.43, 4.66, 5.70, 5.27, 6.27, 6.75),
    (3.06, 4.17, 5.20, 4.25, 5.23, 4.64, 5.89, 6.13),
    (5.43, 5.20, 5.25, 4.76, 5.08, 5.48, 5.64, 6.42),
    (4.66, 4.25, 4.76, 4.49, 5.76, 5.76, 6.30, 6.81),
    (5.70, 5.23, 5.08, 5.76, 4.47, 6.84, 5.21, 6.56),
    (5.27, 4.64, 5.48, 5.76, 6.84, 5.87, 6.75, 9.90),
    (6.27, 5.89, 5.64, 6.30, 5.21, 6.75, 10.70, 9.78),
    (6.75, 6.13, 6.42, 6.81, 6.56, 9.90, 9.78, 82.13),
)
#: Beyond `_LINEAR_DISTANCE` the steps of the low frequencies grow as these powers of the distance.
_LOW_POWERS: Final = (
    (1.00, 0.51, 0.67, 0.74),
    (0.51, 0.66, 0.69, 0.87),
    (0.67, 0.69, 0.84, 0.83),
    (0.74, 0.87, 0.83, 1.00),
)
_LINEAR_DISTANCE: Final = 1.5
#: What jpegli takes off luma's precision when chroma has half the resolution.
_LUMA_AT_HALF_CHROMA: Final = 1.22
#: Coarser than jpegli's: the trellis and the sharper chroma of this encoder leave room.
_CHROMA_SCALE: Final = 1.1

#: ZIGZAG[k] is the place, row by row, of the k-th coefficient in the order of the file (T.81, figure A.6).
ZIGZAG: Final[npt.NDArray[np.int64]] = np.array(
    sorted(range(64), key=lambda i: (i // 8 + i % 8, i % 8 if (i // 8 + i % 8) % 2 == 0 else i // 8))
)


def find_distance(quality: float) -> float:
    """Return the butteraugli distance that jpegli means by a quality of 1-100 in the sense of libjpeg."""
    if quality > 99:
        # To where all steps are 1; jpegli jumps there.
        return 0.005 + (100 - quality) * 0.185
    if quality >= 30:
        return 0.1 + (100 - quality) * 0.09
    return 53 / 3000 * quality * quality - 23 / 20 * quality + 25


def quantisation_tables(quality: float, *, half_chroma: bool) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Return luma's and chroma's tables, uint8[64] each, 1-255, row by row.

    Parameters
    ----------
    quality
        1-100; fractions count wherever they change a rounded step.
    half_chroma
        Whether chroma has half the resolution both ways.
    """
    distance = find_distance(quality)
    scale = np.full((8, 8), distance)
    if distance > _LINEAR_DISTANCE:
        powers = np.array(_LOW_POWERS)
        scale[:4, :4] = np.maximum(distance / 2, _LINEAR_DISTANCE ** (1 - powers) * distance**powers)
    luma = np.array(_LUMA) * scale * (_LUMA_AT_HALF_CHROMA if half_chroma else 1)
    chroma = np.array(_HALF_CHROMA if half_chroma else _CHROMA) * scale * _CHROMA_SCALE
    return _in_bytes(luma), _in_bytes(chroma)


def _in_bytes(table: npt.NDArray[np.float64]) -> npt.NDArray[np.uint8]:
    return np.clip(np.rint(table), 1, 255).astype(np.uint8).ravel()
