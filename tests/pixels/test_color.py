"""Stripped pictures are sRGB by an independent colour-managed decode; kept ones keep their numbers and profile."""

import io
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms

from pixels import png_chunks
from pixels.color import is_srgb
from pixels.options import Options
from pixels.pipeline import compress
from pixels.vips import pyvips
from tests.pixels.pictures import (
    KINDS,
    SRGB,
    WIDE,
    difference,
    encoded,
    exif,
    grey_profile,
    opened,
    photo,
    quadrants,
    seen,
    translucent,
)


def cmyk_profile() -> bytes:
    """The only profile of inks at hand is the one inside libvips."""
    inked = pyvips.Image.black(8, 8, bands=3).copy(interpretation="srgb").icc_transform("cmyk", input_profile="srgb")
    return bytes(inked.get("icc-profile-data"))


@pytest.mark.parametrize("target", KINDS)
@pytest.mark.parametrize("source", KINDS)
def test_a_wide_profile_becomes_srgb_where_metadata_goes(source: str, target: str) -> None:
    data = encoded(photo(), source, quality=97, icc_profile=WIDE)
    result = opened(compress(data, Options(format=target, quality=92)).data)
    assert "icc_profile" not in result.info
    assert difference(result, seen(data)) < 2.0
    # Had the profile been ignored, it would show.
    assert difference(opened(data), seen(data)) > 5.0


@pytest.mark.parametrize("target", KINDS)
@pytest.mark.parametrize("source", KINDS)
def test_a_profile_that_is_kept_goes_with_the_numbers_it_belongs_to(source: str, target: str) -> None:
    data = encoded(photo(), source, quality=97, icc_profile=WIDE)
    quality = 100 if target == "png" else 92
    result = compress(data, Options(format=target, quality=quality, strip_metadata=False))
    image = opened(result.data)
    assert image.info["icc_profile"] == WIDE
    assert difference(image, opened(data)) < 2.0
    assert difference(seen(result.data), seen(data)) < 2.0


def test_alpha_is_untouched_by_the_profile() -> None:
    data = encoded(translucent(), "png", icc_profile=WIDE)
    result = opened(compress(data, Options(quality=100)).data)
    assert np.array_equal(result.getchannel("A"), translucent().getchannel("A"))
    assert difference(result, seen(data)) < 1.5


def test_sixteen_bits_and_a_profile_become_eight_bits_of_srgb() -> None:
    wide = (np.asarray(photo(), np.uint16) * 257).astype(">u2")
    # By hand: Pillow writes no RGB of 16 bits.

    head = (160).to_bytes(4, "big") + (120).to_bytes(4, "big") + bytes((16, 2, 0, 0, 0))
    rows = b"".join(b"\0" + row.tobytes() for row in wide)
    chunks = [
        (b"IHDR", head),
        (b"iCCP", b"wide\0\0" + zlib.compress(WIDE)),
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    ]
    data = png_chunks.SIGNATURE + b"".join(png_chunks.build(*chunk) for chunk in chunks)
    want = seen(encoded(photo(), "png", icc_profile=WIDE))
    for target in KINDS:
        assert difference(opened(compress(data, Options(format=target, quality=95)).data), want) < 2.0


@pytest.mark.parametrize("target", KINDS)
def test_grey_with_a_profile_stays_grey_and_looks_the_same(target: str) -> None:
    data = encoded(photo().convert("L"), "png", icc_profile=grey_profile(1.0))
    source = ImageCms.ImageCmsProfile(io.BytesIO(grey_profile(1.0)))
    intent = ImageCms.Intent.RELATIVE_COLORIMETRIC
    want = ImageCms.profileToProfile(
        photo().convert("L"), source, ImageCms.createProfile("sRGB"), renderingIntent=intent, outputMode="RGB"
    )
    for strip in (True, False):
        quality = 100 if target == "png" else 95
        result = compress(data, Options(format=target, quality=quality, strip_metadata=strip))
        image = opened(result.data)
        assert image.mode == ("L" if target in {"jpeg", "png"} else "RGB")
        # A grey profile can be kept with grey numbers only.
        keeps = not strip and image.mode == "L"
        assert ("icc_profile" in image.info) is keeps
        assert difference(image, photo().convert("L") if keeps else want) < 2.0


@pytest.mark.parametrize("profile", [b"", b"rubbish" * 40, WIDE[:200], cmyk_profile(), grey_profile(1.0)])
def test_a_profile_that_is_broken_or_of_another_kind_is_ignored(profile: bytes) -> None:
    data = encoded(quadrants(), "jpeg", quality=95, icc_profile=profile)
    for strip in (True, False):
        result = compress(data, Options(quality=90, strip_metadata=strip))
        assert difference(opened(result.data), quadrants()) < 2.0


@pytest.mark.parametrize("target", KINDS)
@pytest.mark.parametrize("with_profile", [True, False])
def test_inks_become_srgb_and_never_keep_a_profile_of_inks(target: str, with_profile: bool) -> None:
    profile = cmyk_profile()
    srgb = ImageCms.createProfile("sRGB")
    intent = ImageCms.Intent.RELATIVE_COLORIMETRIC
    inks = ImageCms.profileToProfile(
        quadrants(), srgb, ImageCms.ImageCmsProfile(io.BytesIO(profile)), renderingIntent=intent, outputMode="CMYK"
    )
    data = encoded(inks, "jpeg", quality=97, exif=exif(), **({"icc_profile": profile} if with_profile else {}))
    # Without a profile the built-in one stands in, which is the same.
    want = ImageCms.profileToProfile(
        opened(data), ImageCms.ImageCmsProfile(io.BytesIO(profile)), srgb, renderingIntent=intent, outputMode="RGB"
    )
    for strip in (True, False):
        options = Options(format=target, quality=100 if target == "png" else 95, strip_metadata=strip)
        result = opened(compress(data, options).data)
        assert result.mode in {"RGB", "P"}
        assert "icc_profile" not in result.info
        assert difference(result, want) < 2.5
        assert (result.getexif().get(0x010F) == "TestCam") is not strip


def test_profiles_that_mean_srgb_are_known_by_what_they_do() -> None:
    assert is_srgb(SRGB, 3)
    assert not is_srgb(WIDE, 3)
    assert not is_srgb(grey_profile(1.0), 1)
    # A broken one means nothing, as sRGB does.
    assert is_srgb(b"rubbish", 3)


def test_a_profile_that_means_srgb_goes_without_touching_a_pixel() -> None:
    plain, tagged = encoded(photo(), "png"), encoded(photo(), "png", icc_profile=SRGB)
    assert compress(tagged, Options()).data == compress(plain, Options()).data


def test_opaque_pixels_of_a_picture_with_alpha_meet_white_by_their_own_profile() -> None:
    data = encoded(translucent(), "png", icc_profile=WIDE)
    result = opened(compress(data, Options(format="jpeg", quality=95)).data)
    # Laid on white before the conversion or after it: the lighter mixtures differ by a little, the ends do not.
    white = Image.alpha_composite(Image.new("RGBA", (96, 64), "white"), seen(data)).convert("RGB")
    assert difference(result.crop((0, 0, 8, 64)), white.crop((0, 0, 8, 64))) < 2.0
    assert difference(result.crop((88, 0, 96, 64)), white.crop((88, 0, 96, 64))) < 3.0
