"""`compressorize compress`: the API's pipeline on local files."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.whole.pictures import encoded, opened, photo


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "app", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "photo.jpg"
    path.write_bytes(encoded(photo(), "JPEG", quality=95))
    return path


def test_one_file_to_a_named_file_with_facts_as_json(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "small.webp"
    done = run("compress", source, "-o", out, "--format", "webp", "--quality", "60", "--max-width", "100", "--json")
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout)
    assert opened(out.read_bytes()).size == (100, 75)
    assert facts["compressed_size"] == out.stat().st_size
    assert (facts["format"], facts["quality"], facts["width"]) == ("webp", 60, 100)


def test_many_files_into_a_folder_without_one_overwriting_another(source: Path, tmp_path: Path) -> None:
    twin = source.with_suffix(".png")
    twin.write_bytes(encoded(photo(80, 60), "PNG"))
    done = run("compress", source, twin, "-o", tmp_path / "out", "--format", "webp", "--json")
    assert done.returncode == 0, done.stderr
    sizes = {opened(Path(json.loads(line)["output"]).read_bytes()).size for line in done.stdout.splitlines()}
    assert sizes == {(320, 240), (80, 60)}


def test_without_an_output_the_result_lies_beside_the_source(source: Path) -> None:
    assert run("compress", source).returncode == 0
    assert source.with_name("photo.compressed.jpg").exists()


def test_a_broken_file_fails_alone_and_is_told(source: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(source.read_bytes()[:500])
    done = run("compress", source, broken, "-o", tmp_path / "out", "--json")
    assert done.returncode == 1
    outcomes = {Path(line["input"]).name: line for line in map(json.loads, done.stdout.splitlines())}
    assert "error" not in outcomes["photo.jpg"]
    assert outcomes["broken.jpg"]["error"]
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["photo.jpg"]


def test_the_source_is_never_overwritten(source: Path) -> None:
    before = source.read_bytes()
    assert run("compress", source, "-o", source).returncode == 1
    assert source.read_bytes() == before


@pytest.mark.parametrize(
    "option", [("--quality", "0"), ("--quality", "best"), ("--max-width", "0"), ("--format", "gif")]
)
def test_wrong_options_are_refused_before_anything_is_read(source: Path, option: tuple[str, str]) -> None:
    assert run("compress", source, *option).returncode == 2


def test_help_tells_every_command() -> None:
    text = run("--help").stdout
    for name in ("serve", "api", "worker", "warm", "keys", "cdn", "sign", "compress", "distance"):
        assert f"\n  {name} " in text


def test_warm_runs_every_codec() -> None:
    done = run("warm")
    assert done.returncode == 0, done.stderr
    assert "AVIF" in done.stdout


def test_the_distance_to_itself_is_0_and_to_a_bad_copy_above_1(source: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(encoded(opened(source.read_bytes()), "JPEG", quality=15))
    same, worse = (json.loads(run("distance", source, other, "--json").stdout) for other in (source, bad))
    assert same == {"max": 0, "3-norm": 0}
    assert worse["max"] > worse["3-norm"] > 1


def test_a_difference_in_alpha_counts(tmp_path: Path) -> None:
    clear, opaque = photo(64, 64).convert("RGBA"), photo(64, 64).convert("RGBA")
    clear.putalpha(90)
    paths = [tmp_path / "clear.png", tmp_path / "opaque.png"]
    for path, image in zip(paths, (clear, opaque), strict=True):
        path.write_bytes(encoded(image, "PNG"))
    assert json.loads(run("distance", *paths, "--json").stdout)["3-norm"] > 1


def test_images_that_cannot_be_compared_are_an_error(source: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.png"
    other.write_bytes(encoded(photo(64, 64), "PNG"))
    done = run("distance", source, other)
    assert done.returncode == 1
    assert "shape" in done.stderr
