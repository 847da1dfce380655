"""Hostile AVIF and HEIF files, built box by box (ISO/IEC 14496-12 and 23008-12; AVIF 1.1)."""

import struct
from collections.abc import Iterator
from functools import cache, partial
from typing import NamedTuple

from pixels.strip.iso_boxes import build_box, build_full_box
from pixels.vips import pyvips
from tests.hostile.case import ANY, BROKEN, LARGE, OK, TYPE, Case
from tests.hostile.crafted_jpeg import tiff
from tests.pixels.pictures import encoded, noise, photo


class Item(NamedTuple):
    """One item: its type, its bytes, the numbers (from 1) of its properties; `inside` keeps the bytes in `idat`."""

    kind: bytes
    data: bytes
    properties: tuple[int, ...] = ()
    inside: bool = False
    #: Where its bytes are said to be, each an offset and a length, instead of where they are.
    places: tuple[tuple[int, int], ...] | None = None


class Link(NamedTuple):
    """A reference from one item to others; items are numbered from 1."""

    kind: bytes
    source: int
    targets: tuple[int, ...]


@cache
def coded(side: int = 64) -> tuple[bytes, bytes]:
    """The AV1 configuration box of a square photograph, and its bitstream."""
    whole = encoded(photo(side, side), "avif")
    at = whole.index(b"av1C") - 4
    configuration = whole[at : at + int.from_bytes(whole[at : at + 4], "big")]
    return configuration, whole[whole.index(b"mdat") + 4 :]


def extent(width: int, height: int) -> bytes:
    return build_full_box(b"ispe", 0, 0, struct.pack(">II", width, height))


def heif(
    items: list[Item],
    properties: list[bytes],
    links: tuple[Link, ...] = (),
    *,
    primary: int = 1,
    brands: bytes = b"avifmif1miaf",
    after: bytes = b"",
) -> bytes:
    """A file of these items."""
    head = build_box(b"ftyp", brands[:4], bytes(4), brands)
    inside = b"".join(item.data for item in items if item.inside)

    def meta(first: int) -> bytes:
        rows, outside_at, inside_at = [], first, 0
        for number, item in enumerate(items, 1):
            at = inside_at if item.inside else outside_at
            places = item.places or ((at, len(item.data)),)
            rows.append(struct.pack(">IHHH", number, int(item.inside), 0, len(places)))
            rows += [struct.pack(">QQ", *place) for place in places]
            inside_at, outside_at = (
                inside_at + len(item.data) * item.inside,
                outside_at + len(item.data) * (not item.inside),
            )
        entries = [
            build_full_box(b"infe", 3, 0, struct.pack(">IH", number, 0), item.kind, b"\0")
            for number, item in enumerate(items, 1)
        ]
        used = [
            struct.pack(">IB", number, len(item.properties)) + bytes(item.properties)
            for number, item in enumerate(items, 1)
        ]
        references = [
            build_box(link.kind, struct.pack(f">IH{len(link.targets)}I", link.source, len(link.targets), *link.targets))
            for link in links
        ]
        return build_full_box(
            b"meta",
            0,
            0,
            build_full_box(b"hdlr", 0, 0, bytes(4), b"pict", bytes(13)),
            build_full_box(b"pitm", 1, 0, primary.to_bytes(4, "big")),
            build_full_box(b"iloc", 2, 0, b"\x88\0", len(items).to_bytes(4, "big"), *rows),
            build_full_box(b"iinf", 1, 0, len(items).to_bytes(4, "big"), *entries),
            build_full_box(b"iref", 1, 0, *references) if references else b"",
            build_box(
                b"iprp",
                build_box(b"ipco", *properties),
                build_full_box(b"ipma", 1, 0, len(items).to_bytes(4, "big"), *used),
            ),
            build_box(b"idat", inside) if inside else b"",
        )

    first = len(head) + len(meta(0)) + 8
    payload = b"".join(item.data for item in items if not item.inside)
    return head + meta(first) + build_box(b"mdat", payload) + after


def still(width: int = 64, height: int = 64, *, stream: bytes | None = None, more: tuple[bytes, ...] = ()) -> bytes:
    """One AV1 picture of 64 x 64 that says it is `width` x `height`; `more` are further properties of it."""
    configuration, data = coded()
    properties = [extent(width, height), configuration, *more]
    return heif([Item(b"av01", data if stream is None else stream, tuple(range(1, len(properties) + 1)))], properties)


