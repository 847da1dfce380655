"""What an encode process does with a picture: the steps by themselves, and the whole, a format at a time."""

import functools
from typing import Any

import pytest

from perf.bare import photograph
from perf.bench.pace import Pace
from pixels import butteraugli, jpeg
from pixels.encode import encode
from pixels.formats import FormatName
from pixels.load import Picture
from pixels.options import Limits, Options
from pixels.pipeline import compress
from pixels.raster import Raster, hold
from pixels.resize import resize_frames
from pixels.sniff import recognise
from pixels.vips import pyvips

FORMATS: tuple[FormatName, ...] = ("jpeg", "png", "webp", "avif")
SIZE = (1000, 667)
#: What takes long is done on less.
SMALL = (480, 320)
SLOW: tuple[FormatName, ...] = ("png", "avif")


@pytest.fixture(scope="module", autouse=True)
def compiled() -> None:
    butteraugli.warm()
    jpeg.warm()


@functools.cache
def raster(width: int, height: int) -> Raster:
    """Return a drawn photograph, decoded."""
    return hold(pyvips.Image.new_from_buffer(photograph(width, height), ""))


@functools.cache
def source(name: FormatName, width: int, height: int) -> bytes:
    """Return a drawn photograph in a format."""
    if name == "jpeg":
        return photograph(width, height)
    return encode(raster(width, height).image, name, 100 if name == "png" else 90, strip=True)


def decode(data: bytes, wanted: tuple[int, int]) -> Any:
    """Decode all pixels, at a size from which `wanted` can be made."""
    view = memoryview(data)
    return hold(Picture(view, recognise(view), Limits()).decode(wanted))


@pytest.mark.parametrize("name", FORMATS)
def test_decode(pace: Pace, name: FormatName) -> None:
    data = source(name, *SIZE)
    pace(lambda: decode(data, SIZE))


@pytest.mark.parametrize("scale", [0.5, 0.2])
def test_resize(pace: Pace, scale: float) -> None:
    image = raster(*SIZE).image
    pace(lambda: hold(resize_frames(image, 1, round(scale * SIZE[0]), round(scale * SIZE[1]))))


@pytest.mark.parametrize("name", FORMATS)
def test_encode(pace: Pace, name: FormatName) -> None:
    image = raster(*(SMALL if name in SLOW else SIZE)).image
    pace(lambda: encode(image, name, 75, strip=True))


@pytest.mark.parametrize("name", FORMATS)
def test_fixed_quality(pace: Pace, name: FormatName) -> None:
    data = source("jpeg", *(SMALL if name in SLOW else SIZE))
    pace(lambda: compress(data, Options(format=name, quality=75)))


@pytest.mark.parametrize("name", FORMATS)
def test_smart(pace: Pace, name: FormatName) -> None:
    data = source("jpeg", *SMALL)
    pace(lambda: compress(data, Options(format=name)))


@pytest.mark.parametrize("name", ["jpeg", "webp"])
def test_thumbnail(pace: Pace, name: FormatName) -> None:
    """Of 6 megapixels, which are shrunk while they are decoded."""
    data = source(name, 3000, 2000)
    pace(lambda: compress(data, Options(format="jpeg", quality=75, max_width=320)))
