"""The parts of an image that are encoded and scored in place of the whole."""

import math
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from pixels import tiles
from pixels.butteraugli import Comparator, TileComparator, pool
from pixels.load import decode
from pixels.look import Pixels, looks, looks_of
from pixels.raster import Raster, share
from pixels.tiles import SIDE_PX, TRIM_PX, Corner, Tile

#: An image is its own sample up to this multiple of the sample's pixels: tiles score only their insides.
_WHOLE_SHARE: Final = 1.5
#: A drawing has fewer colours, as a share of the pixels looked at.
_DRAWING_COLOURS: Final = 1 / 8
_COLOURS_LOOKED_AT_PX: Final = 32_768
#: In a drawing what matters may be a small thing on a plain ground: it needs a larger sample.
_DRAWING_PROBE: Final = 2
_DRAWING_VERIFY: Final = 4
#: The sample that `measure` scores.
_MEASURED_PX: Final = 1_000_000


class Sample:
    """A picture's tiles, or the picture itself where that is small.

    Each tile is compared by itself: scored as one image, the seams between them would mask what lies beside them.

    Parameters
    ----------
    raster
        8 bits a sample; the frames of an animation below each other.
    probe_px
        Pixels to encode for a probe.
    verify_px
        Pixels of the whole picture to score, when that was encoded.

    Attributes
    ----------
    raster
        What to encode for a probe: tiles side by side, or the picture.
    is_whole
        Whether that is the picture itself, so that a probe is as good as the last encode.
    is_drawing
        Whether the picture has few colours for its size.
    """

    def __init__(self, raster: Raster, *, probe_px: int, verify_px: int) -> None:
        image = raster.image
        self._translucent = _is_translucent(image)
        self._looks = looks_of(raster, translucent=self._translucent)
        self._frame_height = image.get("page-height") if image.get_typeof("page-height") else image.get("height")
        self._grid: tiles.Grid | None = None
        self.is_drawing = _count_colours(self._looks[-1]) < _DRAWING_COLOURS
        if self.is_drawing:
            probe_px, verify_px = _DRAWING_PROBE * probe_px, _DRAWING_VERIFY * verify_px
        probed, verified = self._choose(probe_px), self._choose(verify_px)
        self.is_whole = probed is None
        self.raster = raster if probed is None else _join(raster, probed)
        self._probed = self._make_region(probed)
        self._verified = self._probed if verified == probed else self._make_region(verified)

    @property
    def verified_corners(self) -> list[Corner] | None:
        """Row and column of the first pixel of each tile that `verify` scores; None where that is all of a picture."""
        return self._verified.corners

    def score(self, probe: Any) -> float:
        """Return the distance of `raster`, as it came back from an encoder, from what it was."""
        return self._probed.score(looks(probe, translucent=self._translucent), _lie_joined)

    def verify(self, decoded: Any) -> float:
        """Return the distance of the whole picture, as it came back from an encoder."""
        return self._verified.score(looks(decoded, translucent=self._translucent), _lie_in_place)

    def verify_excerpt(self, decoded: Any) -> float:
        """Return what `verify` would, from the tiles at `verified_corners` alone, below each other."""
        return self._verified.score(looks(decoded, translucent=self._translucent), _lie_below_each_other)

    def _make_region(self, chosen: list[Tile] | None) -> "_Whole | _Tiles":
        return _Whole(self._looks) if chosen is None else _Tiles(self._looks, chosen)

    def _choose(self, budget_px: int) -> list[Tile] | None:
        height, width, _ = self._looks[-1].shape
        if height * width <= _WHOLE_SHARE * budget_px or min(width, self._frame_height) < SIDE_PX:
            return None
        if self._grid is None:
            self._grid = tiles.Grid(self._looks, self._frame_height)
        return self._grid.choose(budget_px)


