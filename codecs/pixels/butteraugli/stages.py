"""All stages of a tile, a few rows at a time.

In each step the tile advances by `STEP_ROWS` rows of distances. The stages before the last are as far ahead as those
after them need: a stage that filters over r rows on either side needs r rows more of what comes before it.
"""

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from pixels.butteraugli import bands, blur, color, diffmap, malta, masking, opsin
from pixels.butteraugli import constants as c
from pixels.butteraugli.filters import Edges, Filters
from pixels.butteraugli.jit import Plane, inlined, kernel, spliced
from pixels.butteraugli.rings import Workspace
from pixels.butteraugli.strips import Strip

STEP_ROWS: Final = 8
#: How many rows the first stage is ahead of the last: a multiple of the step.
_AHEAD_ROWS: Final = 48

#: HF of X and Y and their UHF, as they lie in the bands; MF of X and Y.
_HIGH_WEIGHTS: Final = (
    malta.scale_weights(c.HF_X_MALTA, c.MALTA_LF_SCALE),
    malta.scale_weights(c.HF_Y_MALTA, c.MALTA_LF_SCALE),
    malta.scale_weights(c.UHF_X_MALTA, c.MALTA_SCALE),
    malta.scale_weights(c.UHF_Y_MALTA, c.MALTA_SCALE),
)
_LOW_WEIGHTS: Final = (
    malta.scale_weights(c.MF_X_MALTA, c.MALTA_LF_SCALE),
    malta.scale_weights(c.MF_Y_MALTA, c.MALTA_LF_SCALE),
)


class Source(NamedTuple):
    """Where the pixels of a tile come from: sRGB, or at half scale what `color.linearize` made of it by twos.

    `rgb` is uint8[count, h, w, 3]: the tile of a strip is the same region of each image.
    """

    rgb: npt.NDArray[np.uint8]
    halves: Plane
    at_half: bool


class Reference(NamedTuple):
    """All that a comparison needs to know of a tile of the reference."""

    high: Plane
    low: Plane
    blurred: Plane
    ac_visibility: Plane
    dc_visibility: Plane


class Place(NamedTuple):
    """Where a tile begins in its image, and the rows and columns of the core in it, by the image's own count."""

    top: int
    left: int
    first_row: int
    last_row: int
    first_column: int
    last_column: int


class Reach(NamedTuple):
    """How many rows each stage has done, when the last one has done a given number."""

    linear: int
    xyb: int
    half: int
    lf: int
    mf: int
    fine: int
    high: int
    sensed: int


@inlined
def _reach(rows: int, height: int) -> Reach:
    cells, half_height = rows // 2, (height + 1) // 2
    return Reach(
        _clip(rows + 42, height),
        _clip(rows + 40, height),
        _clip(cells + 19, half_height),
        _clip(cells + 12, half_height),
        _clip(cells + 8, half_height),
        _clip(rows + 14, height),
        _clip(rows + 10, height),
        _clip(cells + 4, half_height),
    )


@inlined
def _clip(rows: int, height: int) -> int:
    return max(0, min(rows, height))


@kernel
def run(
    source: Source,
    filters: Filters,
    edges: tuple[Edges, Edges],
    place: Place,
    work: Workspace,
    linear: Plane,
    reference: Reference,
    out: Plane,
) -> None:
    """Write the distances of the core of a tile to `out`, float32[h, w] of the whole image; or learn the reference.

    Learning and comparing are one kernel because they would take twice the time to compile. With an empty `out`, the
    tile is one of the reference image and `reference` is filled. `linear` is `color.LINEAR`.
    """
    # What is learnt is kept whole; the visibility of LF comes last, and until then its plane is free.
    high = work.high if out.size else reference.high
    low = work.low if out.size else reference.low
    sensed = work.sensed if out.size else reference.dc_visibility
    height = edges[1].hf.size
    for rows in range(STEP_ROWS - _AHEAD_ROWS, height + STEP_ROWS, STEP_ROWS):
        was, now = _reach(rows - STEP_ROWS, height), _reach(rows, height)
        _split(source, filters, edges, place, work, linear, was, now, high, low, sensed)
        if out.size:
            _compare_high(reference, work, rows)
            _compare_low(reference, filters, edges, work, rows)
            _finish(reference, edges[0].strip, place, work, rows, out)
    if not out.size:
        masking.blur(sensed, filters.mask, edges, work.rows[0], reference.blurred)
        # Nothing is compared: a ring of differences is free.
        spread = work.differences[0, :8]
        masking.find_visibility(
            reference.blurred, edges[0].strip, spread, work.rows, reference.ac_visibility, reference.dc_visibility
        )


