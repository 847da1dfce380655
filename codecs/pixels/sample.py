"""The parts of an image that are encoded and scored in place of the whole."""

import math
from typing import Any, Final

import numpy as np

from pixels import tiles
from pixels.butteraugli import Comparator, pool
from pixels.load import decode
from pixels.look import Pixels, looks
from pixels.tiles import SIDE_PX, TRIM_PX, Tile
from pixels.vips import pyvips

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

#: Corner of a region: top, left.
Corner = tuple[int, int]


class Sample:
    """A picture's tiles, or the picture itself where that is small.

    Each tile is compared by itself: scored as one image, the seams between them would mask what lies beside them.

    Parameters
    ----------
    image
        8 bits a sample, in memory; the frames of an animation below each other.
    probe_px
        Pixels to encode for a probe.
    verify_px
        Pixels of the whole picture to score, when that was encoded.

    Attributes
    ----------
    image
        What to encode for a probe: tiles side by side, or the picture.
    is_whole
        Whether that is the picture itself, so that a probe is as good as the last encode.
    is_drawing
        Whether the picture has few colours for its size.
    """

    def __init__(self, image: Any, *, probe_px: int, verify_px: int) -> None:
        self._translucent = _is_translucent(image)
        self._looks = looks(image, translucent=self._translucent)
        self._frame_height = image.get("page-height") if image.get_typeof("page-height") else image.get("height")
        self._grid: tiles.Grid | None = None
        self._comparators: dict[Corner | None, list[Comparator]] = {}
        self.is_drawing = _count_colours(self._looks[-1]) < _DRAWING_COLOURS
        if self.is_drawing:
            probe_px, verify_px = _DRAWING_PROBE * probe_px, _DRAWING_VERIFY * verify_px
        self._probe_tiles = self._choose(probe_px)
        self._verify_tiles = self._choose(verify_px)
        self.is_whole = self._probe_tiles is None
        self.image = image if self._probe_tiles is None else _join(image, self._probe_tiles)

    def score(self, probe: Any) -> float:
        """Return the distance of `image`, as it came back from an encoder, from what it was."""
        if self._probe_tiles is None:
            return self._score(probe, None, None)
        across = self.image.get("width") // SIDE_PX
        corners = [(i // across * SIDE_PX, i % across * SIDE_PX) for i in range(len(self._probe_tiles))]
        return self._score(probe, self._probe_tiles, corners)

    def verify(self, decoded: Any) -> float:
        """Return the distance of the whole picture, as it came back from an encoder."""
        chosen = self._verify_tiles
        return self._score(decoded, chosen, None if chosen is None else [(tile.top, tile.left) for tile in chosen])

    def _choose(self, budget_px: int) -> list[Tile] | None:
        height, width, _ = self._looks[-1].shape
        if height * width <= _WHOLE_SHARE * budget_px or min(width, self._frame_height) < SIDE_PX:
            return None
        if self._grid is None:
            self._grid = tiles.Grid(self._looks, self._frame_height)
        return self._grid.choose(budget_px)

    def _score(self, decoded: Any, chosen: list[Tile] | None, corners: list[Corner] | None) -> float:
        distances = []
        for index, look in enumerate(looks(decoded, translucent=self._translucent)):
            if chosen is None or corners is None:
                distances.append(self._comparator(index, None).compare(look).norm3)
                continue
            tallies = [
                self._comparator(index, (tile.top, tile.left)).tally(_cut(look, *corner))
                for tile, corner in zip(chosen, corners, strict=True)
            ]
            distances.append(pool(tallies, [tile.weight for tile in chosen]).distance().norm3)
        return max(distances)

    def _comparator(self, index: int, corner: Corner | None) -> Comparator:
        """Return the comparator of a tile, or of the whole, before background `index`; each is paid for once."""
        if corner not in self._comparators:
            self._comparators[corner] = [
                Comparator(look) if corner is None else Comparator(_cut(look, *corner), margin_px=tiles.MARGIN_PX)
                for look in self._looks
            ]
        return self._comparators[corner][index]


def measure(image: Any, data: bytes) -> float:
    """Return the distance of an encoded file from the image that it was made of."""
    return Sample(image, probe_px=0, verify_px=_MEASURED_PX).verify(decode(data))


def _cut(look: Pixels, top: int, left: int) -> Pixels:
    return look[top + TRIM_PX : top + SIDE_PX - TRIM_PX, left + TRIM_PX : left + SIDE_PX - TRIM_PX]


def _is_translucent(image: Any) -> bool:
    return bool(image.hasalpha() and image[image.get("bands") - 1].min() < 255)


def _count_colours(look: Pixels) -> float:
    """Return the number of colours as a share of the pixels looked at."""
    flat = look.reshape(-1, 3)
    some = flat[:: max(1, len(flat) // _COLOURS_LOOKED_AT_PX)].astype(np.uint32)
    return len(np.unique(some[:, 0] << 16 | some[:, 1] << 8 | some[:, 2])) / len(some)


def _join(image: Any, chosen: list[Tile]) -> Any:
    parts = [image.crop(tile.left, tile.top, SIDE_PX, SIDE_PX) for tile in chosen]
    joined = pyvips.Image.arrayjoin(parts, across=math.isqrt(len(parts) - 1) + 1).copy()
    # The first tile brings it along; a probe of an animation is a still.
    joined.remove("page-height")
    return joined.copy_memory()
