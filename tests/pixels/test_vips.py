"""After `prepare`, libvips reads and writes the four formats and nothing else."""

import logging
from pathlib import Path

import pytest

from pixels import vips
from pixels.vips import pyvips
from tests.pixels.pictures import KINDS, encoded, photo

SVG = b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><rect width="9" height="9"/></svg>'


def drawing() -> pyvips.Image:
    return pyvips.Image.black(4, 4, bands=3).copy(interpretation="srgb")


@pytest.mark.parametrize(
    ("loader", "data"),
    [
        ("gifload_buffer", encoded(photo(), "GIF")),
        ("tiffload_buffer", encoded(photo(), "TIFF")),
        ("svgload_buffer", SVG),
    ],
)
def test_other_loaders_are_blocked_by_name(loader: str, data: bytes) -> None:
    with pytest.raises(pyvips.Error, match="blocked"):
        pyvips.Operation.call(loader, data)


@pytest.mark.parametrize("data", [encoded(photo(), "GIF"), encoded(photo(), "TIFF"), SVG])
def test_other_formats_are_not_found_by_their_bytes(data: bytes) -> None:
    with pytest.raises(pyvips.Error):
        pyvips.Image.new_from_buffer(data, "").avg()


@pytest.mark.parametrize("suffix", [".gif", ".tif", ".v", ".csv", ".mat", ".ppm", ".hdr"])
def test_other_savers_are_blocked(suffix: str, tmp_path: Path) -> None:
    target = tmp_path / f"out{suffix}"
    with pytest.raises(pyvips.Error):
        drawing().write_to_file(str(target))
    assert not target.exists() or not target.stat().st_size


def test_raw_memory_dumps_cannot_be_loaded(tmp_path: Path) -> None:
    source = tmp_path / "raw"
    source.write_bytes(bytes(48))
    with pytest.raises(pyvips.Error, match="blocked"):
        pyvips.Image.rawload(str(source), 4, 4, 3)


@pytest.mark.parametrize("name", KINDS)
def test_the_four_formats_stay_readable(name: str) -> None:
    image = pyvips.Image.new_from_buffer(encoded(photo(), name), "")
    assert (image.width, image.height) == photo().size


def test_one_image_is_worked_on_by_one_thread_and_nothing_is_kept() -> None:
    assert pyvips.concurrency_get() == 1
    assert pyvips.cache_get_max() == 0
    assert not logging.getLogger("pyvips").isEnabledFor(logging.INFO)


def test_every_codec_runs_when_warmed() -> None:
    vips.warm()
