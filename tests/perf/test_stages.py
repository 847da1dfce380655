"""Where the time of a request goes: what the service names, in its order, and the rest of what the client waited."""

import xml.etree.ElementTree as ET
from urllib.parse import urlsplit

import msgspec
import pytest

from perf import stages
from perf.server_timing import Split, name_stages, read_stages
from perf.stages import Kind, Profile, Row
from tests.perf.stalling import Reply, Stalling, serving


def test_stages_are_those_of_the_header_in_its_order():
    assert list(read_stages("parse;dur=0.4, hand-over;dur=1, encode;dur=8.25").items()) == [
        ("parse", 0.4),
        ("hand-over", 1.0),
        ("encode", 8.25),
    ]
    assert read_stages("") == {}


def test_the_rest_is_what_no_stage_tells_and_never_less_than_nothing():
    assert Split("a", 10.0, {"encode": 8.0, "queue": 0.5}).rest_ms == pytest.approx(1.5)
    assert Split("a", 1.0, {"encode": 1.2}).rest_ms == 0


def test_a_stage_that_takes_no_time_anywhere_is_left_out():
    splits = [Split("a", 9.0, {"queue": 0.0, "search": 0.0, "encode": 8}), Split("b", 9, {"search": 3.0, "encode": 4})]
    assert name_stages(splits) == ["search", "encode"]


def test_means_are_of_the_middle_half_so_that_they_add_up():
    asked = [stages._Asked(total, {"encode": total - 2}) for total in (500.0, 10.0, 11.0, 12.0, 13.0, 14.0, 1.0)]
    row = stages._average("JPEG", asked)
    assert row.requests == 7
    assert row.total_ms == pytest.approx(12)
    assert row.split().rest_ms == pytest.approx(2)


def test_a_service_is_profiled_and_published(tmp_path):
    headers = (("Server-Timing", "parse;dur=0.0, search;dur=0.5, encode;dur=2.0"),)
    with serving(Stalling(delay_s=0.005, reply=Reply(headers=headers))) as server:
        profile = stages.measure(urlsplit(server.url).port, "key", 4, {"JPEG": Kind((64, 48), {"quality": "75"})})
        assert len(server.bodies) == 6
    [row] = profile.rows
    assert (row.title, row.requests, list(row.stages_ms)) == ("JPEG", 4, ["parse", "search", "encode"])
    assert row.stages_ms["encode"] == 2
    assert row.total_ms > 5
    assert row.low_ms <= row.total_ms <= row.high_ms

    figures, chart = stages.publish(profile, tmp_path / "results")
    assert msgspec.json.decode(figures.read_bytes(), type=Profile) == profile
    ET.parse(chart)  # noqa: S314 - our own file
    page = stages.render(profile)
    head = next(line for line in page.splitlines() if line.startswith("| work"))
    assert "encode | http |" in head
    assert all(line.count("|") == head.count("|") for line in page.splitlines()[2:])


def test_a_row_is_told_with_what_the_others_lack():
    row = Row(title="a", requests=4, total_ms=9, low_ms=8, high_ms=10, stages_ms={"encode": 8})
    other = msgspec.structs.replace(row, title="b", stages_ms={"parse": 1, "encode": 7})
    page = stages.render(Profile(date="2026-01-02", commit="abc", machine="m", versions={}, rows=[other, row]))
    assert page.splitlines()[-1] == "| a | 9.0 | 8.0-10.0 | 0.0 | 8.0 | 1.0 |"
