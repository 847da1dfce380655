"""All tiles of a stack in one call, and many of them at once: side by side in strips."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pixels.butteraugli import norms, stages
from pixels.butteraugli.filters import Edges, Filters
from pixels.butteraugli.jit import Plane, kernel
from pixels.butteraugli.rings import Workspace
from pixels.butteraugli.stages import Place, Reference, Source


class Scale(NamedTuple):
    """What all strips share at one resolution, and the references: each plane of `Reference`, one for every strip.

    `distances`, float32[h, w], is for one strip after the other; it is [0, 0] where there is no such scale.
    """

    edges: tuple[Edges, Edges]
    work: Workspace
    references: Reference
    distances: Plane


@kernel
def run(
    tiles: npt.NDArray[np.uint8],
    filters: Filters,
    scales: tuple[Scale, Scale],
    linear: Plane,
    halves: Plane,
    rows: Plane,
    nowhere: Plane,
    margin_px: int,
    sums: norms.Sums,
) -> None:
    """Gather the distances of every tile in a row of `sums`; or, where `sums` has no rows, learn the references.

    Parameters
    ----------
    tiles
        uint8[n, h, w, 3] of sRGB.
    filters, linear
        `filters.FILTERS` and `color.LINEAR`.
    scales
        Full resolution and half.
    halves, rows
        Scratch, float32[3, (h + 1) // 2, half scale's w] and [2, w].
    nowhere
        float32[0, 0].
    margin_px
        How many pixels at each side of a tile do not count.
    sums
        float64[n, 4] of zeros, for `norms.add_powers`; or [0, 4].
    """
    full, half = scales
    strip, half_strip = full.edges[0].strip, half.edges[0].strip
    for index in range(full.references.high.shape[0]):
        first = index * strip.tiles
        last = min(first + strip.tiles, tiles.shape[0])
        for at_half in (False, True):
            scale = half if at_half else full
            if not scale.distances.size:
                continue
            known = scale.references
            reference = Reference(
                known.high[index],
                known.low[index],
                known.blurred[index],
                known.ac_visibility[index],
                known.dc_visibility[index],
            )
            height, width = scale.distances.shape
            place = Place(0, 0, 0, height, 0, width)
            source = Source(tiles[first:last], halves, at_half)
            out = scale.distances if len(sums) else nowhere
            stages.run(source, filters, scale.edges, place, scale.work, linear, reference, out)
        for tile in range(min(last, len(sums)) - first):
            left = tile * strip.stride, tile * half_strip.stride
            norms.add_powers(full.distances, half.distances, left, strip.width, margin_px, rows, sums[first + tile])
