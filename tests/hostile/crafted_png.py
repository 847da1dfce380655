"""Hostile PNG files, built chunk by chunk (PNG specification, third edition, sections 5 and 11)."""

import struct
import zlib
from collections.abc import Iterator
from functools import partial

from pixels.png_chunks import SIGNATURE, build
from tests.hostile.case import ANY, BROKEN, LARGE, OK, Case
from tests.hostile.crafted_jpeg import tiff
from tests.pixels.pictures import WIDE, encoded, exif, photo

GREY, RGB, PALETTE, GREY_ALPHA, RGBA = 0, 2, 3, 4, 6
CHANNELS = {GREY: 1, RGB: 3, PALETTE: 1, GREY_ALPHA: 2, RGBA: 4}
END = build(b"IEND", b"")


def header(
    width: int, height: int, depth: int = 8, colour: int = GREY, *, interlaced: int = 0, method: int = 0
) -> bytes:
    """The IHDR chunk."""
    return build(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, method, 0, interlaced))


def png(*chunks: bytes) -> bytes:
    """A file of these chunks, with its end."""
    return SIGNATURE + b"".join(chunks) + END


def black(width: int, height: int, depth: int, colour: int, *, interlaced: bool = False) -> bytes:
    """The packed samples of a picture of zeros."""
    if not interlaced:
        passes = [(width, height)]
    else:  # PNG specification, 8.2
        steps = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
        passes = [(-(-(width - x) // dx), -(-(height - y) // dy)) for x, y, dx, dy in steps]
    packer, packed = zlib.compressobj(1), []
    for columns, rows in passes:
        if columns > 0:
            row = bytes(1 + -(-columns * CHANNELS[colour] * depth // 8))
            packed += [packer.compress(row * min(256, rows - at)) for at in range(0, rows, 256)]
    return b"".join((*packed, packer.flush()))


def flat(
    width: int,
    height: int,
    depth: int = 8,
    colour: int = GREY,
    *,
    interlaced: bool = False,
    before: bytes = b"",
    claimed: tuple[int, int] | None = None,
) -> bytes:
    """A black picture. `before` comes ahead of its pixels; `claimed` states another size than they have."""
    palette = build(b"PLTE", bytes(3)) if colour == PALETTE else b""
    head = header(*(claimed or (width, height)), depth, colour, interlaced=int(interlaced))
    return png(head, before, palette, build(b"IDAT", black(width, height, depth, colour, interlaced=interlaced)))


def with_chunks(*chunks: bytes) -> bytes:
    """A photograph with more chunks before its pixels."""
    whole = encoded(photo(), "png")
    return whole[:33] + b"".join(chunks) + whole[33:]


def split(size: int) -> bytes:
    """A photograph whose pixels come in chunks of `size` bytes."""
    whole = encoded(photo(), "png")
    start, body = whole.index(b"IDAT") + 4, int.from_bytes(whole[whole.index(b"IDAT") - 4 :][:4], "big")
    data = whole[start : start + body]
    return png(whole[8:33], *(build(b"IDAT", data[at : at + size]) for at in range(0, len(data), size)))


def bomb(megabytes: int) -> bytes:
    """That many megabytes of spaces, packed."""
    packer = zlib.compressobj(9)
    return b"".join((*(packer.compress(b" " * 2**20) for _ in range(megabytes)), packer.flush()))


def frame_control(
    number: int, width: int, height: int, x: int = 0, y: int = 0, delay: tuple[int, int] = (1, 10)
) -> bytes:
    """The fcTL chunk (PNG specification, 11.3.6.2)."""
    return build(b"fcTL", struct.pack(">IIIIIHHBB", number, width, height, x, y, *delay, 0, 0))


def animated(
    frames: int,
    *,
    claimed: int | None = None,
    numbers: list[int] | None = None,
    offset: int = 0,
    delay: tuple[int, int] = (1, 10),
    side: int = 8,
) -> bytes:
    """An animated PNG of black frames; `numbers` are the sequence numbers, else the right ones."""
    order = iter(numbers or range(2 * frames))
    pixels = black(side, side, 8, GREY)
    parts = [frame_control(next(order), side, side, offset, offset, delay), build(b"IDAT", pixels)]
    for _ in range(frames - 1):
        parts.append(frame_control(next(order), side, side, offset, offset, delay))
        parts.append(build(b"fdAT", next(order).to_bytes(4, "big") + pixels))
    control = build(b"acTL", struct.pack(">II", frames if claimed is None else claimed, 0))
    return png(header(side, side), control, *parts)


def cut(kind: bytes, offset: int) -> bytes:
    """A photograph that ends `offset` bytes after the name of a chunk."""
    whole = encoded(photo(), "png", exif=exif(6), icc_profile=WIDE)
    return whole[: whole.index(kind) + offset]


def cases() -> Iterator[Case]:  # noqa: C901 - a list, some of whose rows are made by loops
    """Every hostile PNG, with what its contract is."""
    most = 2**31 - 1
    for width, height in ((most, most), (most, 1), (1, most), (100_000, 100_000), (7_072, 7_072)):
        yield Case(f"png-claims-{width}-{height}", partial(flat, 8, 8, claimed=(width, height)), LARGE | BROKEN)
    for width, height in ((0, 8), (8, 0), (2**31, 8), (2**32 - 1, 2**32 - 1)):
        yield Case(f"png-claims-{width}-{height}", partial(flat, 8, 8, claimed=(width, height)), BROKEN)
    yield Case("png-claims-much-has-none", partial(flat, 8, 8, claimed=(7_000, 7_000)), BROKEN)
    for depth, colour in (
        (8, GREY),
        (1, GREY),
        (16, GREY),
        (8, RGB),
        (16, RGB),
        (8, RGBA),
        (16, RGBA),
        (1, PALETTE),
        (8, PALETTE),
        (16, GREY_ALPHA),
    ):
        for interlaced in (False, True):
            word = "-interlaced" if interlaced else ""
            yield Case(
                f"png-49-megapixels-{depth}-{colour}{word}",
                partial(flat, 7_000, 7_000, depth, colour, interlaced=interlaced),
                ANY,
            )
    yield Case("png-1-by-a-million", partial(flat, 1, 1_000_000), LARGE)
    yield Case("png-a-million-by-1", partial(flat, 1_000_000, 1), ANY)
    yield Case("png-1-by-49-million", partial(flat, 1, 49_000_000), LARGE)
    yield Case("png-49-million-by-1", partial(flat, 49_000_000, 1), ANY)
    for side in (1, 2, 3, 4, 5):
        yield Case(f"png-interlaced-{side}-by-1", partial(flat, side, 1, interlaced=True), OK)
        yield Case(f"png-interlaced-1-by-{side}", partial(flat, 1, side, 16, RGBA, interlaced=True), OK)
    for depth, colour in ((3, GREY), (16, PALETTE), (1, RGB), (4, RGBA), (0, GREY), (32, GREY), (255, RGB)):
        yield Case(
            f"png-depth-{depth}-{colour}",
            lambda d=depth, c=colour: png(header(8, 8, d, c), build(b"IDAT", black(8, 8, 8, RGBA))),
            BROKEN,
        )
    for colour in (1, 5, 7, 255):
        yield Case(
            f"png-colour-{colour}",
            lambda c=colour: png(header(8, 8, 8, c), build(b"IDAT", black(8, 8, 8, RGBA))),
            BROKEN,
        )
    yield Case("png-interlace-2", lambda: png(header(8, 8, interlaced=2), build(b"IDAT", black(8, 8, 8, GREY))), BROKEN)
    yield Case("png-compression-7", lambda: png(header(8, 8, method=7), build(b"IDAT", black(8, 8, 8, GREY))), BROKEN)
    yield Case(
        "png-palette-out-of-range",
        lambda: png(
            header(8, 8, 8, PALETTE), build(b"PLTE", bytes(6)), build(b"IDAT", zlib.compress((b"\0" + b"\xfe" * 8) * 8))
        ),
        ANY,
    )
    yield Case(
        "png-palette-none", lambda: png(header(8, 8, 8, PALETTE), build(b"IDAT", black(8, 8, 8, PALETTE))), BROKEN
    )
    yield Case(
        "png-palette-empty",
        lambda: png(header(8, 8, 8, PALETTE), build(b"PLTE", b""), build(b"IDAT", black(8, 8, 8, PALETTE))),
        BROKEN,
    )
    yield Case(
        "png-palette-257",
        lambda: png(header(8, 8, 8, PALETTE), build(b"PLTE", bytes(771)), build(b"IDAT", black(8, 8, 8, PALETTE))),
        BROKEN,
    )
    yield Case(
        "png-palette-odd",
        lambda: png(header(8, 8, 8, PALETTE), build(b"PLTE", bytes(7)), build(b"IDAT", black(8, 8, 8, PALETTE))),
        BROKEN,
    )
    yield Case("png-clear-too-long", lambda: flat(8, 8, 8, PALETTE, before=build(b"tRNS", bytes(300))), ANY)
    yield Case(
        "png-filter-9", lambda: png(header(8, 8), build(b"IDAT", zlib.compress((b"\x09" + bytes(8)) * 8))), BROKEN
    )
    yield Case("png-pixels-too-many", lambda: png(header(8, 8), build(b"IDAT", bomb(20))), ANY)
    yield Case("png-pixels-a-bomb", lambda: png(header(8, 8), build(b"IDAT", bomb(2_000))), ANY)
    yield Case("png-pixels-none", lambda: png(header(8, 8)), BROKEN)
    yield Case("png-pixels-empty", lambda: png(header(8, 8), build(b"IDAT", b"")), BROKEN)
    yield Case(
        "png-pixels-stored-badly", lambda: png(header(8, 8), build(b"IDAT", b"\x78\x01\x01\xff\xff\0\0")), BROKEN
    )
    yield Case("png-no-header", lambda: png(build(b"IDAT", black(8, 8, 8, GREY))), BROKEN)
    yield Case(
        "png-two-headers", lambda: png(header(8, 8), header(9_000, 9_000), build(b"IDAT", black(8, 8, 8, GREY))), ANY
    )
    yield Case(
        "png-header-late",
        lambda: png(build(b"tEXt", b"a\0b"), header(8, 8), build(b"IDAT", black(8, 8, 8, GREY))),
        BROKEN,
    )
    yield Case("png-header-short", lambda: png(build(b"IHDR", bytes(5)), build(b"IDAT", black(8, 8, 8, GREY))), BROKEN)
    yield Case("png-chunk-claims-gigabytes", lambda: SIGNATURE + header(8, 8) + b"\x7f\xff\xff\xfftEXtabc", BROKEN)
    yield Case("png-chunk-claims-4-gigabytes", lambda: SIGNATURE + header(8, 8) + b"\xff\xff\xff\xffIDATabc", BROKEN)
    yield Case("png-unknown-critical", lambda: with_chunks(build(b"ABCD", b"x")), BROKEN)
    yield Case("png-chunk-name-zeros", lambda: with_chunks(build(bytes(4), b"x")), BROKEN)
    yield Case("png-99000-unknown-chunks", lambda: with_chunks(build(b"aaAa", b"") * 99_000), ANY)
    yield Case("png-2-million-chunks", lambda: with_chunks(build(b"aaAa", b"") * 2_000_000), BROKEN)
    yield Case("png-99000-texts", lambda: with_chunks(build(b"tEXt", b"k\0v") * 99_000), ANY)
    yield Case(
        "png-99000-packed-texts", lambda: with_chunks(build(b"zTXt", b"k\0\0" + zlib.compress(b"v")) * 99_000), ANY
    )
    yield Case("png-90000-keywords", lambda: with_chunks(*(build(b"tEXt", b"k%d\0v" % n) for n in range(90_000))), ANY)
    yield Case("png-99000-times", lambda: with_chunks(build(b"tIME", bytes(7)) * 99_000), ANY)
    yield Case("png-99000-palettes", lambda: with_chunks(build(b"PLTE", bytes(3)) * 99_000), ANY)
    yield Case(
        "png-99000-suggested-palettes",
        lambda: with_chunks(*(build(b"sPLT", b"p%d\0\x08" % n + bytes(60)) for n in range(99_000))),
        ANY,
    )
    yield Case("png-pixels-of-1-byte", partial(split, 1), OK)
    yield Case(
        "png-99000-empty-pixel-chunks",
        lambda: png(header(8, 8), build(b"IDAT", b"") * 99_000, build(b"IDAT", black(8, 8, 8, GREY))),
        ANY,
    )
    yield Case("png-text-huge", lambda: with_chunks(build(b"tEXt", b"k\0" + bytes(20_000_000))), ANY)
    yield Case(
        "png-international-text-bombs",
        lambda: with_chunks(*[build(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + bomb(50))] * 60),
        ANY,
    )
    yield Case(
        "png-packed-text-bombs",
        lambda: with_chunks(*[build(b"zTXt", b"Raw profile type exif\0\0" + bomb(50))] * 60),
        ANY,
    )
    yield Case(
        "png-raw-profile-lies",
        lambda: with_chunks(build(b"tEXt", b"Raw profile type exif\0\nexif\n99999999999999999999\n4d4d")),
        ANY,
    )
    yield Case(
        "png-raw-profile-no-number",
        lambda: with_chunks(build(b"tEXt", b"Raw profile type exif\0\nexif\n\xff\xfe\n4d4d")),
        ANY,
    )
    yield Case(
        "png-raw-profile-long-number",
        lambda: with_chunks(build(b"tEXt", b"Raw profile type exif\0\nexif\n" + b"9" * 1_000_000 + b"\n4d4d")),
        ANY,
    )
    for size in (1, 50, 500):
        yield Case(f"png-profile-bomb-{size}", lambda s=size: with_chunks(build(b"iCCP", b"p\0\0" + bomb(s))), ANY)
    yield Case("png-profile-bombs", lambda: with_chunks(*[build(b"iCCP", b"p\0\0" + bomb(50))] * 60), ANY)
    yield Case(
        "png-profile-claims-gigabytes",
        lambda: with_chunks(build(b"iCCP", b"p\0\0" + zlib.compress(b"\xff\xff\xff\xf0" + WIDE[4:]))),
        ANY,
    )
    for name, profile in profiles().items():
        yield Case(
            f"png-profile-{name}", lambda p=profile: with_chunks(build(b"iCCP", b"p\0\0" + zlib.compress(p))), ANY
        )
    for name, body in (("zero", bytes(4)), ("one", b"\0\0\0\1"), ("most", b"\xff\xff\xff\xff"), ("short", b"\0")):
        yield Case(f"png-gamma-{name}", lambda b=body: with_chunks(build(b"gAMA", b)), ANY)
        yield Case(f"png-primaries-{name}", lambda b=body: with_chunks(build(b"cHRM", (b * 8)[:32])), ANY)
    yield Case("png-srgb-intent-9", lambda: with_chunks(build(b"sRGB", b"\x09")), ANY)
    yield Case("png-density-nan", lambda: with_chunks(build(b"sCAL", b"\1nan\0-inf")), ANY)
    yield Case("png-density-most", lambda: with_chunks(build(b"pHYs", b"\xff" * 9)), OK)
    yield Case("png-significant-bits-0", lambda: with_chunks(build(b"sBIT", bytes(3))), ANY)
    yield Case("png-exif-many-entries", lambda: with_chunks(build(b"eXIf", tiff(*[(0x10F, 3, 1, 0)] * 60_000))), OK)
    yield Case(
        "png-exif-many-loops",
        lambda: with_chunks(build(b"eXIf", tiff(*[(0x8769, 4, 1, 8), (0x8825, 4, 1, 8)] * 10_000))),
        OK,
    )
    yield Case("png-exif-orientation-9", lambda: with_chunks(build(b"eXIf", tiff((0x112, 3, 1, 9 << 16)))), OK)
    yield Case("png-exif-huge", lambda: with_chunks(build(b"eXIf", exif(6) + bytes(20_000_000))), ANY)
    for name, made in animations():
        yield Case(f"apng-{name}", made, ANY)
    for kind in (b"IHDR", b"IDAT", b"IEND", b"eXIf", b"iCCP"):
        for offset in (-4, 0, 3, 4, 5):
            yield Case(
                f"png-cut-{kind.decode()}{offset:+d}", partial(cut, kind, offset), ANY if kind == b"IEND" else BROKEN
            )
    yield Case("png-checksum-of-header", lambda: (w := encoded(photo(), "png"))[:29] + b"\0\0\0\0" + w[33:], BROKEN)


def animations() -> Iterator[tuple[str, "partial[bytes]"]]:
    yield "10000-frames", partial(animated, 10_000)
    yield "claims-256-has-1", partial(animated, 1, claimed=256)
    yield "claims-2-has-300", partial(animated, 300, claimed=2)
    yield "claims-0", partial(animated, 3, claimed=0)
    yield "claims-most", partial(animated, 3, claimed=2**32 - 1)
    yield "numbers-gap", partial(animated, 3, numbers=[0, 1, 5, 6, 7])
    yield "numbers-twice", partial(animated, 3, numbers=[0, 1, 1, 1, 1])
    yield "out-of-canvas", partial(animated, 3, offset=1_000_000)
    yield "out-of-canvas-most", partial(animated, 3, offset=2**31)
    yield "no-delay", partial(animated, 3, delay=(0, 0))
    yield "large-canvas", partial(animated, 3, side=5_000)


def profiles() -> dict[str, bytes]:
    """Colour profiles that are none."""
    return {
        "empty": b"",
        "zeros": bytes(3_000),
        "cut": WIDE[:140],
        "printer": WIDE[:12] + b"prtr" + WIDE[16:],
        "link": WIDE[:12] + b"link" + WIDE[16:],
        "inks": WIDE[:16] + b"CMYK" + WIDE[20:],
        "grey": WIDE[:16] + b"GRAY" + WIDE[20:],
        "fifteen-colours": WIDE[:16] + b"FCLR" + WIDE[20:],
        "many-tags": WIDE[:128] + b"\xff\xff\xff\xff" + WIDE[132:],
        "outside-tags": WIDE[:136] + b"\xff\xff\xff\xf0" * 20 + WIDE[216:],
        "megabytes": WIDE + bytes(8_000_000),
        "version-9": WIDE[:8] + b"\x09" + WIDE[9:],
    }
