"""Each format's stripper cuts out what tells about a picture, and leaves the picture's own data as it is."""

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from pixels import png_chunks
from pixels.exif import build
from pixels.rights import Rights
from pixels.strip import NotStrippable, avif_items, strip, strip_but_look, strip_png
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


@pytest.mark.parametrize("orientation", [1, 6])
@pytest.mark.parametrize("name", KINDS)
def test_every_format_can_keep_its_look_alone(name: str, orientation: int) -> None:
    """The profile and the orientation are all that is left; an AVIF has its orientation beside EXIF."""
    picture = translucent() if name != "jpeg" else photo()
    source = encoded(picture, name, exif=exif(orientation), xmp=XMP, icc_profile=WIDE)
    assert b"TestCam" in source
    stripped = strip_but_look(memoryview(source), name, keep_rights=True)
    assert not any(trace in stripped for trace in (b"TestCam", b"xmpmeta"))
    before, after = opened(source), opened(stripped)
    assert np.array_equal(after, before)
    assert after.info["icc_profile"] == WIDE
    assert dict(after.getexif()) == ({} if orientation == 1 else {0x0112: orientation})
    assert strip_but_look(memoryview(stripped), name, keep_rights=False) == stripped
    if name == "webp":
        assert stripped[20] & 0x2C == (0x20 if orientation == 1 else 0x28)


def described(name: str) -> bytes:
    """A file with statements and a place, in EXIF and XMP, whose blocks are longer than the statements alone."""
    told = Image.Exif()
    told[0x0112] = 6
    told[0x013B], told[0x8298], told[0x010E] = "Ada", "(c) Ada", "secret" * 40
    packet = (
        Rights(credit="Ada Press").xmp_packet().replace(b"</rdf:Description>", b"<!-- secret --></rdf:Description>")
    )
    text = PngInfo()
    text.add_itxt("XML:com.adobe.xmp", packet.decode())
    return encoded(photo(), name, exif=told, **({"pnginfo": text} if name == "png" else {"xmp": packet}))


@pytest.mark.parametrize("name", ["jpeg", "png", "webp"])
def test_a_look_is_kept_with_rights_where_these_are_wanted(name: str) -> None:
    source = memoryview(described(name))
    with_rights = strip_but_look(source, name, keep_rights=True)
    for stripped in (with_rights, strip_but_look(source, name, keep_rights=False)):
        assert not any(trace in stripped for trace in (b"TestCam", b"secret"))
        assert opened(stripped).getexif()[0x0112] == 6
        assert np.array_equal(opened(stripped), opened(bytes(source)))
        for statement in (b"(c) Ada", b"Ada Press"):
            assert (statement in stripped) is (stripped is with_rights)


def test_statements_that_have_no_place_are_not_lost_in_silence() -> None:
    assert strip_but_look(memoryview(described("avif")), "avif", keep_rights=False)
    with pytest.raises(NotStrippable, match="AVIF"):
        strip_but_look(memoryview(described("avif")), "avif", keep_rights=True)
    found = avif_items.find_metadata(memoryview(described("avif"))).rights
    assert found == Rights(artist="Ada", copyright="(c) Ada", credit="Ada Press")


def test_iptc_is_read_and_goes() -> None:
    dataset = b"\x1c\x02\x74\0\x07(c) Ada" + b"\x1c\x02\x78\0\x06secret"
    resource = b"8BIM\x04\x04\0\0" + len(dataset).to_bytes(4, "big") + dataset
    segment = b"Photoshop 3.0\0" + resource + bytes(len(dataset) % 2)
    source = encoded(photo(), "jpeg")
    source = source[:20] + b"\xff\xed" + (len(segment) + 2).to_bytes(2, "big") + segment + source[20:]
    stripped = strip_but_look(memoryview(source), "jpeg", keep_rights=True)
    assert b"secret" not in stripped
    assert b"8BIM" not in stripped
    assert opened(stripped).getexif()[0x8298] == "(c) Ada"


