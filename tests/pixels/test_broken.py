"""Whatever the bytes, the end is an image or an error of ours whose text a person understands."""

import os
import random
import subprocess
import sys
import time

import pytest

from pixels.errors import DecodeFailed, EncodeFailed, PixelsError
from pixels.load import Picture
from pixels.options import Limits, Options
from pixels.pipeline import compress
from pixels.sniff import Sniffed, sniff
from pixels.vips import pyvips
from tests.hostile import crafted_heif, crafted_jpeg
from tests.pixels.pictures import KINDS, animation, encoded, exif, noise, photo

HEADS = {
    "jpeg": b"\xff\xd8\xff\xe0" + b"rubbish" * 20,
    "png": b"\x89PNG\r\n\x1a\n" + b"rubbish" * 20,
    "webp": b"RIFF\x64\0\0\0WEBPVP8 " + b"rubbish" * 20,
    "avif": b"\0\0\0\x18ftypavif\0\0\0\0avifmif1" + b"rubbish" * 20,
}


@pytest.mark.parametrize("target", ["auto", *KINDS])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("name", KINDS)
def test_a_cut_file_is_broken_whatever_is_made_of_it(name: str, share: float, target: str) -> None:
    source = encoded(photo(), name, quality=95)
    with pytest.raises(DecodeFailed) as caught:
        compress(source[: int(len(source) * share)], Options(format=target, quality=60))
    assert str(caught.value).startswith(f"The {name.upper()} image could not be decoded: ")
    assert str(caught.value).endswith(".")
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("options", [Options(), Options(max_width=20), Options(strip_metadata=False)], ids=str)
@pytest.mark.parametrize("name", KINDS)
def test_a_cut_file_is_broken_however_it_is_decoded(name: str, options: Options) -> None:
    for orientation in (1, 6):
        source = encoded(photo(), name, quality=95, exif=exif(orientation))
        with pytest.raises(DecodeFailed):
            compress(source[: len(source) * 2 // 3], options)


@pytest.mark.parametrize("name", KINDS)
def test_a_right_beginning_before_rubbish_is_broken(name: str) -> None:
    with pytest.raises(DecodeFailed):
        compress(HEADS[name], Options())


def test_a_flipped_bit_in_a_png_is_noticed() -> None:
    source = encoded(photo(), "png")
    middle = len(source) // 2
    with pytest.raises(DecodeFailed, match="broken or incomplete"):
        compress(source[:middle] + bytes((source[middle] ^ 255,)) + source[middle + 1 :], Options())


def test_a_cut_animation_is_broken() -> None:
    source = animation([noise(40, 30, seed) for seed in range(4)], [50] * 4)
    for share in (0.3, 0.7, 0.97):
        with pytest.raises(DecodeFailed):
            compress(source[: int(len(source) * share)], Options())


@pytest.mark.parametrize("name", KINDS)
def test_changed_bytes_end_in_an_image_or_an_error_of_ours(name: str) -> None:
    source = encoded(photo(64, 48), name, exif=exif(6), quality=80)
    told = []
    chance = random.Random(name)  # noqa: S311 - the same damage in every run
    for _ in range(60):
        damaged = bytearray(source)
        for _ in range(chance.choice([1, 1, 3, 10])):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        try:
            result = compress(bytes(damaged), Options(quality=chance.choice([None, 40, 100])))
        except PixelsError as error:
            told.append(str(error))
        else:
            told.append(f"{result.width} x {result.height}")
            assert sniff(result.data[:64]) == Sniffed(name)
    assert len(told) == 60
    assert all(told)


def test_a_message_that_quotes_rubbish_does_not_reach_the_next_image() -> None:
    """Libheif quotes the names of boxes it does not know; a name may be any four bytes."""
    source = encoded(photo(64, 48), "avif", exif=exif(6))
    quoted = source.replace(b"irot", b"\xaerot")
    for _ in range(2):
        with pytest.raises(DecodeFailed):
            compress(quoted, Options())
        assert compress(source, Options(format="jpeg")).width == 48
        assert compress(encoded(photo(), "jpeg"), Options()).width == 160


def test_a_failing_encoder_is_not_blamed_on_a_good_source() -> None:
    picture = Picture(memoryview(encoded(photo(), "jpeg")), Sniffed("jpeg"), Limits())
    with pytest.raises(pyvips.Error) as caught:
        picture.decode((160, 120)).pngsave_buffer(profile="no such profile")
    assert isinstance(picture.blame(caught.value), EncodeFailed)


def test_an_encoder_that_fails_on_a_broken_source_is_not_to_blame() -> None:
    source = encoded(photo(), "jpeg", quality=95)
    picture = Picture(memoryview(source)[: len(source) // 2], Sniffed("jpeg"), Limits())
    with pytest.raises(pyvips.Error) as caught:
        picture.decode((160, 120)).webpsave_buffer()
    assert isinstance(picture.blame(caught.value), DecodeFailed)


#: Two pointers in each of its ten entries lead back to where they are.
LOOP = crafted_jpeg.tiff(*[(0x8769, 4, 1, 8), (0x8825, 4, 1, 8)] * 10)
#: The same by a chain of directories, none of which is met twice.
CHAIN = b"II*\0\x08\0\0\0" + b"".join(b"\x02\0" + (b"\x69\x87\x04\0\1\0\0\0" + (38 + 30 * n).to_bytes(4, "little")) * 2
                                        + bytes(4) for n in range(30))  # fmt: skip


@pytest.mark.parametrize("options", [Options(quality=50), Options(quality=50, strip_metadata=False)], ids=str)
@pytest.mark.parametrize("block", [LOOP, CHAIN])
@pytest.mark.parametrize("name", KINDS)
def test_exif_that_leads_in_circles_counts_as_not_there(name: str, block: bytes, options: Options) -> None:
    """Libexif would follow it for seconds, or for ever."""
    started = time.process_time()
    result = compress(encoded(photo(), name, exif=block), options)
    assert (result.width, result.height) == (160, 120)
    assert block not in bytes(result.data)
    assert time.process_time() - started < 4


@pytest.mark.parametrize("name", KINDS)
def test_exif_that_is_well_made_is_kept(name: str) -> None:
    result = compress(encoded(photo(), name, exif=exif(6)), Options(quality=50, strip_metadata=False))
    assert b"TestCam" in bytes(result.data)


def test_exif_in_pieces_is_found_too() -> None:
    with pytest.raises(PixelsError):
        compress(crafted_heif.exif_in_parts(), Options())


def test_a_jpeg_of_two_colour_channels_is_told_so() -> None:
    with pytest.raises(DecodeFailed, match="2 colour channels"):
        compress(crafted_jpeg.flat(64, 64, samplings=(0x11, 0x11)), Options())


def test_wide_sampling_factors_are_a_broken_file_and_no_large_one() -> None:
    with pytest.raises(DecodeFailed, match="Sampling factors too large"):
        compress(crafted_jpeg.flat(64, 64, samplings=(0x44, 0x11, 0x11)), Options())


def test_what_glib_complains_of_does_not_fill_the_log() -> None:
    """A damaged AVIF may make it write a line for every failed assertion."""
    script = """
import ctypes, re
from pathlib import Path
from pixels import vips
library = re.search(r"/\\S*libvips\\S*\\.so\\S*", Path("/proc/self/maps").read_text())
complain = ctypes.CDLL(library[0]).g_log
vips.prepare()
complain(b"GLib-GObject", 8, b"an assertion failed")
"""
    paths = os.pathsep.join(sys.path)
    done = subprocess.run([sys.executable, "-c", script], env={**os.environ, "PYTHONPATH": paths}, capture_output=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