def grid(
    rows: int,
    columns: int,
    width: int,
    height: int,
    *,
    cells: int | None = None,
    distinct: bool = False,
    side: int = 64,
) -> bytes:
    """A grid of `cells` (default: as many as it needs) that are one and the same item, or items that share bytes."""
    configuration, data = coded(side)
    count = min(rows * columns if cells is None else cells, 65_535)
    layout = struct.pack(">BBBBII", 0, 1, rows - 1, columns - 1, width, height)
    items = [Item(b"grid", layout, (3,), inside=True)]
    if distinct:
        items += [Item(b"av01", data, (1, 2))] * count
        targets = tuple(range(2, count + 2))
    else:
        items.append(Item(b"av01", data, (1, 2)))
        targets = (2,) * count
    return heif(items, [extent(side, side), configuration, extent(width, height)], (Link(b"dimg", 1, targets),))


def overlay(count: int, width: int, height: int, *, side: int = 64) -> bytes:
    """One picture laid over itself `count` times."""
    configuration, data = coded(side)
    layout = struct.pack(">BB4HII", 0, 1, 0, 0, 0, 0, width, height) + bytes(8) * count
    items = [Item(b"iovl", layout, (3,), inside=True), Item(b"av01", data, (1, 2))]
    properties = [extent(side, side), configuration, extent(width, height)]
    return heif(items, properties, (Link(b"dimg", 1, (2,) * count),))


def tower(levels: int, width: int) -> bytes:
    """Grids of 2 x 1 whose both cells are the next grid: decoding doubles with every level."""
    configuration, data = coded()
    items, links = [], []
    for level in range(1, levels + 1):
        items.append(Item(b"grid", struct.pack(">BBBBII", 0, 1, 0, 1, width, 64), (1,), inside=True))
        links.append(Link(b"dimg", level, (level + 1, level + 1)))
    items.append(Item(b"av01", data, (2, 3)))
    return heif(items, [extent(width, 64), extent(64, 64), configuration], tuple(links))


def overlay_tower(levels: int) -> bytes:
    """Overlays that each lay the next one over itself ten times."""
    configuration, data = coded()
    layout = struct.pack(">BB4HII", 0, 1, 0, 0, 0, 0, 64, 64) + bytes(8) * 10
    items = [Item(b"iovl", layout, (1,), inside=True) for _ in range(levels)]
    links = tuple(Link(b"dimg", level, (level + 1,) * 10) for level in range(1, levels + 1))
    return heif([*items, Item(b"av01", data, (1, 2))], [extent(64, 64), configuration], links)


def identity_loop() -> bytes:
    """Two derived pictures that are each made of the other."""
    items = [Item(b"iden", b"", (1,), inside=True), Item(b"iden", b"", (1,), inside=True)]
    return heif(items, [extent(64, 64)], (Link(b"dimg", 1, (2,)), Link(b"dimg", 2, (1,))))


def with_items(kind: bytes, data: bytes, *, count: int = 1, link: bytes = b"cdsc") -> bytes:
    """The picture and other items that describe it."""
    configuration, stream = coded()
    items = [Item(b"av01", stream, (1, 2)), *[Item(kind, data)] * count]
    links = tuple(Link(link, number, (1,)) for number in range(2, count + 2))
    return heif(items, [extent(64, 64), configuration], links)


def with_place(*places: tuple[int, int]) -> bytes:
    """The picture, whose bytes are said to be elsewhere."""
    configuration, stream = coded()
    return heif([Item(b"av01", stream, (1, 2), places=places)], [extent(64, 64), configuration])


