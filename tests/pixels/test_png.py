"""PNG at 100 gives every pixel back in the fewest bits; below 100 it is a palette, finer with quality."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from pixels.indexed_png import encode_indexed, find_palette
from pixels.options import Options
from pixels.pipeline import compress
from tests.pixels.pictures import encoded, noise, opened, photo, translucent

#: The byte of a PNG that holds its colour type, and the types.
DEPTH, COLOUR = 24, 25
GREY, RGB, PALETTE, GREY_ALPHA, RGB_ALPHA = 0, 2, 3, 4, 6


def lossless(image: Image.Image) -> bytes:
    return bytes(compress(encoded(image, "png", compress_level=0), Options(quality=100)).data)


@pytest.mark.parametrize(
    "picture",
    [photo(), translucent(), photo().convert("L"), noise(70, 50)],
    ids=["photo", "translucent", "grey", "noise"],
)
def test_quality_100_gives_every_pixel_back(picture: Image.Image) -> None:
    result = opened(lossless(picture))
    assert np.array_equal(result.convert(picture.mode), picture)


def test_100_is_lossless() -> None:
    result = compress(encoded(photo(), "png", compress_level=0), Options(quality=100))
    assert np.array_equal(opened(result.data), photo())


@pytest.mark.parametrize(
    ("picture", "colour"),
    [
        (photo(), RGB),
        (photo().convert("L").convert("RGB"), GREY),
        (photo().convert("RGBA"), RGB),
        (photo().convert("L").convert("RGBA"), GREY),
        (translucent(), RGB_ALPHA),
        (translucent().convert("LA").convert("RGBA"), GREY_ALPHA),
        (photo().quantize(200, dither=Image.Dither.NONE).convert("RGB"), PALETTE),
    ],
)
def test_the_form_is_the_smallest_that_holds_the_picture(picture: Image.Image, colour: int) -> None:
    assert lossless(picture)[COLOUR] == colour


def test_sixteen_bits_stay_where_they_say_more_than_eight() -> None:
    deep = np.random.default_rng(1).integers(0, 65536, (30, 40), dtype=np.uint16)
    result = lossless(Image.fromarray(deep))
    assert result[DEPTH] == 16
    assert np.array_equal(np.asarray(opened(result)), deep)
    repeated = (np.asarray(photo().convert("L"), np.uint16) * 257).astype(np.uint16)
    result = lossless(Image.fromarray(repeated))
    assert result[DEPTH] == 8
    assert np.array_equal(opened(result), photo().convert("L"))


@given(
    arrays.arrays(
        np.uint8,
        st.tuples(st.integers(1, 40), st.integers(1, 40), st.sampled_from([1, 2, 3, 4])),
        elements=st.sampled_from([0, 1, 2, 100, 254, 255]),
    )
)
@settings(max_examples=150, deadline=None)
def test_an_indexed_png_is_exact(samples: np.ndarray) -> None:
    palette = find_palette(samples)
    colours = len(np.unique(samples.reshape(-1, samples.shape[2]), axis=0))
    assert (palette is None) is (colours > 256)
    if palette is None:
        return
    assert len(palette) == colours
    image = opened(encode_indexed(samples, palette, ()))
    assert image.mode in {"P", "1", "L"}
    got = np.asarray(image.convert("RGBA"))
    want = samples if samples.shape[2] > 2 else np.repeat(samples[..., :1], 3, axis=2)
    assert np.array_equal(got[..., :3], want[..., :3])
    assert np.array_equal(
        got[..., 3], samples[..., -1] if samples.shape[2] in {2, 4} else np.full_like(got[..., 3], 255)
    )


@pytest.mark.parametrize(("colours", "bits"), [(1, 1), (2, 1), (3, 2), (4, 2), (5, 4), (16, 4), (17, 8), (256, 8)])
def test_an_index_has_as_few_bits_as_its_colours_need(colours: int, bits: int) -> None:
    samples = (np.arange(21 * 13 * 3).reshape(21, 13, 3) // 3 % colours).astype(np.uint8)
    palette = find_palette(samples)
    assert palette is not None
    assert encode_indexed(samples, palette, ())[DEPTH] == bits


def test_more_colours_than_an_index_holds_are_found_wherever_they_are() -> None:
    samples = np.zeros((400, 400, 3), np.uint8)
    assert find_palette(samples) is not None
    samples[-1, -300:, 0] = np.arange(300) % 256
    samples[-1, -300:, 1] = np.arange(300) // 256
    assert find_palette(samples) is None


@pytest.mark.parametrize("quality", [1, 50, 99])
def test_below_100_a_photograph_is_a_palette(quality: int) -> None:
    result = compress(encoded(photo(), "png"), Options(quality=quality))
    assert result.data[COLOUR] == PALETTE
    assert len(result.data) < len(encoded(photo(), "png", optimize=True)) / 2


def test_a_lower_quality_takes_fewer_colours() -> None:
    def colours(quality: int) -> int:
        image = opened(compress(encoded(photo(), "png"), Options(quality=quality)).data)
        return len(image.convert("RGB").getcolors(1 << 16) or ())

    found = [colours(quality) for quality in (5, 20, 40, 60)]
    assert found == sorted(set(found))


def test_a_drawing_of_few_colours_is_exact_below_100_where_that_is_no_larger() -> None:
    few = photo().quantize(8, dither=Image.Dither.NONE).convert("RGB")
    result = compress(encoded(few, "png", compress_level=0), Options(quality=95))
    assert np.array_equal(opened(result.data).convert("RGB"), few)


def test_translucent_pictures_take_a_palette_with_alpha() -> None:
    result = opened(compress(encoded(translucent(), "png"), Options(quality=80)).data)
    assert result.mode == "P"
    alpha = np.asarray(result.convert("RGBA").getchannel("A"), int)
    assert np.abs(alpha - np.asarray(translucent().getchannel("A"), int)).mean() < 6
