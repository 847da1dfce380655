"""The filters of all bands and of the mask, and how much of each lies inside an image."""

import functools
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from pixels.butteraugli import constants as c
from pixels.butteraugli.jit import Plane
from pixels.butteraugli.strips import Strip, halve_strip, line_up, measure_strip

#: What each cell of the half grid takes from 4 pixels, its own two in the middle. A plain mean of two would let
#: through a tenth of what is too fine for the grid.
CELL: Final = (0.125, 0.375, 0.375, 0.125)


def gaussian(sigma: float) -> npt.NDArray[np.float64]:
    """Return the weights, centre first, of a Gaussian that is cut off at 2.25 sigma, summing to 1 over both sides."""
    radius = max(1, int(c.BLUR_REACH_SIGMAS * sigma))
    weights = np.exp(-0.5 * (np.arange(radius + 1) / sigma) ** 2)
    return np.asarray(weights / (2 * weights.sum() - weights[0]))


def gaussian_at_half(sigma: float, radius: int) -> npt.NDArray[np.float64]:
    """Return the filter of `radius` at half resolution that stands for `gaussian(sigma)` at full resolution.

    Downsampling by `CELL`, this filter and linear interpolation together are the least-squares match to the Gaussian,
    over both phases of the grid; the weights sum to 1 over both sides.
    """
    target = gaussian(sigma)
    reach = 2 * radius + 5
    offsets = np.arange(-reach, reach + 1)
    wanted = np.where(np.abs(offsets) < len(target), target[np.minimum(np.abs(offsets), len(target) - 1)], 0.0)
    design = np.zeros((len(offsets), radius + 1))
    for tap in range(-radius, radius + 1):
        # Seen from an even pixel, cell 0 of the half grid covers pixels 0 and 1 and is 1/2 px away, cell -1 3/2 px.
        for cell, share in ((tap, 0.75), (tap - 1, 0.25)):
            for index, weight in enumerate(CELL):
                design[2 * cell - 1 + index + reach, abs(tap)] += share * weight
    # The odd phase is the mirror image: fitting the even phase to a symmetric target fits both.
    weights, *_ = np.linalg.lstsq(design, wanted, rcond=None)
    return np.asarray(weights / (2 * weights.sum() - weights[0]))


def share_inside(length_px: int) -> npt.NDArray[np.float64]:
    """Return for each cell of the half grid how much of its weight lies inside an axis of `length_px`."""
    shares = np.ones((length_px + 1) // 2)
    if length_px % 2:
        shares[-1] = 0.5
    return shares


def edge_scale(shares: npt.NDArray[np.float64], weights: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
    """Return for each position of an axis 1 / (the weights inside), where `shares` of the positions are inside."""
    both = np.concatenate((weights[:0:-1], weights))
    return (1 / np.convolve(np.pad(shares, len(weights) - 1), both, mode="valid")).astype(np.float32)


class Filters(NamedTuple):
    """Weights, centre first: LF, MF and the mask at half resolution, HF at full resolution."""

    lf: Plane
    mf: Plane
    mask: Plane
    hf: Plane


FILTERS: Final = Filters(
    lf=gaussian_at_half(c.LF_SIGMA, radius=7).astype(np.float32),
    mf=gaussian_at_half(c.MF_SIGMA, radius=4).astype(np.float32),
    mask=gaussian_at_half(c.MASK_SIGMA, radius=3).astype(np.float32),
    hf=gaussian(c.HF_SIGMA).astype(np.float32),
)


class Edges(NamedTuple):
    """The edge scales of every filter along one axis, and the share of each cell that is inside.

    Along the axis there may be tiles side by side, `strip`; in their gaps all of these are 0.
    """

    lf: Plane
    mf: Plane
    mask: Plane
    share: Plane
    hf: Plane
    strip: Strip


@functools.lru_cache(maxsize=64)
def find_edges(length_px: int, count: int = 1) -> Edges:
    """Return the edge scales for an axis of `count` tiles; those of one length share them."""
    shares, strip = share_inside(length_px), line_up(count, length_px)
    cells = halve_strip(strip)
    return Edges(
        lf=_repeat(edge_scale(shares, FILTERS.lf), cells),
        mf=_repeat(edge_scale(shares, FILTERS.mf), cells),
        mask=_repeat(edge_scale(shares, FILTERS.mask), cells),
        share=_repeat(shares.astype(np.float32), cells),
        hf=_repeat(edge_scale(np.ones(length_px), FILTERS.hf), strip),
        strip=strip,
    )


def _repeat(scales: npt.NDArray[np.float32], strip: Strip) -> npt.NDArray[np.float32]:
    """Return `scales` of one tile for all of a strip, with 0 in the gaps."""
    repeated = np.zeros((strip.tiles, max(strip.stride, strip.width)), np.float32)
    repeated[:, : strip.width] = scales
    return repeated.reshape(-1)[: measure_strip(strip)].copy()
