"""Each format's stripper cuts out what tells about a picture, and leaves the picture's own data as it is."""

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from pixels import png_chunks
from pixels.exif import build
from pixels.strip import NotStrippable, strip, strip_png
from pixels.strip.iso_boxes import build_box, build_full_box
from tests.pixels.pictures import CORPUS, KINDS, WIDE, XMP, encoded, exif, noise, opened, photo, translucent

TRACES = (b"TestCam", b"xmpmeta", b"acsp", b"Exif", b"ICC_PROFILE", b"secret")
PICTURES = {"photo": photo(), "translucent": translucent(), "grey": photo().convert("L")}


def tagged(name: str, picture: Image.Image, **options: object) -> bytes:
    if name == "jpeg":
        picture = picture.convert("RGB") if picture.mode == "RGBA" else picture
        options |= {"comment": b"secret"}
    if name == "png":
        text = PngInfo()
        text.add_text("Comment", "secret")
        text.add_itxt("XML:com.adobe.xmp", XMP.decode(), zip=True)
        options |= {"pnginfo": text}
    return encoded(picture, name, exif=exif(), xmp=XMP, icc_profile=WIDE, **options)


@pytest.mark.parametrize("picture", PICTURES.values(), ids=PICTURES)
@pytest.mark.parametrize("name", KINDS)
def test_metadata_goes_and_pixels_stay(name: str, picture: Image.Image) -> None:
    source = tagged(name, picture)
    assert b"TestCam" in source
    stripped = strip(memoryview(source), name)
    assert not any(trace in stripped for trace in TRACES)
    assert np.array_equal(opened(stripped), opened(source))
    assert len(stripped) < len(source) - 400


@pytest.mark.parametrize("name", KINDS)
def test_stripping_twice_changes_nothing(name: str) -> None:
    once = strip(memoryview(tagged(name, photo())), name)
    assert strip(memoryview(once), name) == once


@pytest.mark.parametrize("name", KINDS)
def test_no_cut_of_a_file_does_more_than_refuse(name: str) -> None:
    source = tagged(name, photo(48, 32))
    for end in range(12, len(source), 7):
        try:
            stripped = strip(memoryview(source)[:end], name)
        except NotStrippable:
            continue
        assert len(stripped) <= end


@pytest.mark.parametrize("options", [{"progressive": True}, {"subsampling": 0}, {"restart_marker_blocks": 3}], ids=str)
def test_every_kind_of_jpeg_scan_passes_through(options: dict[str, object]) -> None:
    source = tagged("jpeg", photo(), **options)
    stripped = strip(memoryview(source), "jpeg")
    scans = source[source.index(b"\xff\xda") :]
    assert stripped.endswith(scans)
    assert np.array_equal(opened(stripped), opened(source))


def test_a_jpeg_keeps_the_markers_that_say_what_its_numbers_are() -> None:
    inks = encoded(photo().convert("CMYK"), "jpeg", exif=exif())
    stripped = strip(memoryview(inks), "jpeg")
    assert b"Adobe" in stripped
    assert np.array_equal(opened(stripped), opened(inks))


def test_a_jfif_thumbnail_goes_with_the_rest() -> None:
    source = encoded(photo(), "jpeg")
    length = int.from_bytes(source[4:6], "big")
    head = bytearray(source[2 : 4 + length])
    thumbnail = bytes(range(3 * 4)) * 4
    head[2:4] = (length + len(thumbnail)).to_bytes(2, "big")
    head[-2:] = (4, 4)
    stripped = strip(memoryview(source[:2] + bytes(head) + thumbnail + source[4 + length :]), "jpeg")
    assert thumbnail not in stripped
    assert stripped == strip(memoryview(source), "jpeg")


def test_what_follows_the_end_of_a_file_goes() -> None:
    for name in ("jpeg", "png", "webp"):
        source = encoded(photo(), name)
        assert b"secret" not in strip(memoryview(source + b"secret" * 9), name)


def test_png_chunks_that_pixels_are_shown_by_stay() -> None:
    source = encoded(photo(), "png")
    shown = png_chunks.build(b"gAMA", (45455).to_bytes(4, "big")) + png_chunks.build(b"sRGB", b"\0")
    told = png_chunks.build(b"tIME", bytes(7)) + png_chunks.build(b"prVt", b"secret")
    stripped = strip_png(memoryview(source[:33] + shown + told + source[33:]))
    assert stripped == source[:33] + shown + source[33:]


