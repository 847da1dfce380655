"""What the encoder promises about its files."""

import math

import numpy as np
import pytest
import pyvips
import skimage.data
from PIL import Image, ImageDraw

from pixels import jpeg
from pixels.butteraugli import Comparator
from pixels.options import Options
from pixels.pipeline import compress
from pixels.raster import hold
from tests.pixels import pictures

SIZES = [(1, 1), (1, 40), (40, 1), (7, 9), (8, 8), (15, 16), (17, 33), (96, 63), (96, 64), (96, 65), (96, 129)]
KEEP_ALL = 15


def to_raster(pixels):
    return hold(to_vips(pixels))


def to_vips(pixels):
    grey = pixels.ndim == 2
    image = pyvips.Image.new_from_memory(
        np.ascontiguousarray(pixels).tobytes(), pixels.shape[1], pixels.shape[0], 1 if grey else 3, "uchar"
    )
    return image.copy(interpretation="b-w" if grey else "srgb")


def decode(data):
    """Pixels by libvips, which refuses a file that libjpeg would warn of."""
    image = pyvips.Image.new_from_buffer(data, "", fail_on="warning")
    pixels = image.numpy()
    return pixels[:, :, 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels


def photo(width, height):
    return np.asarray(pictures.photo(width, height))


def components(data):
    """Identifier and sampling factors of each component, from the frame's header."""
    at = next(at for marker in (b"\xff\xc0", b"\xff\xc2") if (at := data.find(marker)) >= 0)
    count = data[at + 9]
    return [(data[at + 10 + 3 * number], data[at + 11 + 3 * number]) for number in range(count)]


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("grey", [False, True], ids=["color", "grey"])
@pytest.mark.parametrize("chroma", ["420", "444"])
def test_any_size_decodes_without_a_warning_and_looks_alike(size, grey, chroma):
    pixels = photo(*size)
    pixels = pixels[:, :, 1] if grey else pixels
    image = to_raster(pixels)
    draft = jpeg.encode_draft(image, 90, chroma)
    for data in (draft, jpeg.finish(draft, image, keep=0)):
        assert data[6:11] == b"JFIF\0"
        assert pictures.opened(data).mode == ("L" if grey else "RGB")
        found = decode(data).reshape(pixels.shape)
        assert np.abs(found.astype(int) - pixels).mean() < 10


@pytest.mark.parametrize("size", [(65_500, 2), (2, 65_500)], ids=str)
def test_the_longest_sides(size):
    pixels = np.tile(photo(100, 2), (1, 655, 1)) if size[0] > 2 else np.tile(photo(2, 100), (655, 1, 1))
    image = to_raster(pixels)
    assert decode(jpeg.finish(jpeg.encode_draft(image, 80, "420"), image, keep=0)).shape == pixels.shape


def test_only_color_at_420_is_subsampled():
    image = to_raster(photo(40, 30))
    assert components(jpeg.encode_draft(image, 80, "420")) == [(1, 0x22), (2, 0x11), (3, 0x11)]
    assert components(jpeg.encode_draft(image, 80, "444")) == [(1, 0x11), (2, 0x11), (3, 0x11)]
    grey = to_raster(photo(40, 30)[:, :, 0])
    assert components(jpeg.encode_draft(grey, 80, "420")) == [(1, 0x11)]


@pytest.mark.parametrize("chroma", ["420", "444"])
@pytest.mark.parametrize("quality", [1, 30, 75.5, 100])
def test_finishing_changes_no_pixel_and_makes_the_file_smaller(chroma, quality):
    image = to_raster(photo(160, 120))
    draft = jpeg.encode_draft(image, quality, chroma)
    final = jpeg.finish(draft, image, keep=0)
    assert np.array_equal(decode(draft), decode(final))
    assert len(final) < len(draft)


def test_the_same_pixels_give_the_same_bytes():
    pixels = photo(160, 120)
    first, second = (jpeg.encode_draft(to_raster(pixels), 75, "420") for _ in range(2))
    assert first == second


def test_a_fraction_of_quality_counts():
    image = to_raster(photo(320, 240))
    sizes = [len(jpeg.encode_draft(image, quality, "420")) for quality in (80, 80.25, 80.5, 80.75, 81)]
    assert sizes == sorted(sizes)
    assert len(set(sizes)) == 5


@pytest.mark.parametrize("chroma", ["420", "444"])
def test_higher_quality_is_closer(chroma):
    pixels = photo(320, 240)
    comparator = Comparator(pixels)
    distances = [
        comparator.compare(decode(jpeg.encode_draft(to_raster(pixels), quality, chroma))).norm3
        for quality in (40, 60, 75, 85, 93)
    ]
    assert distances == sorted(distances, reverse=True)


@pytest.mark.parametrize("quality", [0, 0.5, 100.1, math.nan])
def test_a_quality_out_of_range_is_refused(quality):
    with pytest.raises(ValueError, match="1-100"):
        jpeg.encode_draft(to_raster(photo(8, 8)), quality, "420")


def by_mozjpeg(image, subsampling):
    """Libvips with what sharp's `mozjpeg: true` sets."""
    return lambda quality: image.jpegsave_buffer(
        Q=quality, subsample_mode=subsampling, quant_table=3, optimize_coding=True, trellis_quant=True,
        overshoot_deringing=True, interlace=True, optimize_scans=True, keep=0,
    )  # fmt: skip


def by_us(image, chroma):
    return lambda quality: jpeg.finish(jpeg.encode_draft(image, quality, chroma), image, keep=0)


def bytes_at(distance, encoder, pixels):
    """Bytes at a distance, interpolated between the qualities as logarithms."""
    comparator = Comparator(pixels)
    files = [encoder(quality) for quality in (40, 50, 65, 75, 83, 90, 95, 98)]
    distances = [comparator.compare(decode(data)).norm3 for data in files]
    assert distances[0] > distance > distances[-1]
    order = np.argsort(distances)
    sizes = np.log([len(data) for data in files])
    return math.exp(np.interp(math.log(distance), np.log(distances)[order], sizes[order]))


@pytest.mark.parametrize(("distance", "at_most"), [(1.2, 0.95), (0.8, 0.9)])
@pytest.mark.parametrize("name", ["coffee", "astronaut"])
def test_fewer_bytes_than_mozjpeg_at_the_same_distance(name, distance, at_most):
    pixels = np.ascontiguousarray(getattr(skimage.data, name)()[40:360, 100:500])
    image = to_raster(pixels)

    ours, theirs = (
        bytes_at(distance, encoder, pixels) for encoder in (by_us(image, "420"), by_mozjpeg(image.image, "on"))
    )
    assert ours < at_most * theirs


def test_black_text_on_white_takes_far_fewer_bytes():
    page = Image.new("RGB", (320, 240), "white")
    lines = ["The quick brown fox jumps over the lazy dog, 0123456789."] * 16
    ImageDraw.Draw(page).multiline_text((4, 4), "\n".join(lines), "black", spacing=4)
    pixels = np.asarray(page)
    image = to_raster(pixels)
    ours, theirs = (bytes_at(0.6, encoder, pixels) for encoder in (by_us(image, "444"), by_mozjpeg(image.image, "off")))
    assert ours < 0.8 * theirs


@pytest.mark.parametrize("chroma", ["420", "444"])
@pytest.mark.parametrize("grey", [False, True], ids=["color", "grey"])
def test_an_excerpt_shows_the_pixels_of_the_whole(grey, chroma):
    """But for two at each side: there a decoder looks at what lies beyond."""
    pixels = photo(200, 150)
    raster = to_raster(pixels[:, :, 1] if grey else pixels)
    corners = [(0, 0), (64, 48), (48, 112), (64, 112)]
    draft, excerpt = jpeg.encode_with_excerpt(raster, 60, chroma, corners, 80)
    assert draft == jpeg.encode_draft(raster, 60, chroma)
    whole, squares = decode(draft), decode(excerpt)
    assert squares.shape[:2] == (4 * 80, 80)
    for number, (top, left) in enumerate(corners):
        inside = squares[80 * number + 2 : 80 * number + 78, 2:78]
        assert np.array_equal(inside, whole[top + 2 : top + 78, left + 2 : left + 78])


def test_metadata_is_what_libvips_writes():
    profile = pictures.WIDE + bytes(150_000)
    profile = len(profile).to_bytes(4, "big") + profile[4:]
    image = to_vips(photo(40, 30)).copy()
    image.set_type(pyvips.GValue.blob_type, "icc-profile-data", profile)
    image.set_type(pyvips.GValue.blob_type, "xmp-data", pictures.XMP)
    image.set_type(
        pyvips.GValue.blob_type, "iptc-data", b"Photoshop 3.0\x008BIM\x04\x04\0\0\0\0\0\x09\x1c\x02\x78\0\x04test\0"
    )
    image.set_type(pyvips.GValue.gstr_type, "exif-ifd0-Make", "TestCam (TestCam, ASCII, 8 components, 8 bytes)")
    raster = hold(image, with_metadata=True)
    draft = jpeg.encode_draft(raster, 80, "420")
    kept = jpeg.finish(draft, raster, keep=KEEP_ALL)
    assert kept[6:11] == b"JFIF\0"
    bare = jpeg.finish(draft, raster, keep=0)
    found = pyvips.Image.new_from_buffer(kept, "", fail_on="warning")
    plain = pyvips.Image.new_from_buffer(image.jpegsave_buffer(keep=KEEP_ALL), "")
    for field in ("icc-profile-data", "xmp-data", "iptc-data", "exif-data"):
        assert found.get(field) == plain.get(field), field
    assert found.get("icc-profile-data") == profile
    assert kept.count(b"ICC_PROFILE\0") == 3
    assert pictures.opened(kept).getexif()[0x010F] == "TestCam"
    assert np.array_equal(decode(kept), decode(bare))
    stripped = pyvips.Image.new_from_buffer(bare, "")
    assert not any(stripped.get_typeof(field) for field in ("icc-profile-data", "xmp-data", "iptc-data", "exif-data"))
    only_icc = pyvips.Image.new_from_buffer(jpeg.finish(draft, raster, keep=8), "")
    assert only_icc.get("icc-profile-data") == profile
    assert not only_icc.get_typeof("exif-data")


@pytest.mark.parametrize(("quality", "sampling"), [(75, 0x22), (90, 0x11)])
def test_a_quality_that_is_a_number_is_encoded_so_where_that_is_asked_for(quality, sampling):
    """Fewer bytes, the same size and chroma as libjpeg's, and metadata as asked."""
    source = pictures.encoded(pictures.photo(320, 240), "jpeg", quality=98, icc_profile=pictures.WIDE)
    for strip in (True, False):
        small, fast = (
            compress(source, Options(quality=quality, strip_metadata=strip, jpeg_encoder=encoder))
            for encoder in ("small", "fast")
        )
        assert len(small.data) < len(fast.data)
        assert (small.quality, small.means, small.distance) == (quality, None, None)
        assert components(small.data)[0][1] == components(fast.data)[0][1] == sampling
        assert pictures.opened(small.data).info.get("icc_profile") == (None if strip else pictures.WIDE)
        assert pictures.difference(pictures.opened(small.data), pictures.opened(fast.data)) < 4
