"""Butteraugli's kernels: preparing a reference, a probe, and the tiles of a search."""

import pytest

from perf.bench.pace import Pace
from perf.bench.pictures import draw
from pixels.butteraugli import Comparator, TileComparator, warm

#: As many tiles of this side as the search compares of a photograph.
TILES, TILE_PX = 45, 72


@pytest.fixture(scope="module", autouse=True)
def compiled() -> None:
    warm()


@pytest.mark.parametrize("side_px", [64, 512])
def test_reference(pace: Pace, side_px: int) -> None:
    reference, _ = draw(side_px, side_px)
    pace(lambda: Comparator(reference))


@pytest.mark.parametrize("side_px", [64, 512])
def test_probe(pace: Pace, side_px: int) -> None:
    reference, distorted = draw(side_px, side_px)
    comparator = Comparator(reference)
    pace(lambda: comparator.compare(distorted))


def test_tiles(pace: Pace) -> None:
    corners = [(top, left) for top in range(0, 5 * TILE_PX, TILE_PX) for left in range(0, 9 * TILE_PX, TILE_PX)]
    references, distorted = (
        [image[top : top + TILE_PX, left : left + TILE_PX].copy() for top, left in corners]
        for image in draw(5 * TILE_PX, 9 * TILE_PX)
    )
    assert len(references) == TILES
    comparator = TileComparator(references, margin_px=4)
    pace(lambda: comparator.tally(distorted))
