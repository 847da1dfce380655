"""A smart PNG: a palette that was measured within the target, or every pixel as it was; and nothing else lost."""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import oxipng
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image, ImageDraw

from pixels import png_chunks
from pixels.butteraugli import Comparator
from pixels.distance import measure_distance
from pixels.encode import keep_flags
from pixels.encode_png import encode_png
from pixels.pack_png import has_time_to_pack, pack_png
from pixels.raster import hold
from pixels.smart_png import find_png
from pixels.smart_quality import Found
from pixels.vips import pyvips
from tests.pixels.pictures import SRGB, WIDE, XMP, encoded, exif, grey_profile, noise, opened, photo, translucent

TARGET = 1.2
#: The byte of a PNG that holds its colour type, and the types.
DEPTH, COLOUR = 24, 25
GREY, RGB, PALETTE = 0, 2, 3
LONG_S = 60.0


def loaded(picture: Image.Image, **options: Any) -> Any:
    """What the pipeline hands over: a picture in memory, with what it carries."""
    return pyvips.Image.new_from_buffer(encoded(picture, "png", compress_level=0, **options), "").copy_memory()


def find(image: Any, target: float = TARGET, keep: int = 0, time_s: float = LONG_S) -> Found:
    return find_png(hold(image, with_metadata=True), target, keep=keep, until_s=time.perf_counter() + time_s)


