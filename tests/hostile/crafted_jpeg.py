"""Hostile JPEG files, built segment by segment (ITU-T T.81, annex B)."""

from collections.abc import Iterator
from functools import partial

from tests.hostile.case import ANY, BROKEN, LARGE, OK, Case
from tests.pixels.pictures import encoded, exif, noise, photo

SOI, EOI = b"\xff\xd8", b"\xff\xd9"
SOF0, SOF1, SOF2, SOF3, SOF9, SOF10, DHT, SOS, DQT, DNL, DRI, APP1, APP2, APP14, COM = (
    *(0xC0, 0xC1, 0xC2, 0xC3, 0xC9, 0xCA, 0xC4, 0xDA, 0xDB, 0xDC, 0xDD),
    *(0xE1, 0xE2, 0xEE, 0xFE),
)
#: One code each, a single zero bit: "no difference" of a DC value, "end of block" of AC values.
SHORT_CODES = bytes((0, 1, *bytes(15), 0)), bytes((0x10, 1, *bytes(15), 0))
#: A zero bit and 14 more: so many blocks end here (T.81, G.1.2.2).
LONG_RUN_CODE = bytes((0x10, 1, *bytes(15), 0xE0))
LONG_RUN_BLOCKS = 32_767


def segment(marker: int, body: bytes = b"") -> bytes:
    """One segment: marker, length, body."""
    return bytes((0xFF, marker)) + (len(body) + 2).to_bytes(2, "big") + body


def frame(marker: int, width: int, height: int, samplings: tuple[int, ...] = (0x11,), precision: int = 8) -> bytes:
    """A frame header; `samplings` holds horizontal and vertical factors of each component in a byte."""
    components = b"".join(bytes((number, sampling, 0)) for number, sampling in enumerate(samplings, 1))
    sides = height.to_bytes(2, "big") + width.to_bytes(2, "big")
    return segment(marker, bytes((precision,)) + sides + bytes((len(samplings),)) + components)


def scan(data: bytes, components: int = 1, spectral: tuple[int, int, int] = (0, 63, 0), first: int = 1) -> bytes:
    """A scan header and its entropy-coded data."""
    chosen = b"".join(bytes((number, 0)) for number in range(first, first + components))
    return segment(SOS, bytes((components,)) + chosen + bytes(spectral)) + data


def tables(precision: int = 8) -> bytes:
    """A flat quantisation table and the shortest Huffman codes there can be."""
    del precision
    return segment(DQT, bytes((0, *(1 for _ in range(64))))) + b"".join(segment(DHT, table) for table in SHORT_CODES)


