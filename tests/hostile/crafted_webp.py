"""Hostile WebP files, built chunk by chunk (RFC 9649, section 2)."""

from collections.abc import Iterator
from functools import partial

from tests.hostile.case import ANY, BROKEN, LARGE, OK, Case
from tests.hostile.crafted_jpeg import tiff
from tests.pixels.pictures import encoded, photo

ANIMATED, XMP_FLAG, EXIF_FLAG, ALPHA, PROFILE = 0x02, 0x04, 0x08, 0x10, 0x20


def chunk(kind: bytes, body: bytes) -> bytes:
    return kind + len(body).to_bytes(4, "little") + body + bytes(len(body) % 2)


def riff(*chunks: bytes, claimed: int | None = None) -> bytes:
    """A file of these chunks; `claimed` is the length that it states instead of its own."""
    body = b"".join(chunks)
    return b"RIFF" + (len(body) + 4 if claimed is None else claimed).to_bytes(4, "little") + b"WEBP" + body


def canvas(width: int, height: int, flags: int = 0) -> bytes:
    sides = ((side - 1) % 2**24 for side in (width, height))
    return chunk(b"VP8X", bytes((flags, 0, 0, 0)) + b"".join(side.to_bytes(3, "little") for side in sides))


def lossless(width: int, height: int) -> bytes:
    """A VP8L picture of one colour: five codes of a single symbol each, so no pixel takes a bit."""
    sides = (width - 1) | (height - 1) << 14
    # No transform, no cache, one group of codes; each code is simple, has one symbol, and that is 0.
    bits = "0" + "0" + "0" + "1000" * 5
    number = int(bits[::-1], 2)
    return chunk(b"VP8L", b"\x2f" + (sides & 0xFFFFFFFF).to_bytes(4, "little") + number.to_bytes(8, "little"))


def lossy(width: int, height: int) -> bytes:
    """A photograph's VP8 frame that claims a size."""
    still = encoded(photo(64, 64), "webp")
    at = still.index(b"VP8 ")
    body = bytearray(still[at + 8 : at + 8 + int.from_bytes(still[at + 4 : at + 8], "little")])
    body[6:10] = width.to_bytes(2, "little") + height.to_bytes(2, "little")
    return chunk(b"VP8 ", bytes(body))


