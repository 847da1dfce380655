"""A picture fits the box that was asked for: aspect kept, never enlarged, whatever its format and way of decoding."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pixels.options import Options
from pixels.pipeline import compress
from pixels.resize import fit_inside
from tests.pixels.pictures import KINDS, animation, difference, encoded, noise, opened, photo

sides = st.integers(1, 70_000)
box_sides = st.none() | st.integers(1, 65_535)


@given(sides, sides, box_sides, box_sides)
def test_the_size_is_the_largest_that_fits_rounded_to_nearest(
    width: int, height: int, max_width: int | None, max_height: int | None
) -> None:
    scale = min(Fraction(1), Fraction(max_width or width, width), Fraction(max_height or height, height))
    want = [max(1, int(side * scale + Fraction(1, 2))) for side in (width, height)]
    assert list(fit_inside(width, height, max_width, max_height)) == want


@pytest.mark.parametrize(
    ("box", "want"),
    [
        ({"max_width": 80}, (80, 60)),
        ({"max_height": 30}, (40, 30)),
        ({"max_width": 50, "max_height": 50}, (50, 38)),
        ({"max_width": 64, "max_height": 9999}, (64, 48)),
        ({"max_width": 5000}, (160, 120)),
        ({"max_width": 161}, (160, 120)),
        ({"max_width": 160, "max_height": 120}, (160, 120)),
        ({"max_width": 159}, (159, 119)),
        ({"max_width": 1}, (1, 1)),
    ],
)
@pytest.mark.parametrize("name", KINDS)
def test_every_format_is_fitted_to_the_pixel(name: str, box: dict[str, int], want: tuple[int, int]) -> None:
    result = compress(encoded(photo(), name, quality=95), Options(quality=80, **box))
    assert (result.width, result.height) == opened(result.data).size == want


@pytest.mark.parametrize("size", [(1, 300), (300, 1), (2, 999), (999, 2)])
@pytest.mark.parametrize("name", KINDS)
def test_a_side_never_falls_below_one_pixel(name: str, size: tuple[int, int]) -> None:
    result = compress(encoded(photo(*size), name), Options(max_width=17, max_height=17))
    assert opened(result.data).size == (result.width, result.height) == tuple(17 if side > 17 else 1 for side in size)


@pytest.mark.parametrize("name", ["jpeg", "webp"])
@pytest.mark.parametrize("width", [37, 60, 75, 100, 149, 150, 299, 301])
def test_shrinking_while_decoding_looks_like_resizing_afterwards(name: str, width: int) -> None:
    source = encoded(photo(601, 403), name, quality=97)
    shrunk = opened(compress(source, Options(format="png", max_width=width, quality=100)).data)
    resized = opened(source).convert("RGB").resize(shrunk.size, Image.Resampling.LANCZOS)
    error = np.abs(np.asarray(shrunk, float) - np.asarray(resized, float)).mean()
    assert error < 3.5
    # A shift of half a pixel would be worse than that.
    shifted = np.abs(np.asarray(shrunk, float)[:, 1:] - np.asarray(resized, float)[:, :-1]).mean()
    assert error < shifted / 2


def test_shrinking_while_decoding_moves_nothing_where_the_sides_are_no_multiples_of_the_factor() -> None:
    """What libvips cuts off at the right and below is not made up for by stretching the rest."""
    source = encoded(photo(607, 399), "jpeg", quality=97)
    shrunk = opened(compress(source, Options(format="png", max_width=100, quality=100)).data)
    resized = opened(source).convert("RGB").resize(shrunk.size, Image.Resampling.LANCZOS)
    assert np.abs(np.asarray(shrunk, float) - np.asarray(resized, float)).mean() < 3


def test_a_flat_picture_stays_flat_up_to_its_edges() -> None:
    for name in KINDS:
        flat = Image.new("RGB", (203, 101), (90, 140, 190))
        small = opened(compress(encoded(flat, name, quality=100), Options(format="png", max_width=31)).data)
        assert np.abs(np.asarray(small.convert("RGB"), int) - (90, 140, 190)).max() <= 3


def test_what_is_hidden_under_clear_pixels_does_not_bleed() -> None:
    """Clear red beside opaque blue: no purple edge may show."""
    for name in ("png", "webp", "avif"):
        image = Image.new("RGBA", (120, 80), (255, 0, 0, 0))
        image.paste((0, 0, 255, 255), (60, 0, 120, 80))
        options = {"lossless": True, "exact": True} if name == "webp" else {"quality": 100}
        small = compress(encoded(image, name, **options), Options(format="png", max_width=31))
        pixels = np.asarray(opened(small.data).convert("RGBA"), int)
        visible = pixels[pixels[..., 3] > 30]
        assert visible[:, 0].max() <= 20


def test_sixteen_bits_are_resized_in_sixteen_bits() -> None:
    ramp = np.linspace(0, 65535, 512).astype(np.uint16)
    source = encoded(Image.fromarray(np.tile(ramp, (64, 1))), "png")
    small = opened(compress(source, Options(max_width=256, quality=100)).data)
    values = np.asarray(small, int)[20]
    assert len(np.unique(values)) == 256
    assert np.abs(values - np.linspace(64, 65471, 256)).max() < 300


def test_frames_of_an_animation_are_resized_alone() -> None:
    frames = [Image.new("RGB", (60, 47), colour) for colour in ("red", "lime", "blue")]
    result = compress(animation(frames, [50, 60, 70], lossless=True), Options(max_width=23, quality=100))
    image = opened(result.data)
    assert image.size == (23, 18)
    for number, frame in enumerate(frames):
        image.seek(number)
        assert difference(image.convert("RGB"), frame.resize((23, 18))) < 3


def test_noise_is_averaged_not_sampled() -> None:
    small = opened(compress(encoded(noise(640, 480), "jpeg", quality=95), Options(format="png", max_width=40)).data)
    assert np.asarray(small.convert("RGB"), float).std() < 16
