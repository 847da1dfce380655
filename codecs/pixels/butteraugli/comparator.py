"""Compares distorted images with one reference."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pixels.butteraugli import bands, blur, color, diffmap, malta, masking, norms, opsin, tiles
from pixels.butteraugli import constants as c
from pixels.butteraugli.jit import Plane
from pixels.butteraugli.norms import Distance, Tally
from pixels.butteraugli.workspace import Workspace, measure, scratch

Pixels = npt.NDArray[np.uint8]

_LOW_FILTERS = (bands.LF_WEIGHTS.astype(np.float32), bands.MF_WEIGHTS.astype(np.float32))
_HF_FILTER = bands.HF_WEIGHTS.astype(np.float32)
_MASK_FILTER = masking.WEIGHTS.astype(np.float32)
_UHF_X = malta.scale_weights(c.UHF_X_MALTA, c.MALTA_SCALE)
_UHF_Y = malta.scale_weights(c.UHF_Y_MALTA, c.MALTA_SCALE)
_HF_X = malta.scale_weights(c.HF_X_MALTA, c.MALTA_LF_SCALE)
_HF_Y = malta.scale_weights(c.HF_Y_MALTA, c.MALTA_LF_SCALE)
_MF_X = malta.scale_weights(c.MF_X_MALTA, c.MALTA_LF_SCALE)
_MF_Y = malta.scale_weights(c.MF_Y_MALTA, c.MALTA_LF_SCALE)


class Reference(NamedTuple):
    """All that a comparison needs to know of a tile of the reference."""

    high: Plane
    low: Plane
    blurred: Plane
    visibility: Plane


class Scale:
    """The image at one resolution."""

    def __init__(self, height: int, width: int, core_height_px: int, core_width_px: int) -> None:
        self.tiles = tiles.cut(height, width, core_height_px, core_width_px)
        self._shapes = {(t.rows.stop - t.rows.start, t.columns.stop - t.columns.start) for t in self.tiles}
        self._workspaces: dict[tuple[int, int], Workspace] = {}
        self._references: list[Reference] = []

    def memory_size(self) -> int:
        """Return how many samples of scratch the largest tile needs."""
        return max(measure(*shape) for shape in self._shapes)

    def use_memory(self, memory: Plane) -> None:
        """Lay out the scratch of each shape of tile in `memory`."""
        self._workspaces = {shape: Workspace(*shape, memory) for shape in self._shapes}

    def workspace(self, tile: tiles.Tile) -> Workspace:
        """Return the scratch for `tile`; its `linear` planes are to be filled before the tile is worked on."""
        return self._workspaces[tile.rows.stop - tile.rows.start, tile.columns.stop - tile.columns.start]

    def learn(self, tile: tiles.Tile) -> None:
        """Keep the next tile of the reference, which is in the workspace's `linear` planes."""
        work = self.workspace(tile)
        shape = work.ac.shape
        high, low = np.empty_like(work.high), np.empty_like(work.low)
        _split(work, high, low)
        blurred = np.empty(shape, np.float32)
        visibility = np.empty((2, *shape), np.float32)
        masking.sense(high, work.activity)
        masking.blur(work.activity, _MASK_FILTER, work.x_edges.mask, work.y_edges.mask, work.rows[0], blurred)
        masking.erode(blurred, work.rows, work.activity)
        masking.find_visibility(work.activity, visibility[0], visibility[1])
        self._references.append(Reference(high, low, blurred, visibility))

    def measure(self, index: int) -> Plane:
        """Return the distances of tile `index`, whose distorted pixels are in the workspace's `linear` planes."""
        work = self.workspace(self.tiles[index])
        _split(work, work.high, work.low)
        _compare(self._references[index], work)
        return work.distances


