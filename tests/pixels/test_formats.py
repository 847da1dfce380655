"""Every format to every format, at a quality in the sense of the output format."""

import mmap
from pathlib import Path

import pytest

from pixels.errors import UnsupportedFormat
from pixels.options import Options
from pixels.pipeline import compress
from pixels.sniff import sniff
from tests.pixels.pictures import KINDS, difference, encoded, opened, photo


@pytest.mark.parametrize("target", [*KINDS, "auto"])
@pytest.mark.parametrize("source", KINDS)
def test_every_format_goes_to_every_format(source: str, target: str) -> None:
    result = compress(encoded(photo(), source, quality=95), Options(format=target, quality=70))
    want = source if target == "auto" else target
    assert result.format == want
    image = opened(result.data)
    assert image.format == KINDS[want]
    assert (result.width, result.height) == image.size == photo().size
    assert difference(image, photo()) < 2.5


@pytest.mark.parametrize("target", KINDS)
def test_a_lower_quality_is_smaller_and_further_from_the_source(target: str) -> None:
    source = encoded(photo(), "png")
    found = {q: compress(source, Options(format=target, quality=q)) for q in (10, 40, 70)}
    sizes = [len(result.data) for result in found.values()]
    assert sizes == sorted(sizes)
    assert len(set(sizes)) == 3
    assert difference(opened(found[70].data), photo()) < difference(opened(found[10].data), photo())
    assert all(result.quality == quality for quality, result in found.items())


@pytest.mark.parametrize(("quality", "subsampled"), [(89, True), (90, False)])
def test_jpeg_chroma_has_half_resolution_below_quality_90(quality: int, subsampled: bool) -> None:
    result = compress(encoded(photo(), "png"), Options(format="jpeg", quality=quality))
    assert (opened(result.data).layer[0][1:3] == (2, 2)) is subsampled


def test_a_jpeg_of_75_is_smaller_than_pillows_at_75() -> None:
    source = photo(480, 360)
    result = compress(encoded(source, "png"), Options(format="jpeg", quality=75))
    assert len(result.data) < len(encoded(source, "jpeg", quality=75, optimize=True))


def test_a_grey_picture_stays_one_channel_where_the_format_has_that() -> None:
    grey = encoded(photo().convert("L"), "png")
    for target, mode in (("jpeg", "L"), ("png", "L"), ("webp", "RGB"), ("avif", "RGB")):
        image = opened(compress(grey, Options(format=target, quality=100 if target == "png" else None)).data)
        assert image.mode == mode
        assert difference(image, photo().convert("L")) < 2.5


def test_the_source_may_be_any_buffer_and_is_not_changed(tmp_path: Path) -> None:
    data = encoded(photo(), "jpeg", quality=95)
    path = tmp_path / "in"
    path.write_bytes(data)
    want = compress(data, Options()).data
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        assert compress(mapped, Options()).data == want
    assert compress(memoryview(data), Options()).data == want
    assert path.read_bytes() == data


def test_what_is_none_of_the_four_is_unsupported() -> None:
    for data in (b"", b"GIF89a", encoded(photo(), "GIF"), encoded(photo(), "TIFF")):
        with pytest.raises(UnsupportedFormat):
            compress(data, Options())


@pytest.mark.parametrize(("quality", "searches"), [(None, True), (80, False)])
def test_times_are_told(quality: int | None, searches: bool) -> None:
    result = compress(encoded(photo(), "jpeg"), Options(format="webp", quality=quality))
    assert result.decode_ms > 0
    assert result.encode_ms > 0
    assert (result.search_ms > 0) == searches
    assert sniff(result.data[:64]) is not None