def with_alpha(width: int, height: int) -> bytes:
    """The picture and an alpha plane of another size."""
    configuration, stream = coded()
    kind = build_full_box(b"auxC", 0, 0, b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha\0")
    items = [Item(b"av01", stream, (1, 2)), Item(b"av01", stream, (3, 2, 4))]
    return heif(items, [extent(64, 64), configuration, extent(width, height), kind], (Link(b"auxl", 2, (1,)),))


def looping_exif(entries: int = 100) -> bytes:
    return bytes(4) + tiff(*[(0x8769, 4, 1, 8), (0x8825, 4, 1, 8)] * (entries // 2))


def sequence(brands: bytes) -> bytes:
    """A file that says it is a sequence."""
    configuration, stream = coded()
    return heif([Item(b"av01", stream, (1, 2))], [extent(64, 64), configuration], brands=brands)


def cases() -> Iterator[Case]:
    """Every hostile AVIF and HEIF, with what its contract is."""
    yield Case("avif-plain", still, OK)
    for width, height in ((65_535, 65_535), (2**31, 2**31), (2**32 - 1, 2**32 - 1), (7_072, 7_072)):
        yield Case(f"avif-says-{width}", partial(still, width, height), LARGE | BROKEN)
    for width, height in ((0, 0), (1, 1), (7_000, 7_000), (63, 65), (2**32 - 1, 1)):
        yield Case(f"avif-says-{width}-{height}", partial(still, width, height), ANY)
    for side in (1, 16, 1_000, 16_000):
        yield Case(f"avif-frame-of-{side}-says-64", partial(resized_stream, side), ANY)
    yield Case("avif-flat-49-megapixels", partial(encoded_flat, 7_000, 7_000), ANY)
    yield Case("avif-1000-frames", lambda: still(stream=coded()[1] * 1_000), ANY)
    yield Case("avif-100000-delimiters", lambda: still(stream=b"\x12\0" * 100_000 + coded()[1]), ANY)
    yield Case("avif-many-large-frames", lambda: many_frames(200), ANY)
    yield Case(
        "avif-padding-of-megabytes", lambda: still(stream=coded()[1] + b"\x7a\x80\x80\x80\x01" + bytes(2**21)), ANY
    )
    yield Case("avif-no-bitstream", partial(still, stream=b""), BROKEN)
    yield Case("avif-noise-for-bitstream", lambda: still(stream=noise(64, 64).tobytes()), BROKEN)
    yield Case("avif-grid-2-by-2", partial(grid, 2, 2, 128, 128), ANY)
    yield Case("avif-grid-256-by-256", partial(grid, 256, 256, 64 * 256, 64 * 256), LARGE | BROKEN)
    yield Case("avif-grid-105-by-105", partial(grid, 105, 105, 64 * 105, 64 * 105), ANY)
    yield Case("avif-grid-105-by-105-distinct", partial(grid, 105, 105, 64 * 105, 64 * 105, distinct=True), ANY)
    yield Case("avif-grid-256-by-256-small", partial(grid, 256, 256, 64, 64), ANY)
    yield Case("avif-grid-256-by-256-of-7000", partial(grid, 256, 256, 7_000, 7_000, side=512), ANY)
    yield Case("avif-grid-too-few-cells", partial(grid, 20, 20, 1_280, 1_280, cells=3), BROKEN)
    yield Case("avif-grid-too-many-cells", partial(grid, 2, 2, 128, 128, cells=60_000), ANY)
    yield Case("avif-grid-claims-gigapixels", partial(grid, 2, 2, 2**32 - 1, 2**32 - 1), LARGE | BROKEN)
    yield Case("avif-grid-0", partial(grid, 2, 2, 0, 0), BROKEN)
    yield Case("avif-overlay-3", partial(overlay, 3, 64, 64), ANY)
    yield Case("avif-overlay-60000", partial(overlay, 60_000, 64, 64), ANY)
    yield Case("avif-overlay-5000-large", partial(overlay, 5_000, 7_000, 7_000, side=512), ANY)
    yield Case("avif-tower-of-grids", partial(tower, 24, 128), ANY)
    yield Case("avif-tower-of-overlays", partial(overlay_tower, 8), ANY)
    yield Case("avif-made-of-each-other", identity_loop, BROKEN)
    yield Case(
        "avif-made-of-itself",
        lambda: heif(
            [Item(b"grid", struct.pack(">BBBBII", 0, 1, 0, 0, 64, 64), (1,), inside=True)],
            [extent(64, 64)],
            (Link(b"dimg", 1, (1,)),),
        ),
        BROKEN,
    )
    yield Case(
        "avif-thumbnail-of-itself",
        lambda: heif([Item(b"av01", coded()[1], (1, 2))], [extent(64, 64), coded()[0]], (Link(b"thmb", 1, (1,)),)),
        ANY,
    )
    yield Case(
        "avif-alpha-of-itself",
        lambda: heif([Item(b"av01", coded()[1], (1, 2))], [extent(64, 64), coded()[0]], (Link(b"auxl", 1, (1,)),)),
        ANY,
    )
    yield Case(
        "avif-primary-missing",
        lambda: heif([Item(b"av01", coded()[1], (1, 2))], [extent(64, 64), coded()[0]], primary=99),
        BROKEN,
    )
    yield Case(
        "avif-property-missing",
        lambda: heif([Item(b"av01", coded()[1], (1, 2, 99))], [extent(64, 64), coded()[0]]),
        ANY,
    )
    yield Case("avif-no-properties", lambda: heif([Item(b"av01", coded()[1])], [extent(64, 64)]), BROKEN)
    yield Case("avif-alpha-larger", partial(with_alpha, 7_000, 7_000), ANY)
    yield Case("avif-alpha-smaller", partial(with_alpha, 1, 1), ANY)
    yield Case("avif-bytes-outside", partial(with_place, (2**40, 99)), BROKEN)
    yield Case("avif-bytes-most", partial(with_place, (2**64 - 1, 2**64 - 1)), BROKEN)
    yield Case("avif-bytes-gigabytes", partial(with_place, (0, 2**32)), BROKEN)
    yield Case("avif-bytes-in-65000-parts", partial(with_place, *[(0, 0)] * 65_000), BROKEN)
    yield Case("avif-bytes-repeated", partial(with_place, *[(0, 400)] * 65_000), BROKEN)
    yield Case("avif-exif-loops", lambda: with_items(b"Exif", looping_exif()), OK)
    yield Case("avif-exif-loops-split", exif_in_parts, ANY)
    yield Case("avif-exif-two", lambda: with_items(b"Exif", looping_exif(20), count=2), OK)
    yield Case("avif-exif-offset-outside", lambda: with_items(b"Exif", b"\xff\xff\xff\xf0" + tiff()), ANY)
    yield Case("avif-exif-empty", lambda: with_items(b"Exif", b""), ANY)
    yield Case("avif-xmp-megabytes", lambda: with_items(b"mime", b"<a>" * 7_000_000), ANY)
    yield Case("avif-1000-items", lambda: with_items(b"mime", b"x", count=1_000), ANY)
    yield Case("avif-60000-items", lambda: with_items(b"mime", b"x", count=60_000), ANY)
    yield Case("avif-200-thumbnails", lambda: with_items(b"av01", coded()[1], count=200, link=b"thmb"), ANY)
    yield Case("avif-100000-properties", many_properties, ANY)
    yield Case("avif-turned-200-times", lambda: still(more=(build_box(b"irot", b"\1"),) * 200), ANY)
    yield Case("avif-mirrored-9", lambda: still(more=(build_box(b"imir", b"\x09"),)), ANY)
    yield Case(
        "avif-clipped-outside",
        lambda: still(more=(build_box(b"clap", struct.pack(">8I", 2**31, 1, 2**31, 1, 0, 0, 0, 0)),)),
        ANY,
    )
    yield Case("avif-clipped-by-0", lambda: still(more=(build_box(b"clap", bytes(32)),)), ANY)
    yield Case("avif-pixel-aspect-0", lambda: still(more=(build_box(b"pasp", bytes(8)),)), ANY)
    yield Case("avif-profile-megabytes", lambda: still(more=(build_box(b"colr", b"prof", bytes(20_000_000)),)), ANY)
    yield Case("avif-profile-empty", lambda: still(more=(build_box(b"colr", b"prof"),)), ANY)
    yield Case("avif-colours-reserved", lambda: still(more=(build_box(b"colr", b"nclx", b"\xff" * 7),)), ANY)
    yield Case("avif-deep-boxes", deep_boxes, ANY)
    yield Case("avif-no-meta", lambda: build_box(b"ftyp", b"avif", bytes(4), b"avifmif1"), BROKEN)
    yield Case(
        "avif-meta-empty",
        lambda: build_box(b"ftyp", b"avif", bytes(4), b"avifmif1") + build_full_box(b"meta", 0, 0),
        BROKEN,
    )
    yield Case("avif-two-metas", lambda: still() + still(7_000, 7_000)[32:], ANY)
    yield Case(
        "avif-several-pictures", lambda: heif([Item(b"av01", coded()[1], (1, 2))] * 3, [extent(64, 64), coded()[0]]), OK
    )
    yield Case("avif-hidden-video", lambda: still() + build_box(b"moov", bytes(500)), ANY)
    yield Case("avis", partial(sequence, b"avisavifmif1msf1"), TYPE)
    yield Case("avis-second", partial(sequence, b"avifavismif1msf1"), TYPE)
    yield Case("heic", partial(sequence, b"heicmif1heic"), TYPE)
    yield Case("heif-mif1-alone", partial(sequence, b"mif1mif1"), TYPE)
    yield Case(
        "heif-jpeg-inside", lambda: heif([Item(b"jpeg", encoded(photo(64, 64), "jpeg"), (1,))], [extent(64, 64)]), ANY
    )
    yield Case("heif-hevc-inside", lambda: heif([Item(b"hvc1", bytes(99), (1,))], [extent(64, 64)]), BROKEN)
    yield Case(
        "heif-uncompressed-inside", lambda: heif([Item(b"unci", bytes(64 * 64 * 3), (1,))], [extent(64, 64)]), BROKEN
    )
    whole = encoded(photo(), "avif")
    for share in range(0, 100, 9):
        yield Case(f"avif-cut-{share}", lambda w=whole, s=share: w[: max(32, len(w) * s // 100)], BROKEN)
    for kind in (b"meta", b"hdlr", b"pitm", b"iloc", b"iinf", b"iprp", b"ipma", b"av1C", b"mdat"):
        yield Case(f"avif-cut-{kind.decode()}", lambda w=whole, k=kind: w[: w.index(k) + 6], BROKEN)


def many_properties() -> bytes:
    """Properties that nothing uses."""
    configuration, stream = coded()
    return heif([Item(b"av01", stream, (1, 2))], [extent(64, 64), configuration, *[build_box(b"abcd")] * 100_000])


def exif_in_parts() -> bytes:
    """EXIF in pieces of a byte, so that nothing in the file looks like it."""
    configuration, stream = coded()
    block = looping_exif()
    items = [Item(b"av01", stream, (1, 2)), Item(b"Exif", block, places=((0, 1),) * len(block))]
    links = (Link(b"cdsc", 2, (1,)),)
    properties = [extent(64, 64), configuration]
    first = heif(items, properties, links).index(block)
    items[1] = items[1]._replace(places=tuple((first + at, 1) for at in range(len(block))))
    return heif(items, properties, links)


def deep_boxes() -> bytes:
    """Boxes in boxes, ten thousand deep."""
    body = b""
    for _ in range(10_000):
        body = build_box(b"iprp", body)
    return build_box(b"ftyp", b"avif", bytes(4), b"avifmif1") + build_full_box(b"meta", 0, 0, body)


def resized_stream(side: int) -> bytes:
    """A bitstream whose sequence header tells another size than the file does."""
    return still(stream=with_sequence_size(coded()[1], side, side))


def many_frames(count: int) -> bytes:
    """One picture's frame again and again, each of which a decoder may decode."""
    configuration, stream = coded(1_024)
    return heif([Item(b"av01", stream * count, (1, 2))], [extent(1_024, 1_024), configuration])


@cache
def encoded_flat(width: int, height: int) -> bytes:
    """A large picture of one colour in a small file."""
    flat = pyvips.Image.black(width, height, bands=3).copy(interpretation="srgb")
    return bytes(flat.heifsave_buffer(compression="av1", effort=0, Q=10))


def with_sequence_size(stream: bytes, width: int, height: int) -> bytes:
    """Write a bitstream's sequence header anew, with another frame size (AV1 specification, 5.5)."""
    at = 0
    while (stream[at] >> 3) & 15 != 1:  # obu_type of a sequence header
        at += 2 + stream[at + 1]
    size = stream[at + 1]
    bits = "".join(f"{byte:08b}" for byte in stream[at + 2 : at + 2 + size])
    start = next_size_field(bits)
    wide, high = int(bits[start : start + 4], 2) + 1, int(bits[start + 4 : start + 8], 2) + 1
    new = bits[:start] + "1111" * 2 + f"{width - 1:016b}{height - 1:016b}" + bits[start + 8 + wide + high :]
    new = new.rstrip("0").ljust(-(-len(new.rstrip("0")) // 8) * 8, "0")
    body = bytes(int(new[place : place + 8], 2) for place in range(0, len(new), 8))
    return stream[:at] + bytes((stream[at], len(body))) + body + stream[at + 2 + size :]


def next_size_field(bits: str) -> int:
    """Where `frame_width_bits_minus_1` is."""
    reduced = bits[4] == "1"
    # Profile, still, reduced, level; else no timing, no delays, one operating point: idc and level.
    return 10 if reduced else 3 + 1 + 1 + 1 + 1 + 5 + 12 + 5 + (1 if int(bits[24:29], 2) > 7 else 0)