def _split(work: Workspace, high: Plane, low: Plane) -> None:
    opsin.respond(work.linear, work.rows, work.xyb)
    for channel in range(3):
        blur.downsample(work.xyb[channel], work.rows[0], work.half[channel])
    bands.split_low(work.half, _LOW_FILTERS, work.x_edges.low, work.y_edges.low, work.rows, work.rest, low)
    bands.split_high(work.xyb, work.half, _HF_FILTER, work.x_edges.hf, work.y_edges.hf, work.rows[0], high)


def _compare(reference: Reference, work: Workspace) -> None:
    high, low = work.high, work.low
    diffmap.square_high(reference.high, high, work.ac)
    masking.sense(high, work.activity)
    diffmap.add_mask_difference(
        work.activity, reference.blurred, _MASK_FILTER, work.x_edges.mask, work.y_edges.mask, work.rows, work.ac
    )
    for channel, weights in ((0, _HF_X), (1, _HF_Y)):
        malta.difference(reference.high[channel], high[channel], weights, work.difference, work.busy)
        malta.add_sparse_lines(work.difference, work.busy, work.ac)
    for channel, weights in ((2, _UHF_X), (3, _UHF_Y)):
        malta.difference(reference.high[channel], high[channel], weights, work.difference, work.busy)
        malta.sum_triples(work.difference, work.triples[0], work.triples[1])
        malta.add_lines(work.difference, work.triples, work.ac)
    diffmap.square_low(reference.low, low, work.low_ac, work.low_dc)
    for channel, weights in ((0, _MF_X), (1, _MF_Y)):
        malta.difference(reference.low[channel], low[channel], weights, work.half_difference, work.half_busy)
        if work.half_busy.any():
            malta.interpolate(work.half_difference, work.between)
            malta.add_sparse_lines_at_half(work.half_difference, work.between, work.half_busy, work.low_ac)
    diffmap.weigh(work.ac, work.low_ac, work.low_dc, reference.visibility, work.rows, work.distances)


