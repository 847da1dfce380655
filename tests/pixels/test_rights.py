"""`keep_copyright`: who made a picture and who may use it stays, in any format; everything else goes."""

import struct
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pixels import exif, iptc, xmp
from pixels.options import Options
from pixels.pipeline import compress
from tests.pixels.pictures import KINDS, WIDE, animation, encoded, noise, opened, photo

ARTIST, COPYRIGHT, MAKE, GPS = 0x013B, 0x8298, 0x010F, 0x8825
COPY = Options(keep_copyright=True)
#: What must never come out.
SECRETS = (b"TestCam", b"52.5", b"SECRET", b"acsp", b"GPS", b"history")
PACKET = b"""<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">
<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about=""
 xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:exif="http://ns.adobe.com/exif/1.0/"
 xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/" xmlns:xmpRights="http://ns.adobe.com/xap/1.0/rights/"
 exif:GPSLatitude="52.5N" photoshop:Credit="Agency &amp; Co" xmpRights:WebStatement="https://licence.test/1">
<dc:creator><rdf:Seq><rdf:li>Ada</rdf:li><rdf:li>Grace</rdf:li></rdf:Seq></dc:creator>
<dc:rights><rdf:Alt><rdf:li xml:lang="de">Alle Rechte</rdf:li>
<rdf:li xml:lang="x-default">\xc2\xa9 XMP</rdf:li></rdf:Alt></dc:rights>
<dc:title>SECRET</dc:title></rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="w"?>"""


def block(**tags: str) -> bytes:
    """EXIF with a camera, a place, and an artist and a copyright where they are given."""
    made = Image.Exif()
    made[MAKE] = "TestCam"
    made.get_ifd(GPS)[2] = (52.5, 0.0, 0.0)
    for name, text in tags.items():
        made[{"artist": ARTIST, "copyright": COPYRIGHT}[name]] = text
    return made.tobytes()


def resource(*datasets: tuple[int, bytes]) -> bytes:
    """A Photoshop segment with IPTC datasets, behind another resource."""
    iim = b"".join(struct.pack(">BBBH", 0x1C, 2, number, len(text)) + text for number, text in datasets)
    other = b"8BIM" + struct.pack(">H", 1005) + b"\x03abc" + struct.pack(">I", 3) + b"xyz\0"
    return b"Photoshop 3.0\0" + other + b"8BIM" + struct.pack(">HBB", 1028, 0, 0) + struct.pack(">I", len(iim)) + iim


def with_iptc(source: bytes, *datasets: tuple[int, bytes]) -> bytes:
    body = resource(*datasets)
    return source[:2] + b"\xff\xed" + struct.pack(">H", len(body) + 2) + body + source[2:]


def told(data: bytes | memoryview) -> tuple[str | None, str | None]:
    found = opened(data).getexif()
    return found.get(ARTIST), found.get(COPYRIGHT)


def holds_no_secret(data: bytes | memoryview) -> bool:
    image = opened(data)
    return not any(secret in bytes(data) for secret in SECRETS) and not image.getexif().get_ifd(GPS)


@pytest.mark.parametrize("quality", [None, 60])
@pytest.mark.parametrize("target", KINDS)
@pytest.mark.parametrize("source", KINDS)
def test_artist_and_copyright_stay_across_formats_and_nothing_else_does(
    source: str, target: str, quality: int | None
) -> None:
    made = encoded(photo(), source, quality=95, exif=block(artist="Ada", copyright="(c) Ada"), icc_profile=WIDE)
    result = compress(made, Options(format=target, quality=quality, keep_copyright=True))  # type: ignore[arg-type]  # a name
    assert told(result.data) == ("Ada", "(c) Ada")
    assert holds_no_secret(result.data)
    assert "icc_profile" not in opened(result.data).info


@pytest.mark.parametrize("target", KINDS)
def test_the_licence_and_the_credit_of_xmp_stay_as_xmp(target: str) -> None:
    result = compress(encoded(photo(), "jpeg", xmp=PACKET), Options(format=target, quality=60, keep_copyright=True))  # type: ignore[arg-type]  # a name
    kept = opened(result.data).info
    packet = kept.get("xmp") or kept.get("XML:com.adobe.xmp")
    assert xmp.read_rights(packet.encode() if isinstance(packet, str) else packet) == {
        "artist": "Ada; Grace",
        "copyright": "\u00a9 XMP",
        "credit": "Agency & Co",
        "web_statement": "https://licence.test/1",
    }
    artist, owner = told(result.data)
    assert (artist, (owner or "").encode("latin-1").decode()) == ("Ada; Grace", "\u00a9 XMP")
    assert holds_no_secret(result.data)


def test_what_iptc_says_counts_where_exif_and_xmp_are_silent() -> None:
    plain = encoded(photo(), "jpeg", exif=block(artist="Ada"))
    source = with_iptc(plain, (80, b"Grace"), (105, b"SECRET"), (116, b"(c) IPTC"), (110, b"Agency"))
    result = compress(source, COPY)
    assert told(result.data) == ("Ada", "(c) IPTC")
    assert b"<photoshop:Credit>Agency<" in bytes(result.data)
    assert holds_no_secret(result.data)


