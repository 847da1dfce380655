"""Compares distorted images with one reference."""

import functools
import weakref
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pixels.butteraugli import color, diffmap, norms, stages, tiles
from pixels.butteraugli import constants as c
from pixels.butteraugli.filters import FILTERS, Edges, find_edges
from pixels.butteraugli.jit import Plane, settle
from pixels.butteraugli.kept import kept
from pixels.butteraugli.norms import Distance, Tally
from pixels.butteraugli.rings import Memory, Workspace, measure
from pixels.butteraugli.stages import Place, Reference, Source

Pixels = npt.NDArray[np.uint8]

_run = settle(stages.run)
#: Distances that are not wanted.
NOWHERE = np.empty((0, 0), np.float32)


class _Tile(NamedTuple):
    place: Place
    edges: tuple[Edges, Edges]
    work: Workspace
    reference: Reference


class _Scale(NamedTuple):
    """The image at one resolution, and where its distances are written."""

    tiles: list[_Tile]
    distances: Plane
    at_half: bool


class Comparator:
    """Butteraugli distances from one reference.

    The reference is paid for once, here. A probe allocates nothing but what it returns: comparators share their scratch
    with the others of the thread that makes them, and are used by that thread alone. Reference and probes are read
    fastest as contiguous arrays; of a view, a copy is made, the memory for which is kept.

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
        check_pixels(reference, "reference")
        height, width, _ = reference.shape
        check_margin(margin_px, reference.shape)
        self._shape = reference.shape
        self._margin_px = margin_px
        self._copy: Pixels | None = None
        half_height, half_width = (height + 1) // 2, (width + 1) // 2
        has_half = min(half_height, half_width) >= c.MIN_SIDE_PX
        half_shape = (half_height, half_width) if has_half else (0, 0)
        shapes = (3, half_height, half_width), (2, width), (height, width), half_shape
        scratch = Memory(kept.find_scratch(sum(measure(*shape) for shape in shapes)))
        self._halves, self._rows, full_distances, half_distances = (scratch.take(*shape) for shape in shapes)
        core = core_height_px, core_width_px
        full, half = tiles.cut(height, width, *core), tiles.cut(half_height, half_width, *core) if has_half else ()
        block = kept.take_block(sum(_measure_reference(region) for region in (*full, *half)))
        weakref.finalize(self, kept.give_back, block).atexit = False
        known = Memory(block)
        self._full = _Scale([_prepare(region, known) for region in full], full_distances, at_half=False)
        self._half = _Scale([_prepare(region, known) for region in half], half_distances, at_half=True)
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
        self._measure(distorted)
        sums = np.zeros(4)
        norms.add_powers(self._full.distances, self._half.distances, (0, 0), width, self._margin_px, self._rows, sums)
        return norms.tally(sums, (height - 2 * self._margin_px) * (width - 2 * self._margin_px))

    def diffmap(self, distorted: Pixels) -> Plane:
        """Return the distance of each pixel, float32[h, w], the margin included.

        Raises
        ------
        TypeError, ValueError
            As `compare`.
        """
        self._measure(distorted)
        if not self._half.tiles:
            return self._full.distances.copy()
        out = np.empty(self._shape[:2], np.float32)
        diffmap.join_scales(self._full.distances, self._half.distances, out)
        return out

    def _learn(self, reference: Pixels) -> None:
        rgb = freeze(np.ascontiguousarray(reference))[None]
        for scale in (self._full, self._half):
            source = Source(rgb, self._halves, scale.at_half)
            for tile in scale.tiles:
                _run(source, FILTERS, tile.edges, tile.place, tile.work, color.LINEAR, tile.reference, NOWHERE)

    def _measure(self, distorted: Pixels) -> None:
        check_pixels(distorted, "distorted")
        if distorted.shape != self._shape:
            raise ValueError(f"distorted has the shape {distorted.shape}, the reference {self._shape}")
        rgb = freeze(self._make_contiguous(distorted))[None]
        # At full resolution first: it leaves the linear image at half resolution.
        for scale in (self._full, self._half):
            source = Source(rgb, self._halves, scale.at_half)
            for tile in scale.tiles:
                _run(
                    source,
                    FILTERS,
                    tile.edges,
                    tile.place,
                    tile.work,
                    color.LINEAR,
                    tile.reference,
                    scale.distances,
                )

    def _make_contiguous(self, pixels: Pixels) -> Pixels:
        if pixels.flags.c_contiguous:
            return pixels
        if self._copy is None:
            self._copy = np.empty(self._shape, np.uint8)
        np.copyto(self._copy, pixels)
        return self._copy


@functools.lru_cache(maxsize=64)
def _measure_reference(region: tiles.Tile) -> int:
    shape, half = _find_shapes(region)
    return sum(measure(*each) for each in ((4, *shape), (6, *half), half, shape, half))


def _prepare(region: tiles.Tile, memory: Memory) -> _Tile:
    """Return a tile with `memory` for what is to be known of the reference there."""
    shape, half = _find_shapes(region)
    reference = Reference(
        high=memory.take(4, *shape),
        low=memory.take(6, *half),
        blurred=memory.take(*half),
        ac_visibility=memory.take(*shape),
        dc_visibility=memory.take(*half),
    )
    rows, columns = region
    place = Place(rows.start, columns.start, rows.first, rows.last, columns.first, columns.last)
    edges = find_edges(shape[1]), find_edges(shape[0])
    return _Tile(place, edges, kept.find_workspace(shape[1]), reference)


def _find_shapes(region: tiles.Tile) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return height and width of a tile at its own and at half its resolution."""
    height, width = (span.stop - span.start for span in region)
    return (height, width), ((height + 1) // 2, (width + 1) // 2)


def freeze(pixels: Pixels) -> Pixels:
    """Return `pixels` as a read-only view: writeable and read-only arrays are two types to the compiler."""
    view = pixels.view()
    view.flags.writeable = False
    return view


def check_pixels(pixels: Pixels, name: str) -> None:
    """Raise TypeError or ValueError where `pixels` are not uint8[h, w, 3], at least 8 pixels a side."""
    if not isinstance(pixels, np.ndarray) or pixels.dtype != np.uint8:
        raise TypeError(f"{name} must be an array of uint8, not {getattr(pixels, 'dtype', type(pixels).__name__)}")
    if pixels.ndim != 3 or pixels.shape[2] != 3:
        raise ValueError(f"{name} must have the shape [h, w, 3], not {pixels.shape}")
    if min(pixels.shape[:2]) < c.MIN_SIDE_PX:
        raise ValueError(f"{name} must be at least {c.MIN_SIDE_PX} pixels a side, not {pixels.shape[:2]}")


def check_margin(margin_px: int, shape: tuple[int, ...]) -> None:
    """Raise ValueError where a margin leaves nothing of pixels of `shape`, [h, w, 3]."""
    if not 0 <= 2 * margin_px < min(shape[:2]):
        raise ValueError(f"margin_px={margin_px} leaves nothing of {shape[1]} x {shape[0]} pixels")