def flat(
    width: int,
    height: int,
    *,
    marker: int = SOF0,
    samplings: tuple[int, ...] = (0x11,),
    precision: int = 8,
    before: bytes = b"",
    claimed: tuple[int, int] | None = None,
) -> bytes:
    """A grey picture of one level: two bits a block. `claimed` states another size than the data has."""
    blocks = sum((s >> 4) * (s & 15) for s in samplings) * -(-width // 8) * -(-height // 8)
    head = frame(marker, *(claimed or (width, height)), samplings, precision)
    return SOI + before + tables() + head + scan(bytes(blocks // 4 + 1), len(samplings)) + EOI


def progressive(width: int, height: int, scans: int, *, refine: bool, components: int = 1) -> bytes:
    """A flat picture that is refined by nothing, again and again: a scan costs few bytes and a walk over all blocks."""
    blocks = -(-width // 8) * -(-height // 8)
    runs = -(-blocks // LONG_RUN_BLOCKS)
    # A run as long as can be: a zero, and fourteen ones.
    bits = "0" + "1" * 14
    data = int((bits * runs).ljust(-(-15 * runs // 8) * 8, "1"), 2).to_bytes(-(-15 * runs // 8), "big")
    data = data.replace(b"\xff", b"\xff\0")
    passes = [scan(data, 1, (1, 63, 0x10 if refine else 0), first=1 + number % components) for number in range(scans)]
    first = scan(bytes(components * blocks // 8 + 1), components, (0, 0, 1 if refine else 0))
    runs_table = segment(DHT, LONG_RUN_CODE)
    head = SOI + tables() + frame(SOF2, width, height, (0x11,) * components)
    return head + first + runs_table + b"".join(passes) + EOI


def spliced(extra: bytes, **options: object) -> bytes:
    """A photograph with segments put in after its start."""
    whole = encoded(photo(), "jpeg", **options)
    return whole[:2] + extra + whole[2:]


def cut(at_marker: int, number: int) -> bytes:
    """A progressive photograph that ends in the middle of its `number`-th segment of a kind."""
    whole, at = encoded(photo(), "jpeg", progressive=True, quality=90), 0
    for _ in range(number):
        at = whole.index(bytes((0xFF, at_marker)), at + 1)
    return whole[: at + 5]


def icc_parts(count: int, each: int, *, claimed: int | None = None) -> bytes:
    """A colour profile in parts, as APP2 segments carry it."""
    named = claimed or count
    parts = (b"ICC_PROFILE\0" + bytes((n % 256, named % 256)) + bytes(each) for n in range(1, count + 1))
    return b"".join(segment(APP2, part) for part in parts)


def tiff(*entries: tuple[int, int, int, int], next_directory: int = 0) -> bytes:
    """An EXIF block: big-endian TIFF with one directory at 8."""
    rows = b"".join(
        tag.to_bytes(2, "big") + kind.to_bytes(2, "big") + count.to_bytes(4, "big") + value.to_bytes(4, "big")
        for tag, kind, count, value in entries
    )
    directory = len(entries).to_bytes(2, "big") + rows + next_directory.to_bytes(4, "big")
    return b"MM\0*" + (8).to_bytes(4, "big") + directory


def with_exif(block: bytes) -> bytes:
    return spliced(segment(APP1, b"Exif\0\0" + block))


def with_size(width: int, height: int) -> bytes:
    """A photograph whose frame header is made to tell another size."""
    whole = encoded(photo(), "jpeg")
    at = whole.index(b"\xff\xc0") + 5
    return whole[:at] + height.to_bytes(2, "big") + width.to_bytes(2, "big") + whole[at + 4 :]


def cases() -> Iterator[Case]:
    """Every hostile JPEG, with what its contract is."""
    yield Case("jpeg-claims-65500", partial(flat, 8, 8, claimed=(65_500, 65_500)), LARGE)
    yield Case("jpeg-claims-65535", partial(flat, 8, 8, claimed=(65_535, 65_535)), LARGE | BROKEN)
    yield Case("jpeg-claims-just-too-much", partial(flat, 8, 8, claimed=(7_072, 7_072)), LARGE)
    yield Case("jpeg-claims-much-has-none", partial(flat, 8, 8, claimed=(7_000, 7_000)), BROKEN)
    yield Case("jpeg-progressive-claims-much-has-none", partial(progressive, 7_000, 7_000, 0, refine=False), ANY)
    yield Case("jpeg-photo-claims-zero-wide", partial(with_size, 0, 100), BROKEN)
    yield Case("jpeg-height-by-dnl", partial(with_size, 160, 0), BROKEN)
    yield Case(
        "jpeg-dnl-claims-65535", lambda: flat(64, 64, claimed=(64, 0))[:-2] + segment(DNL, b"\xff\xff") + EOI, BROKEN
    )
    yield Case("jpeg-two-frames", lambda: flat(64, 64)[:-2] + flat(64, 64, claimed=(9_000, 9_000))[2:], ANY)
    yield Case("jpeg-second-frame-first", lambda: SOI + frame(SOF0, 9_000, 9_000) + flat(64, 64)[2:], LARGE | BROKEN)
    yield Case(
        "jpeg-frame-between-scans", lambda: flat(64, 64)[:-2] + frame(SOF2, 6_000, 6_000) + scan(bytes(9)) + EOI, ANY
    )
    yield Case("jpeg-1-by-65500", partial(flat, 1, 65_500), OK)
    yield Case("jpeg-65500-by-1", partial(flat, 65_500, 1), OK)
    yield Case("jpeg-flat-49-megapixels", partial(flat, 7_000, 7_000), OK)
    yield Case("jpeg-flat-49-megapixels-three", partial(flat, 7_000, 7_000, samplings=(0x11,) * 3), OK)
    yield Case("jpeg-flat-progressive", partial(progressive, 7_000, 7_000, 1, refine=False), ANY)
    for refine in (False, True):
        word = "refined" if refine else "repeated"
        yield Case(f"jpeg-300-scans-{word}", partial(progressive, 2_000, 2_000, 300, refine=refine), BROKEN)
        yield Case(f"jpeg-3000-scans-{word}", partial(progressive, 7_000, 7_000, 3_000, refine=refine), BROKEN)
        yield Case(f"jpeg-90-scans-{word}", partial(progressive, 7_000, 7_000, 90, refine=refine), ANY)
        yield Case(f"jpeg-30-scans-{word}", partial(progressive, 7_000, 7_000, 30, refine=refine), ANY)
    yield Case("jpeg-90-scans-three", partial(progressive, 4_000, 4_000, 90, refine=True, components=3), ANY)
    yield Case("jpeg-sequential-many-scans", sequential_scans, ANY)
    yield Case("jpeg-sequential-many-empty-scans", partial(sequential_scans, 7_000, 2_000, data=b""), ANY)
    yield Case("jpeg-arithmetic", partial(flat, 64, 64, marker=SOF9), ANY)
    yield Case("jpeg-arithmetic-progressive", partial(flat, 64, 64, marker=SOF10), ANY)
    yield Case("jpeg-arithmetic-49-megapixels", partial(flat, 7_000, 7_000, marker=SOF9), ANY)
    yield Case("jpeg-lossless", partial(flat, 64, 64, marker=SOF3), BROKEN)
    for number in (5, 6, 7, 8, 11, 13, 14, 15):
        yield Case(f"jpeg-sof{number}", partial(flat, 64, 64, marker=0xC0 + number), BROKEN)
    for bits in (0, 1, 2, 7, 9, 12, 16, 255):
        yield Case(f"jpeg-{bits}-bits", partial(flat, 64, 64, marker=SOF1, precision=bits), BROKEN)
    for name, samplings in (
        ("4x4", (0x44, 0x11, 0x11)),
        ("3x1", (0x31, 0x11, 0x11)),
        ("1x4", (0x14, 0x11, 0x11)),
        ("chroma-larger", (0x11, 0x22, 0x22)),
        ("coprime", (0x32, 0x23, 0x11)),
        ("zero", (0x00, 0x11, 0x11)),
        ("five", (0x55, 0x11, 0x11)),
        ("two-components", (0x11, 0x11)),
        ("four-components", (0x11,) * 4),
        ("four-components-subsampled", (0x22, 0x11, 0x11, 0x22)),
        ("five-components", (0x11,) * 5),
        ("ten-components", (0x11,) * 10),
        ("no-components", ()),
    ):
        yield Case(f"jpeg-sampling-{name}", partial(flat, 64, 64, samplings=samplings), ANY)
    for transform in (0, 1, 2, 3, 255):
        adobe = segment(APP14, b"Adobe\0\x64\0\0\0\0" + bytes((transform,)))
        yield Case(f"jpeg-inks-adobe-{transform}", partial(flat, 64, 64, samplings=(0x11,) * 4, before=adobe), OK)
        yield Case(f"jpeg-three-adobe-{transform}", partial(flat, 64, 64, samplings=(0x11,) * 3, before=adobe), OK)
    yield Case("jpeg-inks", lambda: encoded(photo().convert("CMYK"), "jpeg"), OK)
    yield Case("jpeg-restart-every-block", partial(flat, 64, 64, before=segment(DRI, b"\0\1")), ANY)
    yield Case("jpeg-restart-photo", lambda: encoded(photo(), "jpeg", restart_marker_blocks=1), OK)
    yield Case("jpeg-restart-49-megapixels", restarts, ANY)
    yield Case("jpeg-60000-comments", lambda: spliced(segment(COM) * 60_000), ANY)
    yield Case("jpeg-60000-app1", lambda: spliced(segment(APP1, b"Exif\0\0") * 60_000), ANY)
    yield Case("jpeg-60000-xmp", lambda: spliced(segment(APP1, b"http://ns.adobe.com/xap/1.0/\0<x/>") * 30_000), ANY)
    yield Case("jpeg-25-mb-of-comments", lambda: spliced(segment(COM, bytes(65_000)) * 380), ANY)
    yield Case("jpeg-25-mb-of-tables", lambda: spliced(segment(DQT, bytes(65)) * 350_000), ANY)
    yield Case("jpeg-million-empty-segments", lambda: spliced(segment(COM) * 1_000_000), ANY)
    yield Case("jpeg-fill-bytes", lambda: spliced(b"\xff" * 20_000_000), ANY)
    yield Case("jpeg-rubbish-between", lambda: spliced(b"\xff\xe0\0\2" + b"\x55" * 2_000_000), ANY)
    yield Case("jpeg-empty-segment-length-0", lambda: spliced(b"\xff\xe0\0\0"), ANY)
    yield Case("jpeg-icc-255-parts", lambda: spliced(icc_parts(255, 100)), ANY)
    yield Case("jpeg-icc-255-full-parts", lambda: spliced(icc_parts(255, 65_000)), ANY)
    yield Case("jpeg-icc-same-part", lambda: spliced(icc_parts(1, 100, claimed=255) * 255), ANY)
    yield Case("jpeg-icc-part-0", lambda: spliced(icc_parts(256, 10)), ANY)
    yield Case(
        "jpeg-xmp-megabytes",
        lambda: spliced(segment(APP1, b"http://ns.adobe.com/xap/1.0/\0" + b"<a>" * 21_000) * 20),
        ANY,
    )
    for orientation in (0, 9, 255, 65_535):
        yield Case(f"jpeg-orientation-{orientation}", partial(with_exif, tiff((0x112, 3, 1, orientation << 16))), OK)
    yield Case("jpeg-orientation-huge-count", partial(with_exif, tiff((0x112, 3, 0xFFFFFFFF, 8))), OK)
    yield Case("jpeg-exif-loop", partial(with_exif, tiff((0x8769, 4, 1, 8), next_directory=8)), OK)
    yield Case("jpeg-exif-many-loops", partial(with_exif, tiff(*[(0x8769, 4, 1, 8), (0x8825, 4, 1, 8)] * 2_000)), OK)
    yield Case("jpeg-exif-overlap", partial(with_exif, tiff(*[(0x9286, 7, 60_000, 8)] * 3_000)), ANY)
    yield Case("jpeg-exif-outside", partial(with_exif, tiff((0x10F, 2, 0x7FFFFFFF, 0xFFFFFFF0))), OK)
    yield Case("jpeg-exif-empty", partial(with_exif, b""), OK)
    yield Case("jpeg-exif-cut", partial(with_exif, exif(6)[:20]), OK)
    yield Case(
        "jpeg-codes-overfull",
        lambda: flat(64, 64, before=segment(DHT, bytes((0, *(255 for _ in range(16)))) + bytes(4080))),
        BROKEN,
    )
    yield Case("jpeg-codes-cut", lambda: flat(64, 64, before=segment(DHT, bytes((0, 9)))), BROKEN)
    yield Case("jpeg-table-17", lambda: flat(64, 64, before=segment(DHT, bytes((0x1F, 1, *bytes(15), 0)))), BROKEN)
    yield Case("jpeg-steps-zero", lambda: flat(64, 64, before=segment(DQT, bytes(65))), ANY)
    yield Case("jpeg-no-tables", lambda: SOI + frame(SOF0, 64, 64) + scan(bytes(99)) + EOI, BROKEN)
    yield Case("jpeg-no-scan", lambda: SOI + tables() + frame(SOF0, 64, 64) + EOI, BROKEN)
    yield Case("jpeg-no-frame", lambda: SOI + tables() + scan(bytes(99)) + EOI, BROKEN)
    yield Case(
        "jpeg-scan-of-unknown-component",
        lambda: SOI + tables() + frame(SOF0, 64, 64) + scan(bytes(99), first=7) + EOI,
        BROKEN,
    )
    yield Case("jpeg-noise-entropy", lambda: flat(64, 64)[:-40] + noise(16, 16).tobytes() + EOI, ANY)
    for marker, word in ((0xC2, "frame"), (0xC4, "codes"), (0xDB, "steps"), (0xDA, "scan")):
        for number in (1, 2):
            if (marker, number) != (0xC2, 2):
                yield Case(f"jpeg-cut-in-{word}-{number}", partial(cut, marker, number), BROKEN)


def sequential_scans(side: int = 2_000, scans: int = 2_000, data: bytes | None = None) -> bytes:
    """Three components that come one by one, the first of them again and again."""
    body = bytes(side * side // 64 // 4 + 1) if data is None else data
    head = SOI + tables() + frame(SOF0, side, side, (0x11,) * 3)
    return head + scan(body, 1) * min(scans, 24_000_000 // (len(body) + 10)) + EOI


def restarts() -> bytes:
    """A restart marker behind each of 765,625 blocks."""
    head = SOI + segment(DRI, b"\0\1") + tables() + frame(SOF0, 7_000, 7_000)
    cycle = b"".join(b"\x3f\xff" + bytes((0xD0 + number,)) for number in range(8))
    return head + scan(cycle * (875 * 875 // 8)) + b"\x3f" + EOI