def test_a_look_is_kept_by_profile_and_orientation_alone() -> None:
    for orientation in (1, 6):
        source = encoded(photo(), "png", exif=exif(orientation), icc_profile=WIDE)
        stripped = strip_png(memoryview(source), keep_look=True)
        assert b"TestCam" not in stripped
        assert (build(orientation) in stripped) is (orientation == 6)
        assert opened(stripped).info["icc_profile"] == WIDE


def test_a_webp_no_longer_says_that_it_has_what_it_lost() -> None:
    stripped = strip(memoryview(tagged("webp", translucent())), "webp")
    assert stripped[12:16] == b"VP8X"
    assert stripped[20] & 0x2C == 0
    assert stripped[20] & 0x10
    assert int.from_bytes(stripped[4:8], "little") == len(stripped) - 8


def test_an_avif_loses_bytes_and_not_only_names() -> None:
    """Neither the entries of the items nor their bytes are left."""
    source = tagged("avif", translucent())
    stripped = strip(memoryview(source), "avif")
    assert b"mime" not in stripped
    assert b"cdsc" not in stripped
    assert len(source) - len(stripped) > len(WIDE) + len(XMP) + len(exif())


def test_an_avif_keeps_its_turn_and_crop() -> None:
    source = encoded(noise(60, 40), "avif", exif=exif(6), icc_profile=WIDE)
    stripped = strip(memoryview(source), "avif")
    assert b"irot" in stripped
    assert opened(stripped).getexif().get(0x0112) == opened(source).getexif().get(0x0112)


def many_tiles(tiles: int, share: float) -> bytes:
    """An AVIF of a grid whose every tile is the same `share` of the file."""
    ids = range(1, tiles + 2)
    entries = [build_full_box(b"infe", 2, 0, n.to_bytes(2, "big"), b"\0\0", b"grid" if n == 1 else b"av01", b"\0")
               for n in (*ids, 999)]  # fmt: skip
    dimg = b"".join(n.to_bytes(2, "big") for n in (1, tiles, *ids[1:]))
    cdsc = b"".join(n.to_bytes(2, "big") for n in (999, 1, 1))
    length = int(20_000 * share).to_bytes(4, "big")
    places = [n.to_bytes(2, "big") + b"\0\0\0\1" + bytes(4) + length for n in (*ids, 999)]
    meta = build_full_box(
        b"meta", 0, 0,
        build_full_box(b"hdlr", 0, 0, bytes(4), b"pict", bytes(13)),
        build_full_box(b"pitm", 0, 0, b"\0\1"),
        build_full_box(b"iloc", 0, 0, b"\x44\0", len(places).to_bytes(2, "big"), *places),
        build_full_box(b"iinf", 0, 0, len(entries).to_bytes(2, "big"), *entries),
        build_full_box(b"iref", 0, 0, build_box(b"dimg", dimg), build_box(b"cdsc", cdsc)),
        build_box(b"iprp", build_box(b"ipco"), build_full_box(b"ipma", 0, 0, bytes(4))),
    )  # fmt: skip
    head = build_box(b"ftyp", b"avif", bytes(4), b"avif") + meta
    return head + build_box(b"mdat", bytes(20_000 - len(head) - 8))


def test_items_that_share_bytes_do_not_unfold() -> None:
    """A small file could else become a huge one."""
    assert len(strip(memoryview(many_tiles(9, 0.05)), "avif")) < 20_000
    with pytest.raises(NotStrippable, match="longer"):
        strip(memoryview(many_tiles(9, 0.1)), "avif")
    with pytest.raises(NotStrippable, match="overlap"):
        strip(memoryview(many_tiles(9, 0.9)), "avif")


@pytest.mark.skipif(not CORPUS.is_dir(), reason="no real images here: set COMPRESSORIZE_SHARED")
def test_real_files_of_every_build_keep_their_pixels() -> None:
    files = [p for p in sorted((CORPUS / "features").iterdir()) if p.stat().st_size < 300_000]
    formats = {".jpg": "jpeg", ".jpeg": "jpeg", ".mpo": "jpeg", ".webp": "webp", ".avif": "avif", ".png": "png"}
    checked = 0
    for path in files:
        data = path.read_bytes()
        if path.suffix not in formats or b"avis" in data[:32]:
            continue
        try:
            before = opened(data)
        except Exception:  # noqa: S112 - what Pillow cannot read is no witness
            continue
        after = opened(strip(memoryview(data), formats[path.suffix]))
        assert np.array_equal(after, before), path.name
        checked += 1
    assert checked > 40