class Comparator:
    """Butteraugli distances from one reference.

    The reference is paid for once, here. A probe allocates nothing but what it returns; so one comparator serves one
    thread at a time.

    Parameters
    ----------
    reference
        uint8[h, w, 3] of sRGB, at least 8 pixels a side.
    margin_px
        How many pixels at each side of the image do not count, for a tile cut from a larger image.
    core_height_px, core_width_px
        The largest core of a tile in which the image is worked on; it changes the speed, not the result.

    Raises
    ------
    TypeError
        The reference is not an array of uint8.
    ValueError
        Its shape is not [h, w, 3], a side is under 8 pixels, or the margin leaves nothing.
    """

    def __init__(
        self,
        reference: Pixels,
        *,
        margin_px: int = 0,
        core_height_px: int = tiles.CORE_HEIGHT_PX,
        core_width_px: int = tiles.CORE_WIDTH_PX,
    ) -> None:
        _check_pixels(reference, "reference")
        height, width, _ = reference.shape
        if not 0 <= 2 * margin_px < min(height, width):
            raise ValueError(f"margin_px={margin_px} leaves nothing of {width} x {height} pixels")
        self._shape = reference.shape
        self._margin_px = margin_px
        self._sums = np.zeros(4)
        self._full = Scale(height, width, core_height_px, core_width_px)
        half_height, half_width = (height + 1) // 2, (width + 1) // 2
        self._half: Scale | None = None
        size = self._full.memory_size()
        if min(half_height, half_width) >= c.MIN_SIDE_PX:
            self._half = Scale(half_height, half_width, core_height_px, core_width_px)
            self._half_linear = np.empty((3, half_height, half_width), np.float32)
            self._half_distances = np.empty((half_height, half_width), np.float32)
            size = max(size, self._half.memory_size())
        memory = scratch(size)
        for scale in (self._full, self._half):
            if scale is not None:
                scale.use_memory(memory)
        self._learn(reference)

    def compare(self, distorted: Pixels) -> Distance:
        """Return the distance of `distorted`, uint8[h, w, 3] of sRGB, from the reference.

        Raises
        ------
        TypeError
            It is not an array of uint8.
        ValueError
            It has another shape than the reference.
        """
        return self.tally(distorted).distance()

    def tally(self, distorted: Pixels) -> Tally:
        """Return what the distance is computed from, to be pooled with that of other regions.

        Raises
        ------
        TypeError, ValueError
            As `compare`.
        """
        height, width, _ = self._shape
        margin = self._margin_px
        self._sums[:] = 0
        for tile, distances in self._measure(distorted):
            rows, columns = tile
            norms.add_powers(
                distances,
                max(rows.first, margin) - rows.start,
                min(rows.last, height - margin) - rows.start,
                max(columns.first, margin) - columns.start,
                min(columns.last, width - margin) - columns.start,
                self._full.workspace(tile).rows[0],
                self._sums,
            )
        return norms.tally(self._sums, (height - 2 * margin) * (width - 2 * margin))

    def diffmap(self, distorted: Pixels) -> Plane:
        """Return the distance of each pixel, float32[h, w], the margin included.

        Raises
        ------
        TypeError, ValueError
            As `compare`.
        """
        out = np.empty(self._shape[:2], np.float32)
        for tile, distances in self._measure(distorted):
            _copy_core(tile, distances, out)
        return out

    def _learn(self, reference: Pixels) -> None:
        if self._half is not None:
            color.halve(reference, color.LINEAR, self._half_linear)
            for tile in self._half.tiles:
                self._crop_half(tile, self._half)
                self._half.learn(tile)
        for tile in self._full.tiles:
            color.linearize(_crop(reference, tile), color.LINEAR, self._full.workspace(tile).linear)
            self._full.learn(tile)

    def _measure(self, distorted: Pixels) -> Any:
        _check_pixels(distorted, "distorted")
        if distorted.shape != self._shape:
            raise ValueError(f"distorted has the shape {distorted.shape}, the reference {self._shape}")
        if self._half is not None:
            color.halve(distorted, color.LINEAR, self._half_linear)
            for index, tile in enumerate(self._half.tiles):
                self._crop_half(tile, self._half)
                _copy_core(tile, self._half.measure(index), self._half_distances)
        for index, tile in enumerate(self._full.tiles):
            color.linearize(_crop(distorted, tile), color.LINEAR, self._full.workspace(tile).linear)
            distances = self._full.measure(index)
            if self._half is not None:
                diffmap.join_scales(distances, self._half_distances, tile.rows.start // 2, tile.columns.start // 2)
            yield tile, distances

    def _crop_half(self, tile: tiles.Tile, scale: Scale) -> None:
        rows, columns = tile
        whole = self._half_linear[:, rows.start : rows.stop, columns.start : columns.stop]
        np.copyto(scale.workspace(tile).linear, whole)


def _crop(pixels: Pixels, tile: tiles.Tile) -> Pixels:
    return pixels[tile.rows.start : tile.rows.stop, tile.columns.start : tile.columns.stop]


def _copy_core(tile: tiles.Tile, distances: Plane, out: Plane) -> None:
    rows, columns = tile
    out[rows.first : rows.last, columns.first : columns.last] = distances[
        rows.first - rows.start : rows.last - rows.start, columns.first - columns.start : columns.last - columns.start
    ]


def _check_pixels(pixels: Pixels, name: str) -> None:
    if not isinstance(pixels, np.ndarray) or pixels.dtype != np.uint8:
        raise TypeError(f"{name} must be an array of uint8, not {getattr(pixels, 'dtype', type(pixels).__name__)}")
    if pixels.ndim != 3 or pixels.shape[2] != 3:
        raise ValueError(f"{name} must have the shape [h, w, 3], not {pixels.shape}")
    if min(pixels.shape[:2]) < c.MIN_SIDE_PX:
        raise ValueError(f"{name} must be at least {c.MIN_SIDE_PX} pixels a side, not {pixels.shape[:2]}")
