"""The quality that the metric chooses."""

import io
import math

import numpy as np
import pytest
import skimage.data
from PIL import Image, ImageDraw, ImageFont, ImageSequence

from pixels.distance import measure_distance
from pixels.options import Limits, Options
from pixels.pipeline import Compressed, compress
from tests.pixels.pictures import animation, encoded, noise, opened, photo, translucent

LOSSY = ["jpeg", "webp", "avif"]
PATIENT = Limits(search_s=120)
#: Four blocks of chroma at half resolution, one of luma: what a JPEG's frame header says of its first component.
SAMPLING = {0x22: "420", 0x11: "444"}


def text(width: int, height: int, ink: str = "black", paper: str = "white") -> Image.Image:
    """A page of small print."""
    page = Image.new("RGB", (width, height), paper)
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(13)
    for row in range(0, height, 16):
        draw.text((4, row), "The quick brown fox jumps over the lazy dog 0123456789 " * 3, ink, font=font)
    return page


def retina() -> Image.Image:
    """A large photograph, in which most of the picture is plain and what matters is in one place."""
    return Image.fromarray(skimage.data.retina())


PICTURES = {
    "photo": lambda: photo(400, 300),
    "page": lambda: text(400, 300),
    "coloured page": lambda: text(400, 300, "red", "blue"),
    "noise": lambda: noise(200, 150),
    "face": lambda: Image.fromarray(skimage.data.astronaut()),
    "cat": lambda: Image.fromarray(skimage.data.chelsea()),
    "grey": lambda: Image.fromarray(skimage.data.camera()),
}


def smart(picture: Image.Image, target: str, **options: float) -> tuple[bytes, Compressed]:
    source = encoded(picture, "png", compress_level=1)
    return source, compress(source, Options(format=target, **options), PATIENT)


def frames_of(data: bytes) -> list[bytes]:
    shown = Image.open(io.BytesIO(data))
    return [encoded(frame.convert("RGB"), "png") for frame in ImageSequence.Iterator(shown)]


def chroma_of(data: bytes | memoryview) -> str:
    view = bytes(data)
    at = 2
    while view[at + 1] not in (0xC0, 0xC1, 0xC2):
        at += 2 + int.from_bytes(view[at + 2 : at + 4], "big")
    return SAMPLING[view[at + 11]]


@pytest.mark.parametrize("target", LOSSY)
@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_is_brought_to_the_target_and_not_beyond_it(name: str, target: str) -> None:
    source, result = smart(PICTURES[name](), target)
    distance = measure_distance(source, bytes(result.data)).norm3
    assert result.distance == pytest.approx(distance, rel=0.05)
    if result.quality == 100:
        assert distance == 0
    else:
        assert 1.2 / 1.25 < distance < 1.2 * 1.1


@pytest.mark.parametrize("target", LOSSY)
def test_a_large_picture_is_judged_by_its_tiles(target: str) -> None:
    source, result = smart(retina(), target)
    distance = measure_distance(source, bytes(result.data)).norm3
    assert result.distance == pytest.approx(distance, rel=0.1)
    assert distance == pytest.approx(1.2, rel=0.15)


@pytest.mark.parametrize("target", LOSSY)
def test_a_smaller_distance_costs_bytes(target: str) -> None:
    sizes = [len(smart(PICTURES["cat"](), target, smart_distance=goal)[1].data) for goal in (2.0, 1.2, 0.7)]
    assert sizes[0] < sizes[1] < sizes[2]


def test_chroma_stays_whole_where_halving_it_shows() -> None:
    assert chroma_of(smart(PICTURES["coloured page"](), "jpeg")[1].data) == "444"
    assert chroma_of(smart(PICTURES["cat"](), "jpeg")[1].data) == "420"


def test_a_drawing_that_is_smaller_without_loss_keeps_every_pixel() -> None:
    rng = np.random.default_rng(5)
    squares = np.kron(rng.integers(0, 2, (60, 80)) * 255, np.ones((5, 5))).astype(np.uint8)
    picture = Image.fromarray(np.stack([squares] * 3, axis=2))
    _, result = smart(picture, "webp")
    assert (result.quality, result.distance) == (100, 0.0)
    assert np.array_equal(np.asarray(opened(result.data).convert("RGB")), np.asarray(picture))


@pytest.mark.parametrize("target", LOSSY)
def test_out_of_time_the_best_so_far_returns(target: str) -> None:
    source = encoded(PICTURES["face"](), "png")
    result = compress(source, Options(format=target), Limits(search_s=1e-6))
    assert opened(result.data).size == (512, 512)
    assert result.distance is not None
    assert result.distance == pytest.approx(measure_distance(source, bytes(result.data)).norm3, rel=0.05)


@pytest.mark.parametrize("target", LOSSY)
@pytest.mark.parametrize("size", [(1, 1), (5, 3), (8, 8), (1, 300), (3000, 2)])
def test_small_and_thin_pictures_are_searched_too(size: tuple[int, int], target: str) -> None:
    result = smart(photo(*size), target)[1]
    assert opened(result.data).size == size
    assert result.distance is not None
    assert result.distance < 3


@pytest.mark.parametrize("target", LOSSY)
def test_one_colour_needs_next_to_no_bytes_and_any_error_in_it_is_told(target: str) -> None:
    # This blue lies between the steps of the codecs' own colours, so that some cannot reach the target at all.
    for colour in ((40, 90, 200), (128, 128, 128)):
        source, result = smart(Image.new("RGB", (300, 200), colour), target)
        assert result.distance == pytest.approx(measure_distance(source, bytes(result.data)).norm3, rel=0.01, abs=0.002)
        assert len(result.data) < 3000


@pytest.mark.parametrize("target", ["webp", "avif"])
def test_what_shows_before_black_or_white_alone_counts(target: str) -> None:
    page = text(400, 300, "black", "black").convert("RGBA")
    page.putalpha(Image.eval(text(400, 300).convert("L"), lambda value: 255 - value))
    for picture in (page, translucent(400, 300)):
        source, result = smart(picture, target)
        assert result.distance == pytest.approx(measure_distance(source, bytes(result.data)).norm3, rel=0.05)


def test_an_animation_is_scored_on_its_frames() -> None:
    frames = [photo(160, 120).rotate(angle) for angle in (0, 20, 40)]
    source = animation(frames, [40, 40, 40], quality=98)
    result = compress(source, Options(), PATIENT)
    assert result.frames == 3
    before, after = (frames_of(data) for data in (source, bytes(result.data)))
    distances = [measure_distance(one, other).norm3 for one, other in zip(before, after, strict=True)]
    assert result.distance == pytest.approx(1.2, rel=0.15)
    assert math.prod(distances) ** (1 / 3) == pytest.approx(result.distance, rel=0.15)


def test_a_source_that_is_worse_than_the_target_returns() -> None:
    once = encoded(PICTURES["cat"](), "jpeg", quality=15)
    result = compress(once, Options(), PATIENT)
    assert result.original_returned
    assert (result.quality, result.distance) == (100, 0.0)
    assert len(result.data) <= len(once)
    assert np.array_equal(np.asarray(opened(result.data)), np.asarray(opened(once)))


@pytest.mark.parametrize("target", LOSSY)
def test_the_search_is_repeatable(target: str) -> None:
    assert smart(PICTURES["face"](), target)[1].data == smart(PICTURES["face"](), target)[1].data
