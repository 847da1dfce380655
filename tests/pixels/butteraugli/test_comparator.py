"""What the public face promises."""

import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pixels.butteraugli import Comparator, Tally, pool
from tests.pixels.butteraugli import naive
from tests.pixels.butteraugli.conftest import distort, paint


def test_identical_images_are_at_zero():
    image = paint(64, 80)
    assert Comparator(image).compare(image) == (0, 0)


def test_more_distortion_is_further_away():
    image = paint(96, 80)
    judge = Comparator(image)
    norms = [judge.compare(distort(image, strength)).norm3 for strength in (1, 2, 4, 8, 16)]
    assert norms == sorted(norms)
    assert norms[0] > 0


@settings(max_examples=10, deadline=None)
@given(st.integers(4, 20), st.integers(4, 20), st.integers(0, 99))
def test_turning_both_images_changes_nothing(half_height, half_width, seed):
    """Every filter is symmetric; sides are a multiple of 4 so that the grids are too."""
    one = paint(4 * half_height, 4 * half_width, seed)
    two = distort(one, 5, seed)
    upright = Comparator(one).compare(two)
    for turn in (lambda a: a[::-1], lambda a: a[:, ::-1], lambda a: a.swapaxes(0, 1)):
        assert Comparator(turn(one)).compare(turn(two)) == pytest.approx(upright, rel=1e-3)


@pytest.mark.parametrize(("height", "width"), [(300, 420), (301, 419)])
@pytest.mark.parametrize(("core_height", "core_width"), [(64, 128), (128, 64), (100, 1000)])
def test_tiles_give_what_the_whole_gives(height, width, core_height, core_width):
    image = paint(height, width)
    other = distort(image, 5)
    whole = Comparator(image, core_height_px=height, core_width_px=width)
    tiled = Comparator(image, core_height_px=core_height, core_width_px=core_width)
    np.testing.assert_allclose(tiled.diffmap(other), whole.diffmap(other), rtol=1e-3, atol=1e-4)
    assert tiled.compare(other) == pytest.approx(whole.compare(other), rel=1e-4)


def test_probes_leave_no_trace():
    """Comparators of one thread share their scratch."""
    image = paint(120, 130)
    judge, other = Comparator(image), Comparator(paint(200, 90, 1))
    first = judge.compare(distort(image, 5))
    other.compare(paint(200, 90, 2))
    judge.compare(255 - image)
    assert judge.compare(distort(image, 5)) == first


def test_a_cropped_view_is_taken_as_it_is():
    image = paint(100, 120)
    other = distort(image, 5)
    view = Comparator(image[10:90, 20:101]).compare(other[10:90, 20:101])
    assert view == Comparator(image[10:90, 20:101].copy()).compare(other[10:90, 20:101].copy())


def test_the_margin_does_not_count():
    image = paint(90, 100)
    other = distort(image, 5)
    judge = Comparator(image, margin_px=7, core_height_px=32, core_width_px=48)
    inside = judge.diffmap(other)[7:-7, 7:-7].astype(float)
    assert judge.compare(other) == pytest.approx(naive.distance(inside), rel=1e-4)


def test_regions_pool_to_the_whole():
    image = paint(64, 64)
    tally = Comparator(image).tally(distort(image, 5))
    assert pool([tally, tally], [1, 3]).distance() == pytest.approx(tally.distance())
    assert pool([tally, Tally(0, 0, 0, 0)], [1, 0]).distance() == pytest.approx(tally.distance())
    one, two = Tally(1, 1, 1, 1), Tally(2, 8, 64, 4096)
    assert pool([one, two], [3, 1]) == pytest.approx((2, 2.75, 16.75, 1024.75))


@pytest.mark.parametrize("weights", [[], [1, 1], [0], [-1]])
def test_pool_needs_a_weight_for_each_region(weights):
    with pytest.raises(ValueError, match="pool needs"):
        pool([Tally(1, 1, 1, 1)], weights)


@pytest.mark.parametrize("size", [(8, 8), (8, 40), (15, 9), (16, 16), (9, 300)])
def test_small_images(size):
    """Under 15 pixels a side there is no half scale; all is border, where half resolution is least exact."""
    image = paint(*size)
    other = distort(image, 6)
    assert Comparator(image).compare(other) == pytest.approx(naive.distance(naive.diffmap(image, other)), rel=0.12)


@pytest.mark.parametrize("read_only", [False, True])
def test_a_probe_allocates_nothing_per_pixel(read_only):
    """At its peak it holds a few kilobytes more than before: not a tenth of one plane."""
    image = paint(256, 320)
    other = distort(image, 5)
    other.flags.writeable = not read_only
    judge = Comparator(image, core_width_px=160)
    judge.compare(other)
    tracemalloc.start()
    try:
        judge.compare(other)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < 256 * 320 * 4 / 10


def test_what_is_written_into_the_arrays_later_changes_nothing():
    image = paint(100, 120)
    other = distort(image, 5)
    given = image.copy()
    judge = Comparator(given)
    wanted = judge.compare(other)
    given[:] = 0
    assert judge.compare(other) == wanted


def test_comparators_that_come_and_go_keep_apart():
    """The memory of one that is gone goes to the next, never to two."""
    images = [paint(100, 120, seed) for seed in range(4)]
    others = [distort(image, 5) for image in images]
    wanted = [Comparator(image).compare(other) for image, other in zip(images, others, strict=True)]
    judges = [Comparator(image) for image in images]
    assert [judge.compare(other) for judge, other in zip(judges, others, strict=True)] == wanted
    del judges[1]
    judges.insert(1, Comparator(images[1]))
    assert [judge.compare(other) for judge, other in zip(judges, others, strict=True)] == wanted


def test_threads_have_scratch_of_their_own():
    images = [paint(100, 120, seed) for seed in range(4)]

    def judge(image):
        judge = Comparator(image)
        return [judge.compare(distort(image, strength)) for strength in (2, 5)]

    alone = [judge(image) for image in images]
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(judge, images)) == alone


@pytest.mark.parametrize(
    ("pixels", "error"),
    [
        (np.zeros((7, 40, 3), np.uint8), ValueError),
        (np.zeros((40, 7, 3), np.uint8), ValueError),
        (np.zeros((0, 40, 3), np.uint8), ValueError),
        (np.zeros((40, 40), np.uint8), ValueError),
        (np.zeros((40, 40, 4), np.uint8), ValueError),
        (np.zeros((40, 40, 3), np.uint16), TypeError),
        (np.full((40, 40, 3), np.nan, np.float32), TypeError),
        (np.zeros((40, 40, 3)), TypeError),
        (np.zeros((40, 40, 3), np.int8), TypeError),
        ([[[0, 0, 0]]], TypeError),
        (None, TypeError),
    ],
)
def test_bad_input_is_refused(pixels, error):
    with pytest.raises(error, match="reference must"):
        Comparator(pixels)
    with pytest.raises(error, match="distorted"):
        Comparator(np.zeros((40, 40, 3), np.uint8)).compare(pixels)


def test_another_shape_is_refused():
    with pytest.raises(ValueError, match="distorted has the shape"):
        Comparator(paint(40, 41)).compare(paint(41, 40))


@pytest.mark.parametrize("margin_px", [-1, 20, 100])
def test_a_margin_that_leaves_nothing_is_refused(margin_px):
    with pytest.raises(ValueError, match="margin_px"):
        Comparator(paint(40, 41), margin_px=margin_px)