@pytest.mark.parametrize("name", KINDS)
def test_without_a_statement_the_result_is_as_bare_as_ever(name: str) -> None:
    source = encoded(photo(), name, quality=95, exif=block())
    assert compress(source, COPY).data == compress(source, Options()).data


@pytest.mark.parametrize("name", ["jpeg", "png", "webp"])
def test_a_source_whose_own_data_returns_keeps_its_statements_and_is_not_larger(name: str) -> None:
    quality = {"jpeg": 5, "png": 100, "webp": 1}[name]
    source = encoded(photo(), name, quality=quality, exif=block(artist="Ada", copyright="x" * 40), xmp=PACKET * 2)
    if name == "png":
        source = bytes(compress(source, Options(strip_metadata=False)).data)
    result = compress(source, Options(quality=100, keep_copyright=True))
    assert result.original_returned
    assert told(result.data) == ("Ada", "x" * 40)
    assert holds_no_secret(result.data)
    assert len(result.data) <= len(source)


@pytest.mark.parametrize("name", KINDS)
def test_a_result_with_statements_is_never_larger_than_its_source(name: str) -> None:
    source = encoded(photo(), name, quality=40, exif=block(artist="Ada", copyright="(c) Ada"))
    for wanted in (100, None):
        result = compress(source, Options(quality=wanted, keep_copyright=True))
        assert len(result.data) <= len(source)
        assert told(result.data) == ("Ada", "(c) Ada")
        assert holds_no_secret(result.data)


def test_a_turned_picture_is_upright_and_keeps_its_statements() -> None:
    made = Image.Exif()
    made[ARTIST], made[0x0112] = "Ada", 6
    result = compress(
        encoded(photo(), "jpeg", quality=95, exif=made.tobytes()), Options(quality=60, keep_copyright=True)
    )
    assert (result.width, result.height) == photo().size[::-1]
    assert opened(result.data).getexif().get(0x0112, 1) == 1
    assert told(result.data)[0] == "Ada"


def test_animations_keep_their_statements() -> None:
    frames = [noise(40, 30, seed) for seed in range(3)]
    moving = animation(frames, [50, 60, 70], quality=100, exif=block(artist="Ada"))
    result = compress(moving, Options(quality=30, keep_copyright=True))
    assert (result.frames, told(result.data)[0]) == (3, "Ada")
    apng = encoded(frames[0], "png", save_all=True, append_images=frames[1:], exif=block(artist="Ada"))
    kept = compress(apng, COPY)
    assert (kept.frames, told(kept.data)[0]) == (3, "Ada")
    assert holds_no_secret(kept.data)


def test_keeping_all_keeps_all_and_stripping_all_keeps_none() -> None:
    source = encoded(photo(), "jpeg", quality=95, exif=block(artist="Ada"))
    assert (
        opened(compress(source, Options(strip_metadata=False, keep_copyright=True)).data).getexif()[MAKE] == "TestCam"
    )
    assert not opened(compress(source, Options()).data).getexif()


def test_statements_are_cut_and_cannot_break_lines_or_markup() -> None:
    text = "a\n<b>&\x07" + "x" * 2000
    packet = xmp.build_rights(text, "", "y & z", "", "")
    source = encoded(photo(), "jpeg", xmp=packet.replace(b"\x07", b""))
    artist = told(compress(source, COPY).data)[0]
    assert artist is not None
    assert artist.startswith("a <b>&x")
    assert len(artist) == 1000


def test_the_parts_of_a_copyright_are_joined() -> None:
    assert exif.read_rights(exif.build(1, "A", "photographer\0editor")) == {
        "artist": "A",
        "copyright": "photographer; editor",
    }
    assert exif.read_rights(exif.build(1, "Grüße")[:-1])["artist"] == "Grüße"
    latin = exif.build(1, "Gr??e").replace(b"??", b"\xfc\xdf")
    assert exif.read_rights(latin)["artist"] == "Gr\u00fc\u00dfe"


def test_xmp_that_declares_entities_is_not_read() -> None:
    bomb = b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">]>' + PACKET.partition(b"?>")[2]
    assert xmp.read_rights(bomb) == {}
    assert xmp.read_rights(PACKET + b" " * 2_000_000) == {}


def test_many_statements_inside_each_other_take_no_time() -> None:
    depth = 20_000
    nested = (
        b'<x xmlns:dc="http://purl.org/dc/elements/1.1/">'
        + b"<dc:creator>" * depth
        + b"</dc:creator>" * depth
        + b"</x>"
    )
    assert xmp.read_rights(nested) == {"artist": ""}


@settings(deadline=None, max_examples=150)
@given(st.sampled_from([block(artist="Ada", copyright="B"), PACKET, resource((80, b"A"), (116, b"B"))]), st.data())
def test_no_block_breaks_the_readers(genuine: bytes, chance: Any) -> None:
    cut = bytearray(genuine[: chance.draw(st.integers(0, len(genuine)))])
    for _ in range(chance.draw(st.integers(0, 4))):
        if cut:
            cut[chance.draw(st.integers(0, len(cut) - 1))] = chance.draw(st.integers(0, 255))
    for read in (exif.read_rights, xmp.read_rights, iptc.read_rights):
        assert all(isinstance(text, str) for text in read(bytes(cut)).values())
