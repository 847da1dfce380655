"""A file goes through every method, and comes out as rows, a page and a chart."""

import concurrent.futures
import xml.etree.ElementTree as ET

import msgspec
import pytest

from perf.quality.measure import Settings, measure_smart
from perf.quality.report import publish
from perf.quality.result import Result
from perf.quality.survey import Survey, Task
from tests.pixels.pictures import encoded, photo

SETTINGS = Settings(target=1.2, judge="ours", rounds=1, max_megapixels=1.0)


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "cup.png"
    path.write_bytes(encoded(photo(), "png"))
    return path


def test_a_set_is_measured_and_published(tmp_path, picture):
    broken = tmp_path / "broken.png"
    broken.write_bytes(picture.read_bytes()[:2000])
    tasks = [Task(path.name, path, "jpeg") for path in (picture, broken)]
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        survey = Survey(pool, SETTINGS, tasks)
        for method in ("smart", "bisection", "fixed"):
            survey.measure(method)
    publish(Result.now(SETTINGS, ["set"], survey), tmp_path / "perf")

    page = (tmp_path / "perf" / "QUALITY.md").read_text()
    assert "Judged by our own metric" in page.splitlines()[2]
    assert "- broken.png: " in page
    assert "/" + tmp_path.name not in page
    kept = msgspec.json.decode((tmp_path / "perf/results/quality.json").read_bytes(), type=Result)
    rows = {row.method: row for row in kept.rows}
    assert rows.keys() == {"smart", "bisection", "fixed"}
    assert rows["bisection"].distance == pytest.approx(1.2, rel=0.1)
    assert rows["fixed"].quality == survey.fixed_qualities["jpeg"]
    ET.parse(tmp_path / "perf/results/quality.svg")  # noqa: S314 - our own file


def test_a_source_that_no_encode_undercuts_is_marked(tmp_path):
    path = tmp_path / "small.jpg"
    path.write_bytes(encoded(photo(), "jpeg", quality=5, optimize=True))
    row = measure_smart(SETTINGS, "small.jpg", path, "jpeg")
    assert row.source_kept


def test_a_finding_is_kept_until_target_or_code_change(picture):
    first = measure_smart(SETTINGS, "cup.png", picture, "jpeg")
    assert measure_smart(SETTINGS, "cup.png", picture, "jpeg") == first
    edited = msgspec.structs.replace(SETTINGS, code="other")
    assert measure_smart(edited, "cup.png", picture, "jpeg").cpu_ms != first.cpu_ms
