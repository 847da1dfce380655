"""Stripping leaves no metadata in any format; keeping carries EXIF, XMP and profile across formats."""

import zlib

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from pixels import png_chunks
from pixels.errors import DecodeFailed
from pixels.options import Options
from pixels.pipeline import compress
from pixels.png_metadata import read_metadata, without_unsafe_metadata
from tests.pixels.pictures import KINDS, SRGB, WIDE, XMP, animation, encoded, exif, noise, opened, photo

MAKE = 0x010F
#: What betrays metadata in a file whatever its format.
TRACES = (b"TestCam", b"xmpmeta", b"acsp", b"Exif", b"secret")


def tagged(name: str, profile: bytes = WIDE, quality: int = 95) -> bytes:
    """A picture with EXIF, XMP and a profile."""
    options = {"exif": exif(), "xmp": XMP, "icc_profile": profile, "quality": quality}
    if name == "png":
        text = PngInfo()
        text.add_itxt("XML:com.adobe.xmp", XMP.decode())
        text.add_text("Comment", "secret", zip=False)
        options["pnginfo"] = text
    if name == "jpeg":
        options["comment"] = b"secret"
    return encoded(photo(), name, **options)


def xmp_of(data: bytes | memoryview) -> bytes:
    """The XMP packet of a file in any format."""
    image = opened(data)
    found = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp") or b""
    return found.encode() if isinstance(found, str) else bytes(found)


@pytest.mark.parametrize("target", KINDS)
@pytest.mark.parametrize("source", KINDS)
@pytest.mark.parametrize("quality", [None, 60])
def test_nothing_is_left_where_metadata_goes(source: str, target: str, quality: int | None) -> None:
    result = compress(tagged(source), Options(format=target, quality=quality))
    assert not any(trace in bytes(result.data) for trace in TRACES)
    assert not opened(result.data).getexif()


@pytest.mark.parametrize("target", KINDS)
@pytest.mark.parametrize("source", KINDS)
def test_exif_xmp_and_profile_are_carried_across(source: str, target: str) -> None:
    result = compress(tagged(source), Options(format=target, quality=60, strip_metadata=False))
    assert opened(result.data).getexif()[MAKE] == "TestCam"
    assert opened(result.data).info["icc_profile"] == WIDE
    assert b"adobe:ns:meta" in xmp_of(result.data)


@pytest.mark.parametrize("name", KINDS)
def test_no_metadata_is_made_up_where_there_was_none(name: str) -> None:
    result = compress(encoded(photo(), name, quality=95), Options(quality=60, strip_metadata=False))
    assert not any(trace in bytes(result.data) for trace in TRACES)


@pytest.mark.parametrize("quality", [60, 100])
def test_a_palette_keeps_its_metadata_too(quality: int) -> None:
    few = photo().quantize(32, dither=Image.Dither.NONE).convert("RGB")
    source = encoded(few, "png", exif=exif(), icc_profile=WIDE, compress_level=0)
    image = opened(compress(source, Options(quality=quality, strip_metadata=False)).data)
    assert image.mode == "P"
    assert image.getexif()[MAKE] == "TestCam"
    assert image.info["icc_profile"] == WIDE


def test_a_picture_without_colours_keeps_its_profile_of_colours() -> None:
    source = encoded(photo().convert("L").convert("RGB"), "png", icc_profile=WIDE, compress_level=0)
    image = opened(compress(source, Options(strip_metadata=False)).data)
    assert image.info["icc_profile"] == WIDE
    assert np.array_equal(image.convert("RGB"), photo().convert("L").convert("RGB"))


