"""The tiles that stand for a large picture."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pixels.tiles import CORE_PX, SIDE_PX, Grid, Tile

Pixels = npt.NDArray[np.uint8]


def choose(looks: list[Pixels], budget_px: int, frame_height: int | None = None) -> list[Tile]:
    return Grid(looks, frame_height).choose(budget_px)


def noise(height: int, width: int, strength: int, seed: int = 1) -> Pixels:
    values = 128 + np.random.default_rng(seed).integers(-strength, strength + 1, (height, width, 3))
    return values.astype(np.uint8)


@settings(max_examples=40, deadline=None)
@given(st.integers(SIDE_PX, 700), st.integers(SIDE_PX, 700), st.integers(1, 60))
def test_tiles_lie_inside_on_the_grid_of_blocks_and_within_the_budget(height: int, width: int, count: int) -> None:
    chosen = choose([noise(height, width, 20)], count * CORE_PX**2)
    assert 1 <= len(chosen) <= count
    assert len({tile[:2] for tile in chosen}) == len(chosen)
    for tile in chosen:
        assert 0 <= tile.top <= height - SIDE_PX
        assert 0 <= tile.left <= width - SIDE_PX
        assert tile.top % 16 == tile.left % 16 == 0


def test_the_weights_are_all_the_tiles_of_the_image() -> None:
    image = noise(1040, 1040, 20)
    everything = choose([image], image.size)
    some = choose([image], 30 * CORE_PX**2)
    assert len(everything) == 16 * 16
    assert sum(tile.weight for tile in some) == len(everything)
    assert {tile.weight for tile in everything} == {1.0}


@pytest.mark.parametrize("channel", [1, 2], ids=["luma", "blue"])
def test_the_busiest_place_counts_for_itself(channel: int) -> None:
    image = noise(1040, 1040, 2)
    image[528:592, 656:720, channel] = noise(64, 64, 100)[..., 0]
    found = [
        tile for tile in choose([image], 12 * CORE_PX**2) if abs(tile.top - 520) < 64 and abs(tile.left - 650) < 64
    ]
    assert found
    assert {tile.weight for tile in found} == {1.0}


def test_what_shows_before_one_background_only_is_found() -> None:
    white, black = noise(1040, 1040, 2), noise(1040, 1040, 2)
    black[528:592, 656:720] = noise(64, 64, 100)
    chosen = choose([black, white], 12 * CORE_PX**2)
    assert any(abs(tile.top - 520) < 64 and abs(tile.left - 650) < 64 for tile in chosen)


def test_no_tile_lies_across_two_frames() -> None:
    frame_height = 150
    for tile in choose([noise(4 * frame_height, 300, 20)], 40 * CORE_PX**2, frame_height):
        assert tile.top // frame_height == (tile.top + SIDE_PX - 1) // frame_height


def test_the_choice_is_repeatable() -> None:
    image = noise(900, 900, 20)
    assert choose([image], 20 * CORE_PX**2) == choose([image], 20 * CORE_PX**2)