@pytest.mark.parametrize("name", ["jpeg", "png"])
@pytest.mark.parametrize("options", [{}, {"progressive": True}], ids=["plain", "progressive"])
def test_what_breaks_off_in_its_pixels_stays_as_far_as_it_goes(name: str, options: dict[str, object]) -> None:
    """A browser shows it so; whether it tells anything is decided by what comes before."""
    whole = encoded(noise(64, 64), name, exif=exif(6), xmp=XMP, **options)
    pixels = whole.index(b"IDAT" if name == "png" else b"\xff\xda")
    for end in range(pixels + 20, len(whole) - 1, 997):
        stripped = strip_but_look(memoryview(whole)[:end], name, keep_rights=False)
        assert b"TestCam" not in stripped
        assert len(stripped) < end
        # Of what is cut behind a scan, no half segment is left.
        assert whole[pixels:end].startswith(stripped[stripped.index(whole[pixels : pixels + 4]) :])
        with pytest.raises(NotStrippable):
            strip(memoryview(whole)[:end], name)
    with pytest.raises(NotStrippable):
        strip_but_look(memoryview(whole)[: pixels - 4], name, keep_rights=False)


def test_what_follows_something_that_is_no_segment_goes() -> None:
    """It may be another picture, with metadata of its own."""
    first = encoded(photo(), "jpeg")
    torn = first[:-2] + b"\xff\x37\0\0" + tagged("jpeg", photo())
    assert strip_but_look(memoryview(torn), "jpeg", keep_rights=False) == first[:-2]


def test_a_second_picture_behind_the_first_goes_with_all_that_it_tells() -> None:
    first = encoded(photo(), "jpeg", icc_profile=WIDE)
    both = first + tagged("jpeg", photo())
    assert strip_but_look(memoryview(both), "jpeg", keep_rights=False) == first


@pytest.mark.parametrize("name", KINDS)
def test_no_bytes_at_all_make_a_look_fail_otherwise(name: str) -> None:
    """The event loop's side calls it for whatever has come."""
    source = bytearray(tagged(name, photo(48, 32)))
    random = np.random.default_rng(5)
    for _ in range(150):
        broken = bytearray(source)
        for at in random.integers(2, min(len(source), 900), 4):
            broken[at] = random.integers(256)
        for keep_rights in (False, True):
            try:
                stripped = strip_but_look(memoryview(broken), name, keep_rights=keep_rights)
            except NotStrippable:
                continue
            assert len(stripped) <= len(broken)


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


def test_an_avif_loses_what_lies_outside_its_items() -> None:
    source = encoded(photo(), "avif")
    for extra in (build_box(b"uuid", b"secret" * 9), build_box(b"mdat", b"secret" * 9)):
        stripped = strip(memoryview(source + extra), "avif")
        assert b"secret" not in stripped
        assert np.array_equal(opened(stripped), opened(source))
    assert strip(memoryview(source), "avif") == source


def test_an_item_of_many_parts_that_take_no_bytes_is_refused() -> None:
    """Each entry of eight bytes would else be gone through 65,535 times."""
    source = bytearray(encoded(photo(48, 32), "avif"))
    iloc = source.index(b"iloc")
    source[iloc + 8 : iloc + 10] = b"\0\0"
    assert source[iloc + 10 : iloc + 12] == b"\0\1"
    source[iloc + 16 : iloc + 18] = b"\xff\xff"
    with pytest.raises(NotStrippable, match="over and over"):
        strip(memoryview(source), "avif")


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("jpeg", b"\xff\xd8" + b"\xff\xfe\0\2" * 20_001),
        ("webp", b"RIFF\xff\xff\xff\0WEBP" + b"hide\2\0\0\0ab" * 20_001),
        ("avif", build_box(b"free") * 20_001),
    ],
    ids=["jpeg", "webp", "avif"],
)
def test_a_file_of_very_many_parts_is_refused(name: str, data: bytes) -> None:
    with pytest.raises(NotStrippable, match="very many"):
        strip_but_look(memoryview(data), name, keep_rights=False)


def test_fill_bytes_are_passed_over_at_once() -> None:
    source = encoded(photo(), "jpeg")
    filled = source[:2] + b"\xff" * 3_000_000 + source[2:]
    assert strip(memoryview(filled), "jpeg") == strip(memoryview(source), "jpeg")


def test_nothing_of_it_needs_a_codec() -> None:
    """The event loop's side calls it."""
    code = "import sys, pixels.strip; assert not {'pyvips', 'numpy', 'numba'} & sys.modules.keys()"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


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
        shown = opened(strip_but_look(memoryview(data), formats[path.suffix], keep_rights=False))
        assert np.array_equal(shown, before), path.name
        assert shown.info.get("icc_profile") == before.info.get("icc_profile"), path.name
        assert shown.getexif().keys() <= {0x0112}, path.name
        assert not {"xmp", "comment", "photoshop", "mp"} & shown.info.keys(), path.name
        checked += 1
    assert checked > 40
