"""The first bytes tell the format, without libvips."""

import subprocess
import sys

import pytest
from PIL import Image

from pixels.sniff import HEAD_BYTES, Sniffed, is_animated_png, sniff
from tests.pixels.pictures import KINDS, animation, encoded, noise, photo

OTHERS = {
    "nothing": b"",
    "gif": b"GIF89a\x01\0\x01\0\0\0\0;",
    "tiff": b"II*\0\x08\0\0\0" + bytes(64),
    "svg": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
    "wave": b"RIFF\x24\0\0\0WAVEfmt " + bytes(40),
    "heic": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(40),
    "a cut png signature": b"\x89PNG\r\n\x1a",
    "a jpeg behind a newline": b"\n\xff\xd8\xff\xe0" + bytes(40),
    "avif in the body but not in the brands": b"\0\0\0\x14ftypheic\0\0\0\0mif1avif" + bytes(40),
}


@pytest.mark.parametrize("name", KINDS)
def test_the_head_of_each_format_names_it(name: str) -> None:
    assert sniff(encoded(photo(), name)[:HEAD_BYTES]) == Sniffed(name)


@pytest.mark.parametrize("data", OTHERS.values(), ids=OTHERS)
def test_other_bytes_are_none_of_the_four(data: bytes) -> None:
    assert sniff(data) is None


@pytest.mark.parametrize("brands", [b"avis\0\0\0\0avifmif1", b"avif\0\0\0\0mif1avis"])
def test_an_avif_sequence_is_not_supported_whether_its_brand_is_major_or_not(brands: bytes) -> None:
    assert sniff((8 + len(brands)).to_bytes(4, "big") + b"ftyp" + brands + bytes(40)) is None


def test_an_avif_is_known_by_a_compatible_brand() -> None:
    brands = b"mif1\0\0\0\0mif1miafavif"
    assert sniff((8 + len(brands)).to_bytes(4, "big") + b"ftyp" + brands) == Sniffed("avif")


def test_any_buffer_will_do() -> None:
    data = encoded(photo(), "jpeg")
    assert sniff(memoryview(data)) == sniff(bytearray(data)) == Sniffed("jpeg")


def test_a_webp_says_in_its_head_that_it_is_an_animation() -> None:
    moving = animation([noise(8, 8, seed) for seed in range(3)], [50, 50, 50])
    assert sniff(moving[:HEAD_BYTES]) == Sniffed("webp", animated=True)
    assert sniff(encoded(Image.new("RGBA", (8, 8)), "webp")[:HEAD_BYTES]) == Sniffed("webp")


def test_an_animated_png_is_known_by_a_chunk_before_its_pixels() -> None:
    frames = [noise(8, 8, seed) for seed in range(2)]
    moving = encoded(frames[0], "png", save_all=True, append_images=frames[1:], duration=50)
    assert is_animated_png(memoryview(moving))
    assert not is_animated_png(memoryview(encoded(frames[0], "png")))
    # `acTL` elsewhere is no sign: in the compressed pixels, or cut off.
    still = encoded(frames[0], "png")
    assert not is_animated_png(memoryview(still + b"\0\0\0\x08acTL" + bytes(12)))
    assert not is_animated_png(memoryview(moving[: moving.index(b"acTL") + 4]))


def test_sniffing_does_not_load_libvips() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import sys, pixels.sniff; sys.exit('pyvips' in sys.modules)"], check=False
    )
    assert done.returncode == 0