@pytest.mark.parametrize("keyword", ["Raw profile type exif", "Raw profile type xmp"])
@pytest.mark.parametrize("kind", [b"zTXt", b"tEXt"])
def test_metadata_that_png_files_held_as_text_is_carried_too(keyword: str, kind: bytes) -> None:
    body = exif(orientation=6) if keyword.endswith("exif") else XMP
    text = f"\n{keyword[17:]}\n{len(body):8}\n{body.hex()}\n".encode()
    packed = b"\0" + zlib.compress(text) if kind == b"zTXt" else text
    source = encoded(photo(), "png")
    at = source.index(b"IDAT") - 4
    source = source[:at] + png_chunks.build(kind, keyword.encode() + b"\0" + packed) + source[at:]
    result = compress(source, Options(format="jpeg", strip_metadata=False))
    if keyword.endswith("exif"):
        assert opened(result.data).getexif()[MAKE] == "TestCam"
        # No viewer turns a picture by such a text, so that it must not be turned afterwards either.
        assert opened(result.data).getexif()[0x0112] == 1
        assert (result.width, result.height) == photo().size
    else:
        assert b"adobe:ns:meta" in xmp_of(result.data)


@pytest.mark.parametrize("strip", [True, False])
def test_an_animation_keeps_or_loses_its_metadata_whole(strip: bool) -> None:
    frames = [noise(40, 30, seed) for seed in range(3)]
    source = animation(frames, [50, 60, 70], quality=100, exif=exif(), xmp=XMP, icc_profile=SRGB)
    result = compress(source, Options(quality=30, strip_metadata=strip))
    assert result.frames == 3
    assert any(trace in bytes(result.data) for trace in TRACES) is not strip
    assert (opened(result.data).getexif().get(MAKE) == "TestCam") is not strip


def test_the_second_picture_of_a_multi_picture_file_goes() -> None:
    source = encoded(photo(), "MPO", save_all=True, append_images=[noise(160, 120)], quality=90)
    assert source.count(b"\xff\xd8\xff") == 2
    for quality in (60, 100):
        result = compress(source, Options(quality=quality))
        assert bytes(result.data).count(b"\xff\xd8\xff") == 1
        assert opened(result.data).size == photo().size


def with_chunks(source: bytes, *chunks: bytes) -> bytes:
    """A PNG with further chunks before its pixels."""
    at = source.index(b"IDAT") - 4
    return source[:at] + b"".join(chunks) + source[at:]


def test_packed_text_is_not_unpacked_by_libvips() -> None:
    """Each of these chunks unfolds to a thousand times its size: libpng would unpack them all."""
    packed = zlib.compress(bytes(8_000_000), 9)
    texts = [png_chunks.build(b"zTXt", b"k%d\0\0" % number + packed) for number in range(20)]
    source = with_chunks(encoded(photo(), "png"), *texts)
    readable = without_unsafe_metadata(memoryview(source))
    assert readable == encoded(photo(), "png")
    assert compress(source, Options()).data == compress(encoded(photo(), "png"), Options()).data


def test_text_that_is_not_packed_costs_no_copy() -> None:
    source = memoryview(with_chunks(encoded(photo(), "png"), png_chunks.build(b"tEXt", b"k\0text")))
    assert without_unsafe_metadata(source) is source


def test_a_cut_png_with_packed_text_is_still_broken() -> None:
    source = with_chunks(encoded(photo(), "png"), png_chunks.build(b"zTXt", b"k\0\0" + zlib.compress(b"text")))
    for share in (0.5, 0.9, 0.99):
        with pytest.raises(DecodeFailed):
            compress(source[: int(len(source) * share)], Options())


def test_of_each_kind_of_metadata_the_first_counts() -> None:
    texts = [png_chunks.build(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + text) for text in (XMP, b"<second/>")]
    result = compress(with_chunks(encoded(photo(), "png"), *texts), Options(format="jpeg", strip_metadata=False))
    assert xmp_of(result.data) == XMP


def test_text_that_unfolds_beyond_all_measure_is_left_out() -> None:
    chunk = png_chunks.build(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(bytes(5_000_000)))
    assert not read_metadata(memoryview(with_chunks(encoded(photo(), "png"), chunk))).xmp


def test_a_png_of_empty_chunks_is_refused() -> None:
    source = with_chunks(encoded(photo(), "png"), png_chunks.build(b"abCd", b"") * png_chunks.MAX_CHUNKS)
    with pytest.raises(DecodeFailed, match="very many parts"):
        compress(source, Options())
