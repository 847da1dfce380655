"""Transparency is kept where the format has it, and laid on white where not."""

import numpy as np
import pytest
from PIL import Image

from pixels.options import Options
from pixels.pipeline import compress
from tests.pixels.pictures import difference, encoded, opened, photo, translucent


@pytest.mark.parametrize("target", ["png", "webp", "avif"])
@pytest.mark.parametrize("source", ["png", "webp", "avif"])
def test_alpha_crosses_formats(source: str, target: str) -> None:
    result = opened(compress(encoded(translucent(), source, quality=95), Options(format=target)).data)
    alpha, want = (np.asarray(image.convert("RGBA").getchannel("A"), int) for image in (result, translucent()))
    assert np.abs(alpha - want).mean() < 4
    assert difference(result, translucent()) < 3.0


@pytest.mark.parametrize("source", ["png", "webp", "avif"])
def test_clear_pixels_are_white_in_a_jpeg_whatever_colour_they_hide(source: str) -> None:
    image = Image.new("RGBA", (64, 48), (255, 0, 0, 0))
    result = opened(compress(encoded(image, source, quality=95), Options(format="jpeg")).data)
    assert np.asarray(result).min() >= 253


def test_a_fade_onto_jpeg_is_mixed_with_white() -> None:
    result = opened(compress(encoded(translucent(), "png"), Options(format="jpeg", quality=95)).data)
    assert difference(result, translucent()) < 2.0


def test_grey_with_alpha_is_laid_on_white_and_stays_grey() -> None:
    source = photo(64, 48).convert("LA")
    source.putalpha(Image.linear_gradient("L").resize((64, 48)))
    result = opened(compress(encoded(source, "png"), Options(format="jpeg", quality=95)).data)
    assert result.mode == "L"
    assert difference(result, source) < 2.0


def test_the_clear_colour_of_a_palette_is_laid_on_white() -> None:
    image = Image.new("P", (64, 48), 1)
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.paste(0, (0, 0, 32, 48))
    result = opened(compress(encoded(image, "png", transparency=0), Options(format="jpeg", quality=95)).data)
    pixels = np.asarray(result.convert("RGB"), int)
    assert np.abs(pixels[:, :30] - 255).max() <= 3
    assert np.abs(pixels[:, 34:] - (0, 0, 255)).max() <= 12
