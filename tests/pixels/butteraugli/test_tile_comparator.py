"""Many tiles at once are what each is by itself."""

import numpy as np
import pytest

from pixels.butteraugli import Comparator, TileComparator
from tests.pixels.butteraugli.conftest import distort, paint


def paint_tiles(height, width, count=5):
    references = [paint(height, width, seed) for seed in range(count)]
    return references, [distort(tile, 1 + seed, seed) for seed, tile in enumerate(references)]


@pytest.mark.parametrize("margin_px", [0, 3])
@pytest.mark.parametrize("size", [(72, 72), (71, 73), (16, 130), (15, 15), (8, 40), (14, 9)])
def test_each_tile_is_tallied_as_if_alone(size, margin_px):
    """Under 15 pixels a side there is no half scale."""
    references, distorted = paint_tiles(*size)
    wanted = [Comparator(one, margin_px=margin_px).tally(two) for one, two in zip(references, distorted, strict=True)]
    found = TileComparator(references, margin_px=margin_px).tally(distorted)
    # The compiler may sum in another order where it sees both kernels at once.
    np.testing.assert_allclose(found, wanted, rtol=1e-6)


def test_more_tiles_than_fit_side_by_side():
    """Several strips, the last of which is not full."""
    references, distorted = paint_tiles(24, 72, count=23)
    wanted = [Comparator(one).tally(two) for one, two in zip(references, distorted, strict=True)]
    np.testing.assert_allclose(TileComparator(references).tally(distorted), wanted, rtol=1e-6)


@pytest.mark.parametrize("size", [(72, 72), (41, 43), (15, 15)])
def test_nothing_is_seen_across_a_gap(size):
    """Side by side with quite other tiles, the one in the middle has the same tally to the last bit."""
    references, distorted = paint_tiles(*size, count=3)
    negatives = [255 - references[0], references[1], 255 - references[2]]
    worse = [np.roll(references[0], 9, axis=1), distorted[1], references[2][::-1]]
    assert TileComparator(negatives).tally(worse)[1] == TileComparator(references).tally(distorted)[1]


def test_a_tile_does_not_depend_on_its_neighbours():
    references, distorted = paint_tiles(40, 48)
    found = TileComparator(references).tally(distorted)
    turned = TileComparator(references[::-1]).tally(distorted[::-1])
    assert turned[::-1] == found
    assert len(set(found)) == len(found)


def test_probes_leave_no_trace():
    """Comparators of one thread share their scratch, and give their memory to the next."""
    references, distorted = paint_tiles(40, 48)
    judge = TileComparator(references)
    first = judge.tally(distorted)
    others, worse = paint_tiles(64, 36, count=9)
    TileComparator(others).tally(worse)
    judge.tally([255 - tile for tile in references])
    Comparator(others[0]).compare(worse[0])
    assert judge.tally(distorted) == first


def test_tiles_come_as_views_or_in_one_array():
    references, distorted = paint_tiles(40, 48)
    wanted = TileComparator(references).tally(distorted)
    stacks = np.stack(references), np.stack(distorted)
    stacks[1].flags.writeable = False
    assert TileComparator(stacks[0]).tally(stacks[1]) == wanted
    framed = [np.pad(tile, ((3, 5), (2, 7), (0, 0))) for tile in (*references, *distorted)]
    views = [tile[3:-5, 2:-7] for tile in framed]
    assert TileComparator(views[:5]).tally(views[5:]) == wanted
    wide = np.concatenate(stacks, axis=3)
    assert TileComparator(wide[..., :3]).tally(wide[..., 3:]) == wanted


def test_what_is_written_into_the_arrays_later_changes_nothing():
    references, distorted = paint_tiles(40, 48)
    stack = np.stack(references)
    judge = TileComparator(stack)
    stack[:] = 0
    assert judge.tally(distorted) == TileComparator(references).tally(distorted)


GOOD = np.zeros((40, 41, 3), np.uint8)


@pytest.mark.parametrize(
    ("tiles", "error"),
    [
        ([], ValueError),
        (np.zeros((0, 40, 41, 3), np.uint8), ValueError),
        ([GOOD, GOOD[:39]], ValueError),
        ([GOOD, GOOD[:, :, :2]], ValueError),
        ([GOOD, GOOD.astype(float)], TypeError),
        ([GOOD, None], TypeError),
        (np.zeros((2, 40, 41, 4), np.uint8), ValueError),
        (np.zeros((2, 40, 41), np.uint8), ValueError),
        (np.zeros((2, 40, 41, 3)), TypeError),
        (np.zeros((2, 7, 41, 3), np.uint8), ValueError),
    ],
)
def test_bad_input_is_refused(tiles, error):
    with pytest.raises(error, match="reference"):
        TileComparator(tiles)
    with pytest.raises(error, match="distorted"):
        TileComparator([GOOD, GOOD]).tally(tiles)


@pytest.mark.parametrize("distorted", [[GOOD], [GOOD] * 3, np.zeros((2, 41, 40, 3), np.uint8)])
def test_other_tiles_than_the_references_are_refused(distorted):
    with pytest.raises(ValueError, match="distorted"):
        TileComparator([GOOD, GOOD]).tally(distorted)


@pytest.mark.parametrize("margin_px", [-1, 20])
def test_a_margin_that_leaves_nothing_is_refused(margin_px):
    with pytest.raises(ValueError, match="margin_px"):
        TileComparator([GOOD], margin_px=margin_px)