def frame(image: bytes, width: int, height: int, x: int = 0, y: int = 0, delay_ms: int = 50) -> bytes:
    numbers = (x // 2, y // 2, (width - 1) % 2**24, (height - 1) % 2**24, delay_ms)
    return chunk(b"ANMF", b"".join(number.to_bytes(3, "little") for number in numbers) + b"\0" + image)


def animated(
    frames: int, side: int = 8, *, image: int | None = None, x: int = 0, loop: int = 0, delay_ms: int = 50
) -> bytes:
    """An animation of one-coloured frames; `image` is the side of the picture inside the frame."""
    one = frame(lossless(image or side, image or side), side, side, x, 0, delay_ms)
    control = chunk(b"ANIM", bytes(4) + loop.to_bytes(2, "little"))
    return riff(canvas(side, side, ANIMATED), control, one * frames)


def with_exif(block: bytes) -> bytes:
    return riff(canvas(64, 64, EXIF_FLAG), lossless(64, 64), chunk(b"EXIF", block))


def cases() -> Iterator[Case]:
    """Every hostile WebP, with what its contract is."""
    yield Case("webp-lossless-claims-16384", lambda: riff(lossless(16_384, 16_384)), LARGE | BROKEN)
    yield Case("webp-lossless-49-megapixels", lambda: riff(lossless(7_000, 7_000)), OK)
    yield Case("webp-lossy-claims-16383", lambda: riff(lossy(16_383, 16_383)), LARGE)
    yield Case("webp-lossy-claims-49-megapixels", lambda: riff(lossy(7_000, 7_000)), BROKEN)
    yield Case("webp-lossy-0", lambda: riff(lossy(0, 0)), BROKEN)
    yield Case("webp-canvas-larger", lambda: riff(canvas(6_000, 6_000), lossless(8, 8)), ANY)
    yield Case("webp-canvas-smaller", lambda: riff(canvas(8, 8), lossless(7_000, 7_000)), ANY)
    yield Case("webp-canvas-most", lambda: riff(canvas(2**24, 2**24), lossless(8, 8)), LARGE | BROKEN)
    yield Case("webp-canvas-alone", lambda: riff(canvas(8, 8)), BROKEN)
    yield Case("webp-1-by-16383", lambda: riff(lossless(1, 16_383)), OK)
    yield Case("webp-16383-by-1", lambda: riff(lossless(16_383, 1)), OK)
    yield Case("webp-100000-frames", partial(animated, 100_000), LARGE)
    yield Case("webp-257-frames", partial(animated, 257), LARGE)
    yield Case("webp-256-frames", partial(animated, 256), OK)
    yield Case("webp-256-frames-of-440", partial(animated, 256, 440), ANY)
    yield Case("webp-2-frames-of-5000", partial(animated, 2, 5_000), ANY)
    yield Case("webp-50-frames-of-1000", partial(animated, 50, 999), ANY)
    yield Case("webp-3-frames-too-large", partial(animated, 3, 8, image=7_000), BROKEN)
    yield Case("webp-frame-out-of-canvas", partial(animated, 3, 8, x=1_000), BROKEN)
    yield Case("webp-no-delay", partial(animated, 3, delay_ms=0), OK)
    yield Case("webp-most-delay", partial(animated, 3, delay_ms=2**24 - 1), OK)
    yield Case("webp-most-loops", partial(animated, 3, loop=65_535), OK)
    yield Case("webp-0-frames", partial(animated, 0), BROKEN)
    yield Case("webp-frames-but-no-flag", lambda: riff(canvas(8, 8), frame(lossless(8, 8), 8, 8) * 3), ANY)
    yield Case("webp-flag-but-no-frames", lambda: riff(canvas(8, 8, ANIMATED), lossless(8, 8)), ANY)
    yield Case("webp-no-control", lambda: riff(canvas(8, 8, ANIMATED), frame(lossless(8, 8), 8, 8) * 3), ANY)
    yield Case(
        "webp-frame-empty", lambda: riff(canvas(8, 8, ANIMATED), chunk(b"ANIM", bytes(6)), chunk(b"ANMF", b"")), BROKEN
    )
    yield Case(
        "webp-frame-in-frame",
        lambda: riff(canvas(8, 8, ANIMATED), chunk(b"ANIM", bytes(6)), frame(frame(lossless(8, 8), 8, 8), 8, 8)),
        ANY,
    )
    yield Case("webp-alpha-alone", lambda: riff(canvas(8, 8, ALPHA), chunk(b"ALPH", bytes(9))), BROKEN)
    yield Case(
        "webp-alpha-broken", lambda: riff(canvas(64, 64, ALPHA), chunk(b"ALPH", b"\1" + bytes(9)), lossy(64, 64)), ANY
    )
    yield Case("webp-two-pictures", lambda: riff(canvas(8, 8), lossless(8, 8), lossless(7_000, 7_000)), ANY)
    yield Case(
        "webp-a-million-chunks", lambda: riff(canvas(8, 8), lossless(8, 8), chunk(b"zzzz", b"") * 1_000_000), ANY
    )
    yield Case(
        "webp-a-million-chunks-before", lambda: riff(canvas(8, 8), chunk(b"zzzz", b"") * 1_000_000, lossless(8, 8)), ANY
    )
    yield Case("webp-exif-many-loops", lambda: with_exif(tiff(*[(0x8769, 4, 1, 8), (0x8825, 4, 1, 8)] * 10_000)), OK)
    yield Case(
        "webp-exif-prefixed-loops",
        lambda: with_exif(b"Exif\0\0" + tiff(*[(0x8769, 4, 1, 8), (0x8825, 4, 1, 8)] * 100)),
        OK,
    )
    yield Case(
        "webp-exif-second-loops",
        lambda: riff(
            canvas(64, 64, EXIF_FLAG),
            lossless(64, 64),
            chunk(b"EXIF", tiff()),
            chunk(b"EXIF", tiff(*[(0x8769, 4, 1, 8), (0x8825, 4, 1, 8)] * 100)),
        ),
        OK,
    )
    yield Case("webp-exif-nothing", lambda: with_exif(b""), ANY)
    yield Case(
        "webp-flags-of-nothing", lambda: riff(canvas(64, 64, EXIF_FLAG | XMP_FLAG | PROFILE), lossless(64, 64)), ANY
    )
    yield Case(
        "webp-profile-megabytes",
        lambda: riff(canvas(64, 64, PROFILE), chunk(b"ICCP", bytes(20_000_000)), lossless(64, 64)),
        ANY,
    )
    yield Case(
        "webp-xmp-megabytes",
        lambda: riff(canvas(64, 64, XMP_FLAG), lossless(64, 64), chunk(b"XMP ", b"<a>" * 7_000_000)),
        ANY,
    )
    yield Case("webp-claims-4-gigabytes", lambda: riff(lossless(8, 8), claimed=2**32 - 2), BROKEN)
    yield Case("webp-claims-nothing", lambda: riff(lossless(8, 8), claimed=0), ANY)
    yield Case("webp-chunk-claims-4-gigabytes", lambda: riff(b"VP8L\xff\xff\xff\xff\x2f"), BROKEN)
    yield Case("webp-unknown-first", lambda: riff(chunk(b"zzzz", b""), lossless(8, 8)), ANY)
    whole = encoded(photo(), "webp", exif=tiff((0x112, 3, 1, 6 << 16)))
    for share in range(0, 100, 9):
        yield Case(f"webp-cut-{share}", lambda w=whole, s=share: w[: max(12, len(w) * s // 100)], BROKEN)
    for at in (12, 16, 20, 30, 38, 42):
        yield Case(f"webp-cut-at-{at}", lambda w=whole, a=at: w[:a], BROKEN)
