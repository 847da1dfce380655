"""With format and size kept, a result is never larger than its source, and loses nothing that was not asked for."""

import numpy as np
import pytest
from PIL import Image

from pixels import never_larger
from pixels.options import Options
from pixels.pipeline import compress
from pixels.sniff import sniff
from tests.pixels.pictures import (
    KINDS,
    SRGB,
    WIDE,
    difference,
    encoded,
    exif,
    noise,
    opened,
    photo,
    quadrants,
    seen,
    stored,
    translucent,
)

#: Settings of Pillow that leave an encoder little to win.
TIGHT = {
    "jpeg": {"quality": 20, "optimize": True, "progressive": True},
    "png": {"optimize": True},
    "webp": {"quality": 10, "method": 6},
    "avif": {"quality": 15, "speed": 4},
}
PICTURES = {
    "photo": photo(),
    "noise": noise(64, 48),
    "grey": photo().convert("L"),
    "graphic": quadrants(),
    "dot": Image.new("RGB", (1, 1), "navy"),
    "few colours": photo().quantize(20),
}
OPTIONS = [Options(), Options(quality=100), Options(quality=30), Options(strip_metadata=False), Options(max_width=5000)]


def source_of(picture: Image.Image, name: str, **metadata: bytes) -> bytes:
    if name != "png" and picture.mode == "P":
        picture = picture.convert("RGB")
    return encoded(picture, name, **TIGHT[name], **metadata)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("picture", PICTURES.values(), ids=PICTURES)
@pytest.mark.parametrize("name", KINDS)
def test_a_tight_source_never_grows(name: str, picture: Image.Image, options: Options) -> None:
    source = source_of(picture, name)
    result = compress(source, options)
    assert len(result.data) <= len(source)
    assert result.original_returned or result.data != source
    assert result.width, result.height == picture.size


@pytest.mark.parametrize("name", KINDS)
def test_the_sources_own_bytes_return_where_nothing_is_smaller(name: str) -> None:
    source = source_of(noise(64, 48), name)
    for strip in (True, False):
        result = compress(source, Options(quality=100, strip_metadata=strip))
        assert result.original_returned
        assert result.quality == 100
        # Pillow's files hold a JFIF marker or private chunks at most: the pixels' data is the same to the byte.
        assert np.array_equal(opened(result.data), opened(source))
    # A JPEG's coefficients may be packed better.
    assert len(result.data) < len(source) if name == "jpeg" else result.data == source


@pytest.mark.parametrize("name", KINDS)
def test_returned_sources_are_stripped_without_touching_a_pixel(name: str) -> None:
    source = source_of(noise(64, 48), name, exif=exif(), icc_profile=SRGB)
    result = compress(source, Options(quality=100))
    assert result.original_returned
    assert not any(trace in bytes(result.data) for trace in (b"TestCam", b"acsp", b"Exif"))
    assert np.array_equal(opened(result.data), opened(source))
    assert len(result.data) < len(source)
    kept = compress(source, Options(quality=100, strip_metadata=False))
    assert kept.original_returned
    assert np.array_equal(opened(kept.data), opened(source))
    assert opened(kept.data).getexif() == opened(source).getexif()
    assert opened(kept.data).info["icc_profile"] == SRGB


@pytest.mark.parametrize("orientation", [3, 6])
@pytest.mark.parametrize("name", ["jpeg", "webp"])
def test_a_turned_source_is_encoded_anew_and_does_not_grow(name: str, orientation: int) -> None:
    source = source_of(stored(photo(), orientation), name, exif=exif(orientation))
    for strip in (True, False):
        result = compress(source, Options(quality=100, strip_metadata=strip))
        assert len(result.data) <= len(source)
        assert not result.original_returned
        image = opened(result.data)
        assert image.size == photo().size
        assert image.getexif().get(0x0112, 1) == 1
        assert difference(image, seen(source)) < 3.0


@pytest.mark.parametrize("orientation", [3, 6])
def test_a_turned_png_looks_right_and_does_not_grow(orientation: int) -> None:
    """Lossless, it may not shrink when it is turned: then what turns it for the viewer is all that stays."""
    for picture in (photo(), noise(64, 48), quadrants()):
        source = source_of(stored(picture, orientation), "png", exif=exif(orientation))
        result = compress(source, Options(quality=100))
        assert len(result.data) <= len(source)
        assert b"TestCam" not in bytes(result.data)
        assert np.array_equal(seen(result.data).convert("RGB"), picture)


@pytest.mark.parametrize("name", KINDS)
def test_a_source_in_a_wide_profile_is_converted_and_does_not_grow(name: str) -> None:
    source = source_of(photo(), name, icc_profile=WIDE)
    result = compress(source, Options(quality=100))
    assert len(result.data) <= len(source)
    assert "icc_profile" not in opened(result.data).info
    assert difference(opened(result.data), seen(source)) < 3.0


def test_the_quality_it_comes_down_to_is_the_highest_that_fits() -> None:
    source = source_of(stored(photo(), 6), "jpeg", exif=exif(6))
    result = compress(source, Options(quality=100))
    assert result.quality < 60
    upright = encoded(seen(source), "png")
    higher = compress(upright, Options(format="jpeg", quality=result.quality + 2))
    assert len(result.data) <= len(source) < len(higher.data)


def test_a_lossless_png_that_cannot_shrink_keeps_its_profile_and_turn_and_nothing_else() -> None:
    """Its pixels may not change, its bytes may not grow: what makes it look right is all that stays."""
    few = noise(64, 48).quantize(250, dither=Image.Dither.NONE)
    source = encoded(few, "png", optimize=True, exif=exif(6), icc_profile=WIDE)
    result = compress(source, Options(quality=100))
    assert len(result.data) <= len(source)
    assert difference(seen(result.data), seen(source)) < 1.0
    assert b"TestCam" not in bytes(result.data)


def test_sixteen_bits_give_way_before_a_png_grows() -> None:
    ramp = np.random.default_rng(5).integers(0, 65536, (40, 50), dtype=np.uint16)
    source = encoded(Image.fromarray(ramp), "png", optimize=True, exif=exif(6))
    result = compress(source, Options(quality=100))
    assert len(result.data) <= len(source)
    assert opened(result.data).size == (40, 50)


def test_a_source_is_kept_where_only_its_metadata_was_in_excess() -> None:
    """An encode smaller than the whole source is no gain if the source without its metadata is smaller still."""
    bare, source = source_of(photo(), "jpeg"), source_of(photo(), "jpeg", exif=exif(make="x" * 300))
    sizes = {quality: len(compress(encoded(opened(bare), "png"), Options(format="jpeg", quality=quality)).data)
             for quality in range(20, 50)}  # fmt: skip
    between = [quality for quality, size in sizes.items() if len(bare) < size < len(source)]
    assert between
    for quality in between:
        result = compress(source, Options(quality=quality))
        assert result.original_returned
        assert len(result.data) <= len(bare)


def test_another_format_or_size_may_be_larger() -> None:
    source = source_of(noise(64, 48), "webp")
    assert len(compress(source, Options(format="png")).data) > len(source)
    assert not compress(source, Options(quality=100, max_width=60)).original_returned


def test_far_smaller_encodes_are_not_compared_with_the_stripped_source() -> None:
    assert 0 < never_larger._NEAR < 1
    source = encoded(translucent(), "png", compress_level=0)
    result = compress(source, Options())
    assert len(result.data) < never_larger._NEAR * len(source)
    assert sniff(result.data[:64]) is not None