def screenshot(width: int = 320, height: int = 200) -> Image.Image:
    """A window with a title bar that shades, text, and a chart: some hundred colours."""
    image = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(image)
    for x in range(width):
        draw.line((x, 0, x, 22), fill=(30 + x * 200 // width, 60 + x * 150 // width, 190 - x * 40 // width))
    for line in range(8):
        draw.text((10, 30 + 14 * line), "The quick brown fox jumps over the lazy dog", fill=(20 + line, 20, 30))
    for bar in range(12):
        draw.rectangle((12 + 25 * bar, 195 - 4 * bar, 28 + 25 * bar, 198), fill=(200 - 9 * bar, 40 + 12 * bar, 90))
    return image


def gradient(width: int = 256, height: int = 192) -> Image.Image:
    """A sky: so smooth that a step between two colours of a palette shows."""
    down, across = np.mgrid[0:height, 0:width]
    sky = np.stack((90 + across / 4, 140 + down / 3, 255 - across / 9 - down / 7), axis=2)
    return Image.fromarray(sky.round().astype(np.uint8))


def srgb_grey_profile() -> bytes:
    """A profile for grey with the curve of sRGB (IEC 61966-2-1) in 256 steps."""
    level = np.linspace(0, 1, 256)
    linear = np.where(level <= 0.04045, level / 12.92, ((level + 0.055) / 1.055) ** 2.4)
    table = (linear * 65535).round().astype(">u2").tobytes()
    head, mark, _ = grey_profile(2.2).rpartition(b"curv")
    curve = mark + bytes(4) + (256).to_bytes(4, "big") + table
    # The last tag is the curve: its size, and the file's.
    at = head.index(b"kTRC") + 8
    head = head[:at] + len(curve).to_bytes(4, "big") + head[at + 4 :]
    return (len(head) + len(curve)).to_bytes(4, "big") + head[4:] + curve


def on(background: int, picture: Image.Image) -> npt.NDArray[np.uint8]:
    base = Image.new("RGBA", picture.size, (background, background, background, 255))
    return np.asarray(Image.alpha_composite(base, picture.convert("RGBA")).convert("RGB"))


@pytest.mark.parametrize(
    "picture",
    [photo(), photo(400, 300), photo().convert("L"), translucent(), screenshot(), gradient(), noise(90, 70)],
    ids=["photo", "larger photo", "grey photo", "translucent", "screenshot", "gradient", "noise"],
)
@pytest.mark.parametrize("target", [0.4, TARGET, 3.0])
def test_a_result_is_exact_or_was_measured_within_the_target(picture: Image.Image, target: float) -> None:
    found = find(loaded(picture), target)
    if found.quality == 100:
        assert found.distance == 0.0
        assert np.array_equal(opened(found.data).convert(picture.mode), picture)
    else:
        assert found.data[COLOUR] == PALETTE
        assert found.distance <= target
        measured = measure_distance(encoded(picture, "png"), found.data).norm3
        assert found.distance == pytest.approx(measured, rel=1e-3)
    assert len(found.data) <= 1.01 * len(encode_png(loaded(picture), 100, 0))


def test_a_screenshot_of_some_hundred_colours_becomes_a_much_smaller_palette() -> None:
    image = loaded(screenshot())
    assert len(screenshot().getcolors(1 << 16) or ()) > 256
    found = find(image)
    assert found.data[COLOUR] == PALETTE
    assert found.quality < 100
    assert len(found.data) < 0.6 * len(encode_png(image, 100, 0))


def test_a_larger_target_takes_fewer_bytes() -> None:
    sizes = [len(find(loaded(screenshot()), target).data) for target in (0.3, 1.0, 3.0)]
    assert sizes == sorted(set(sizes), reverse=True)


@pytest.mark.parametrize("shade", [0, 255])
def test_a_translucent_picture_is_judged_before_black_and_before_white(shade: int) -> None:
    """A shadow cannot be told from black, nor a glow from white: there any alpha would do."""
    down, across = np.mgrid[0:128, 0:128]
    alpha = np.clip(280 - 4 * np.hypot(down - 64, across - 64), 0, 255).astype(np.uint8)
    picture = Image.fromarray(np.full((128, 128, 4), shade, np.uint8))
    picture.putalpha(Image.fromarray(alpha))
    found = find(loaded(picture), 0.6)
    assert found.distance <= 0.6
    for background in (0, 255):
        judge = Comparator(on(background, picture))
        assert judge.compare(on(background, opened(found.data))).norm3 <= 0.6


def test_no_loss_leaves_the_colours_under_clear_pixels() -> None:
    samples = np.random.default_rng(5).integers(0, 256, (64, 64, 4), dtype=np.uint8)
    samples[:, :, 3] = np.where(np.arange(64) < 32, 0, 200)
    found = find(loaded(Image.fromarray(samples)), 0.01)
    assert found.quality == 100
    assert np.array_equal(opened(found.data), samples)


def test_sixteen_bits_become_the_nearest_eight() -> None:
    deep = np.random.default_rng(1).integers(0, 65536, (60, 80), dtype=np.uint16)
    found = find(loaded(Image.fromarray(deep)), 0.01)
    assert (found.data[DEPTH], found.data[COLOUR], found.quality, found.distance) == (8, GREY, 100, 0.0)
    assert np.array_equal(opened(found.data), np.round(deep / 257).astype(np.uint8))


def test_sixteen_bits_leave_the_metadata_behind_them_whole() -> None:
    deep = np.random.default_rng(3).integers(0, 65536, (40, 50), dtype=np.uint16)
    image = loaded(Image.fromarray(deep), exif=exif(make="Deep"))
    assert opened(find(image, keep=keep_flags(image, strip=False)).data).getexif()[0x010F] == "Deep"


def test_what_a_profile_other_than_srgb_makes_of_the_pixels_is_not_guessed_at() -> None:
    """Kept, it is shown by: 16 bits stay, and there is no loss."""
    deep = np.random.default_rng(2).integers(0, 65536, (40, 50, 3), dtype=np.uint16)
    image = pyvips.Image.new_from_array(deep, interpretation="rgb16").copy()
    image.set_type(pyvips.GValue.blob_type, "icc-profile-data", WIDE)
    found = find(image.copy_memory(), 50.0, keep=8)
    assert (found.data[DEPTH], found.data[COLOUR], found.quality) == (16, RGB, 100)
    assert opened(found.data).info["icc_profile"] == WIDE
    assert np.array_equal(pyvips.Image.new_from_buffer(found.data, "").numpy(), deep)
    assert find(loaded(screenshot(), icc_profile=WIDE), keep=8).quality == 100


@pytest.mark.parametrize("target", [0.01, TARGET])
def test_metadata_is_kept_when_asked_for_and_dropped_when_not(target: float) -> None:
    image = loaded(screenshot(), icc_profile=SRGB, exif=exif(make="Kept"))
    image.set_type(pyvips.GValue.blob_type, "xmp-data", XMP)
    kept = opened(find(image, target, keep=keep_flags(image, strip=False)).data)
    assert kept.info["icc_profile"] == SRGB
    assert kept.getexif()[0x010F] == "Kept"
    assert XMP.decode() in kept.info["XML:com.adobe.xmp"]
    bare = find(image, target).data
    kinds = {chunk.kind for chunk in png_chunks.walk(memoryview(bare))}
    assert kinds <= {b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"}


@pytest.mark.parametrize("profile", [srgb_grey_profile(), grey_profile(1.8)], ids=["sRGB's curve", "another"])
def test_a_kept_grey_profile_goes_with_grey_alone(profile: bytes) -> None:
    """A palette is RGB, and the PNG specification forbids it beside a profile for grey."""
    picture = photo().convert("L")
    found = find(loaded(picture, icc_profile=profile), 5.0, keep=8)
    assert found.data[COLOUR] == GREY
    assert opened(found.data).info["icc_profile"] == profile
    assert np.array_equal(opened(found.data).convert("L"), picture)


@pytest.mark.parametrize("time_s", [-1.0, 0.0, 0.01])
def test_out_of_time_there_is_still_a_good_file(time_s: float) -> None:
    found = find(loaded(photo(400, 300)), time_s=time_s)
    assert opened(found.data).size == (400, 300)
    assert found.distance <= TARGET
    if time_s <= 0:
        assert np.array_equal(opened(found.data), photo(400, 300))


@given(
    arrays.arrays(
        st.sampled_from([np.uint8, np.uint16]),
        st.tuples(st.integers(1, 24), st.integers(1, 24), st.integers(1, 4)),
        elements=st.sampled_from([0, 1, 2, 100, 254, 255]),
    )
)
@settings(max_examples=40, deadline=None)
def test_any_shape_of_picture_has_a_file(samples: npt.NDArray[Any]) -> None:
    """One pixel, one row, grey, translucent, 8 and 16 bits."""
    deep, bands = samples.dtype == np.uint16, samples.shape[2]
    space = ("grey16" if deep else "b-w") if bands < 3 else ("rgb16" if deep else "srgb")
    image = pyvips.Image.new_from_array(samples, interpretation=space).copy_memory()
    found = find(image, 0.001)
    result = np.asarray(opened(found.data).convert("RGBA"))
    assert result.shape == (*samples.shape[:2], 4)
    if found.quality == 100:
        want = np.round(samples / 257).astype(np.uint8) if deep else samples
        assert np.array_equal(result[..., 3], want[..., -1] if bands in {2, 4} else np.full_like(result[..., 3], 255))
        assert np.array_equal(result[..., :3], want[..., :3] if bands > 2 else np.repeat(want[..., :1], 3, axis=2))


def test_packing_makes_a_file_smaller_and_changes_no_pixel() -> None:
    data = encoded(photo(400, 300), "png")
    packed = pack_png(data, 400 * 300, until_s=time.perf_counter() + LONG_S)
    assert len(packed) < len(data)
    assert np.array_equal(opened(packed), photo(400, 300))


def test_packing_without_time_returns_what_it_was_given() -> None:
    data = encoded(photo(), "png")
    assert pack_png(data, 160 * 120, until_s=time.perf_counter()) == data
    assert not has_time_to_pack(160 * 120, time.perf_counter())
    assert has_time_to_pack(160 * 120, time.perf_counter() + LONG_S)
    assert not has_time_to_pack(10**9, time.perf_counter() + LONG_S)


def test_a_broken_png_is_not_packed() -> None:
    with pytest.raises(oxipng.PngError):
        pack_png(encoded(photo(), "png")[:-40], 160 * 120, until_s=time.perf_counter() + LONG_S)


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="threads are counted in /proc, which only Linux has")
def test_packing_works_with_one_thread(tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    path.write_bytes(encoded(photo(400, 300), "png"))
    script = (
        "import os, sys, time\nfrom pixels.pack_png import pack_png\n"
        "before = len(os.listdir('/proc/self/task'))\n"
        "pack_png(open(sys.argv[1], 'rb').read(), 120_000, until_s=time.perf_counter() + 60)\n"
        "print(len(os.listdir('/proc/self/task')) - before)"
    )
    plain = {key: value for key, value in os.environ.items() if key != "RAYON_NUM_THREADS"}
    environment = {**plain, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", script, str(path)], capture_output=True, text=True, timeout=60, env=environment
    )
    assert (done.stdout.strip(), done.stderr) == ("1", "")
