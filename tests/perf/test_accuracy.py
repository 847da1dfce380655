"""What counts as a hit, and what the table says of a method."""

import math

import pytest

from perf.quality.accuracy import choose_fixed_quality, pass_verdicts, summarise
from perf.quality.measure import Row

TARGET = 1.2


def row(distance, method="smart", **more):
    fields = {"image": "a", "format": "jpeg", "megapixels": 0.5, "quality": 70, "bytes": 1000, **more}
    return Row(method=method, distance=distance, **fields)


@pytest.mark.parametrize(
    ("rows", "verdict"),
    [
        ([row(1.31)], "hit"),
        ([row(1.33)], "miss"),
        ([row(1.07)], "miss"),
        ([row(0.0, source_kept=True)], "source kept"),
        ([row(1.5, claimed=1.5), row(1.5, "bisection")], "unreachable"),
        ([row(1.5, claimed=1.2), row(1.5, "bisection")], "miss"),
        ([row(1.5, claimed=1.5), row(1.2, "bisection")], "miss"),
        ([row(1.5, claimed=1.5)], "miss"),
        ([row(0.001, claimed=0.0), row(1.2, "bisection", bytes=1001)], "lossless"),
        ([row(0.001, claimed=0.0), row(1.2, "bisection", bytes=999)], "miss"),
    ],
    ids=[
        "10 % above",
        "more",
        "more below",
        "source kept",
        "told",
        "not told",
        "bisection did",
        "not tried",
        "no loss, fewer bytes",
        "no loss, more bytes",
    ],
)
def test_a_target_is_out_of_reach_only_where_smart_said_so_and_bisection_failed_too(rows, verdict):
    assert pass_verdicts(rows, TARGET) == {("a", "jpeg"): verdict}


def test_every_method_is_summed_up_over_the_images_that_smart_was_judged_on():
    rows = [
        row(1.2, image="a"),
        row(2.4, "fixed", image="a"),
        row(0.0, image="b", source_kept=True),
        row(0.1, "fixed", image="b"),
        row(1.26, image="c"),
        row(0.6, "fixed", image="c"),
    ]
    smart, fixed = summarise(rows, TARGET)
    assert (smart.images, smart.near, smart.far) == (2, 2, 2)
    assert (fixed.images, fixed.near, fixed.far) == (2, 0, 0)
    assert (fixed.highest.image, fixed.lowest.image) == ("a", "c")
    assert fixed.centre == pytest.approx(1)
    assert fixed.log_sd == pytest.approx(math.log(2))


def test_cost_is_a_ratio_above_2_mp_and_milliseconds_below_1_mp():
    rows = [
        row(1.2, image="small", megapixels=0.9, cpu_ms=70.0, plain_cpu_ms=20.0),
        row(1.2, image="middle", megapixels=1.5, cpu_ms=900.0, plain_cpu_ms=20.0),
        row(1.2, image="large", megapixels=2.1, cpu_ms=260.0, plain_cpu_ms=200.0),
        row(1.2, "bisection", image="large", megapixels=2.1, cpu_ms=1600.0),
    ]
    smart, bisection = summarise(rows, TARGET)
    assert smart.large_cost == pytest.approx(1.3)
    assert smart.small_added_ms == pytest.approx(50)
    assert bisection.large_cost == pytest.approx(8)
    assert bisection.small_added_ms is None


def test_the_fixed_quality_suits_most_images_on_a_logarithmic_scale():
    """Images cross the target at 40, 60 and 65; one that never comes near it does not draw the quality to itself."""
    curves = [{q: TARGET * math.exp((crossing - q) / 20) for q in (30, 70)} for crossing in (40, 60, 65)]
    assert choose_fixed_quality(curves, TARGET) == 60
    far_off = {30: TARGET / 10, 70: TARGET / 20}
    assert choose_fixed_quality([*curves, *[curves[1]], far_off], TARGET) == 60