class _Whole:
    """All of a picture as the region that is compared. The reference is paid for at the first score."""

    corners = None

    def __init__(self, references: list[Pixels]) -> None:
        self._references = references
        self._comparators: list[Comparator] = []

    def score(self, distorted: list[Pixels], lie: "_Layout") -> float:
        """Return the largest distance of any look."""
        del lie
        self._comparators = self._comparators or [Comparator(look) for look in self._references]
        return max(one.compare(look).norm3 for one, look in zip(self._comparators, distorted, strict=True))


class _Tiles:
    """Tiles of a picture as the region that is compared. The references are paid for at the first score."""

    def __init__(self, references: list[Pixels], chosen: list[Tile]) -> None:
        self._references = references
        self.corners = [(tile.top, tile.left) for tile in chosen]
        self._weights = [tile.weight for tile in chosen]
        self._comparators: list[TileComparator] = []

    def score(self, distorted: list[Pixels], lie: "_Layout") -> float:
        """Return the largest distance of any look; `lie` tells where the tiles are in `distorted`."""
        self._comparators = self._comparators or [
            TileComparator(_cut(look, self.corners), margin_px=tiles.MARGIN_PX) for look in self._references
        ]
        corners = lie(self.corners)
        return max(
            pool(one.tally(_cut(look, corners)), self._weights).distance().norm3
            for one, look in zip(self._comparators, distorted, strict=True)
        )


def measure(raster: Raster, data: bytes) -> float:
    """Return the distance of an encoded file from the raster that it was made of."""
    return Sample(raster, probe_px=0, verify_px=_MEASURED_PX).verify(decode(data))


#: Where the tiles at some corners of the picture lie in what came back from an encoder.
_Layout = Callable[[list[Corner]], list[Corner]]


def _lie_in_place(corners: list[Corner]) -> list[Corner]:
    return corners


def _lie_joined(corners: list[Corner]) -> list[Corner]:
    """As `_join` lays them."""
    across = _count_across(len(corners))
    return [(index // across * SIDE_PX, index % across * SIDE_PX) for index in range(len(corners))]


def _lie_below_each_other(corners: list[Corner]) -> list[Corner]:
    return [(index * SIDE_PX, 0) for index in range(len(corners))]


def _cut(look: Pixels, corners: list[Corner]) -> list[Pixels]:
    """Cut the tiles at `corners` out, without what a stranger beside them may have bled into."""
    inside = SIDE_PX - 2 * TRIM_PX
    return [
        look[top + TRIM_PX : top + TRIM_PX + inside, left + TRIM_PX : left + TRIM_PX + inside] for top, left in corners
    ]


def _is_translucent(image: Any) -> bool:
    return bool(image.hasalpha() and image[image.get("bands") - 1].min() < 255)


def _count_colours(look: Pixels) -> float:
    """Return the number of colours as a share of the pixels looked at."""
    flat = look.reshape(-1, 3)
    some = flat[:: max(1, len(flat) // _COLOURS_LOOKED_AT_PX)].astype(np.uint32)
    # Sorting takes a tenth of the time of np.unique, which hashes.
    colours = np.sort(some[:, 0] << 16 | some[:, 1] << 8 | some[:, 2])
    return (1 + np.count_nonzero(colours[1:] != colours[:-1])) / len(colours)


def _join(raster: Raster, chosen: list[Tile]) -> Raster:
    """Lay tiles side by side in a picture of their own; a probe of an animation is a still."""
    across = _count_across(len(chosen))
    side = (-(-len(chosen) // across) * SIDE_PX, across * SIDE_PX)
    samples = np.zeros((*side, *raster.samples.shape[2:]), raster.samples.dtype)
    for tile, (top, left) in zip(chosen, _lie_joined([(tile.top, tile.left) for tile in chosen]), strict=True):
        part = raster.samples[tile.top : tile.top + SIDE_PX, tile.left : tile.left + SIDE_PX]
        samples[top : top + SIDE_PX, left : left + SIDE_PX] = part
    return share(samples, raster.image.get("interpretation"))


def _count_across(count: int) -> int:
    return math.isqrt(count - 1) + 1
