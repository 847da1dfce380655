"""Growth is told as ratios with what was asked of them; the measurements work, on little."""

import os
import xml.etree.ElementTree as ET

import msgspec
import pytest

from perf.growth import megapixels
from perf.growth.processes import hold_to
from perf.growth.result import Curve, Finding, Growth, Point, publish, render

CURVE = Curve("JPEG", [Point.of(0.1, [30.0, 32.0, 31.0]), Point.of(0.3, [24.0, 24.0]), Point.of(10, [20.0, 21.0])])


def test_a_point_has_the_median_and_the_extremes():
    assert CURVE.points[0] == Point(0.1, 31.0, 30.0, 32.0)


@pytest.mark.parametrize(
    ("value", "is_least", "holds"), [(1.2, False, True), (1.3, False, False), (1.9, True, True), (1.1, True, False)]
)
def test_a_finding_is_at_most_or_at_least_what_was_asked(value, is_least, holds):
    assert Finding("a", value, 1.2, is_least).holds is holds


def test_the_range_is_the_dearest_over_the_cheapest_megapixel():
    assert megapixels.find_range(CURVE, 0.1) == Finding(
        "JPEG: the dearest over the cheapest megapixel, from 0.1 MP on", round(31 / 20.5, 3), 1.2
    )
    assert megapixels.find_range(CURVE, 0.3).value == round(24 / 20.5, 3)


def test_what_a_request_costs_whatever_its_size_is_where_the_line_begins():
    line = Curve("a", [Point(at, 5 / at + 20, 0, 0) for at in (0.1, 0.3, 1.0)])
    assert megapixels.find_fixed_ms(line) == pytest.approx(5)


def test_sides_and_turns_follow_the_size():
    width, height = megapixels.find_sides(24)
    assert width * height == pytest.approx(24e6, rel=1e-3)
    assert width / height == pytest.approx(1.5, rel=1e-3)
    assert [megapixels.count_requests(size, 2) for size in (0.01, 1.0, 40.0)] == [40, 2, 1]


def test_what_is_held_to_one_core_is_let_go_again():
    before = os.sched_getaffinity(0)
    with hold_to(1):
        assert len(os.sched_getaffinity(0)) == 1
    assert os.sched_getaffinity(0) == before


def test_it_is_published_with_its_verdicts(tmp_path):
    growth = Growth.now(
        "megapixels",
        at="MP",
        value="CPU ms",
        curves=[CURVE, Curve("WebP", CURVE.points[1:])],
        findings=[Finding("apart", 1.5, 1.2), Finding("gain", 1.9, 1.85, True)],
        notes=["2 rounds"],
    )
    page = render(growth)
    assert "| WebP |  | 24 (24-24) | 20.5 (20-21) |" in page
    assert "- apart: 1.5 (at most 1.2: **does not hold**)" in page
    assert "- gain: 1.9 (at least 1.85: holds)" in page
    figures, chart = publish(growth, tmp_path / "results")
    assert msgspec.json.decode(figures.read_bytes(), type=Growth) == growth
    ET.parse(chart)  # noqa: S314 - our own file