@spliced
def _split(
    source: Source,
    filters: Filters,
    edges: tuple[Edges, Edges],
    place: Place,
    work: Workspace,
    linear: Plane,
    was: Reach,
    now: Reach,
    high: Plane,
    low: Plane,
    sensed: Plane,
) -> None:
    """Split the next rows into the bands `high` and `low`, and find how much detail there is."""
    height, strip = edges[1].hf.size, edges[0].strip
    if source.at_half:
        color.copy_rows(source.halves, place.top, place.left, was.linear, now.linear, work.linear)
    else:
        corner = (place.top, place.left)
        color.linearize(source.rgb, linear, strip, corner, was.linear, now.linear, work.linear, source.halves)
    opsin.respond(work.linear, strip, height, was.xyb, now.xyb, work.rows, work.xy, work.blue)
    blur.downsample(work.xy[0], strip, height, was.half, now.half, work.rows[0], work.half[0])
    blur.downsample(work.xy[1], strip, height, was.half, now.half, work.rows[0], work.half[1])
    blur.downsample(work.blue, strip, height, was.half, now.half, work.rows[0], work.half[2])
    bands.split_lf(work.half, filters.lf, edges, was.lf, now.lf, work.rows, work.rest, low)
    bands.split_mf(work.rest, filters.mf, edges, was.mf, now.mf, work.rows[0], low, work.base)
    bands.leave_fine(work.base, edges, was.fine, now.fine, work.rows, work.xy)
    bands.split_high(work.xy, filters.hf, edges, was.high, now.high, work.rows[0], high)
    masking.sense(high, was.high, now.high, work.activity)
    blur.downsample(work.activity, strip, height, was.sensed, now.sensed, work.rows[0], sensed)


@spliced
def _compare_high(reference: Reference, work: Workspace, rows: int) -> None:
    """Square and subtract what the lines through the next rows touch: 4 rows further."""
    height = reference.ac_visibility.shape[0]
    first, last = _clip(rows - STEP_ROWS + malta.MARGIN, height), _clip(rows + malta.MARGIN, height)
    diffmap.square_high(reference.high, work.high, first, last, work.ac)
    known = _find_known(rows - STEP_ROWS, height), _find_known(rows, height)
    span = (known[0], known[1], height)
    for band in range(4):
        malta.difference(
            reference.high[band], work.high[band], _HIGH_WEIGHTS[band], span, work.differences[band], work.busy[band]
        )
    for channel in range(2):
        malta.sum_neighbours(work.differences[2 + channel], known[0], known[1], work.sums[channel])


@spliced
def _compare_low(
    reference: Reference, filters: Filters, edges: tuple[Edges, Edges], work: Workspace, rows: int
) -> None:
    """Sum what is at half resolution, one cell further than the distances: it is interpolated."""
    height = reference.dc_visibility.shape[0]
    start, stop = (rows - STEP_ROWS) // 2 + 1, rows // 2 + 1
    first, last = _clip(start, height), _clip(stop, height)
    diffmap.square_low(reference.low, work.low, reference.dc_visibility, first, last, work.low_ac, work.low_dc)
    diffmap.add_mask_difference(
        work.sensed, reference.blurred, filters.mask, edges, (first, last), work.rows, work.low_ac
    )
    known = _find_known(start, height), _find_known(stop, height)
    span = (known[0], known[1], height)
    for channel in range(2):
        d, busy, between = work.half_differences[channel], work.half_busy[channel], work.between[channel]
        malta.difference(reference.low[channel], work.low[channel], _LOW_WEIGHTS[channel], span, d, busy)
        malta.interpolate(d, known[0], known[1], between)
        malta.add_sparse_lines_at_half(d, between, busy, first, last, work.low_ac)


@inlined
def _find_known(rows: int, height: int) -> int:
    """Return how many rows of differences, with margins, the lines through the first `rows` touch."""
    return _clip(rows + 2 * malta.MARGIN, height + 2 * malta.MARGIN)


@spliced
def _finish(reference: Reference, strip: Strip, place: Place, work: Workspace, rows: int, out: Plane) -> None:
    height = reference.ac_visibility.shape[0]
    first = max(_clip(rows - STEP_ROWS, height), place.first_row - place.top)
    last = min(_clip(rows, height), place.last_row - place.top)
    for channel in range(2):
        malta.add_sparse_lines(work.differences[channel], work.busy[channel], first, last, work.ac)
        malta.add_lines(work.differences[2 + channel], work.sums[channel], work.busy[2 + channel], first, last, work.ac)
    corner = (place.top, place.left, place.first_column, place.last_column)
    low = (work.low_ac, work.low_dc)
    diffmap.weigh(work.ac, low, reference.ac_visibility, strip, (first, last), corner, work.rows, out)
