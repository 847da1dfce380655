"""The orientation is applied to the pixels, and nothing is left that would turn them again."""

import numpy as np
import pytest

from pixels.exif import build, read_orientation
from pixels.options import Options
from pixels.pipeline import compress
from tests.pixels.pictures import (
    BLUE,
    GREEN,
    KINDS,
    RED,
    YELLOW,
    animation,
    encoded,
    exif,
    mean_colours,
    opened,
    quadrants,
    stored,
)

UPRIGHT = [RED, GREEN, BLUE, YELLOW]


def looks_upright(data: bytes | memoryview, slack: int = 14) -> bool:
    colours = mean_colours(opened(data))
    return all(
        abs(a - b) <= slack for got, want in zip(colours, UPRIGHT, strict=True) for a, b in zip(got, want, strict=True)
    )


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["jpeg", "png", "webp"])
def test_each_orientation_of_each_format_is_applied(name: str, orientation: int) -> None:
    source = encoded(stored(quadrants(), orientation), name, quality=95, exif=exif(orientation))
    for strip in (True, False):
        result = compress(source, Options(quality=90, strip_metadata=strip))
        image = opened(result.data)
        assert (result.width, result.height) == image.size == (96, 64)
        assert looks_upright(result.data)
        assert image.getexif().get(0x0112, 1) == 1
        assert (image.getexif().get(0x010F) == "TestCam") is not strip


@pytest.mark.parametrize("orientation", range(1, 9))
def test_turns_that_an_avif_states_by_itself_are_applied_once(orientation: int) -> None:
    """Pillow writes EXIF's orientation as the container's own `irot` and `imir`, which decoders apply."""
    source = encoded(stored(quadrants(192, 128), orientation), "avif", quality=95, exif=exif(orientation))
    for target in ("avif", "jpeg"):
        options = Options(format=target, quality=90, strip_metadata=False, max_width=96)
        result = compress(source, options)
        assert (result.width, result.height) == (96, 64)
        assert looks_upright(result.data)
        assert opened(result.data).getexif().get(0x0112, 1) == 1


@pytest.mark.parametrize("target", KINDS)
def test_a_turned_picture_is_upright_in_every_format(target: str) -> None:
    source = encoded(stored(quadrants(), 6), "jpeg", quality=95, exif=exif(6))
    result = compress(source, Options(format=target, quality=90))
    assert (result.width, result.height) == (96, 64)
    assert looks_upright(result.data)


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_the_box_is_that_of_the_upright_picture(orientation: int) -> None:
    source = encoded(stored(quadrants(480, 320), orientation), "jpeg", quality=95, exif=exif(orientation))
    result = compress(source, Options(max_width=48, quality=90))
    assert (result.width, result.height) == opened(result.data).size == (48, 32)
    assert looks_upright(result.data, slack=20)


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_an_invalid_orientation_turns_nothing(orientation: int) -> None:
    source = encoded(quadrants(), "jpeg", quality=95, exif=exif(orientation))
    assert looks_upright(compress(source, Options(quality=90)).data)


def test_a_png_may_state_its_orientation_behind_its_pixels() -> None:
    source = encoded(stored(quadrants(), 8), "png", exif=exif(8))
    start = source.index(b"eXIf") - 4
    assert start < source.index(b"IDAT")
    length = 12 + int.from_bytes(source[start : start + 4], "big")
    chunk, rest = source[start : start + length], source[:start] + source[start + length :]
    behind = rest[:-12] + chunk + rest[-12:]
    result = compress(behind, Options())
    assert (result.width, result.height) == (96, 64)
    assert looks_upright(result.data, slack=0)


def test_every_frame_of_an_animation_is_turned() -> None:
    frames = [stored(quadrants(), 6), stored(quadrants().point(lambda level: level // 2), 6)]
    source = animation(frames, [50, 60], lossless=True, exif=exif(6))
    result = compress(source, Options(quality=95))
    assert (result.width, result.height, result.frames) == (96, 64, 2)
    assert looks_upright(result.data)
    image = opened(result.data)
    image.seek(1)
    assert np.abs(np.array(mean_colours(image)) - np.array(UPRIGHT) / 2).max() < 14


def test_the_preview_inside_exif_goes_once_the_picture_was_turned() -> None:
    preview = encoded(quadrants(32, 24), "jpeg")
    tiff = bytearray(build(6))
    # A second directory (IFD1) that says where the preview is and how long.
    tiff[22:26] = (26).to_bytes(4, "big")
    entries = [(0x0103, 3, 6 << 16), (0x0201, 4, 26 + 2 + 3 * 12 + 4), (0x0202, 4, len(preview))]
    tiff += len(entries).to_bytes(2, "big")
    for tag, kind, value in entries:
        tiff += tag.to_bytes(2, "big") + kind.to_bytes(2, "big") + (1).to_bytes(4, "big") + value.to_bytes(4, "big")
    tiff += bytes(4) + preview
    source = encoded(stored(quadrants(), 6), "jpeg", quality=95, exif=b"Exif\0\0" + bytes(tiff))
    assert source.count(b"\xff\xd8\xff") == 2
    kept = compress(source, Options(quality=60, strip_metadata=False))
    assert bytes(kept.data).count(b"\xff\xd8\xff") == 1
    assert looks_upright(kept.data)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_smallest_exif_block_is_read_back(orientation: int) -> None:
    assert read_orientation(build(orientation)) == orientation
    assert read_orientation(exif(orientation).removeprefix(b"Exif\0\0")) == orientation


@pytest.mark.parametrize("cut", range(0, 26, 3))
def test_a_cut_exif_block_states_no_orientation(cut: int) -> None:
    assert read_orientation(build(6)[:cut]) == 1 or cut > 20
