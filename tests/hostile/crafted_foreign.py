"""Files of other formats, of two formats at once, and of none."""

import gzip
import io
import zipfile
from collections.abc import Iterator

from pixels.png_chunks import SIGNATURE, build
from tests.hostile.case import ANY, BROKEN, OK, TYPE, Case
from tests.pixels.pictures import KINDS, encoded, photo

SVG = b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><rect width="9" height="9"/></svg>'
PAGE = b"<!doctype html><script>alert(1)</script>"


def packed() -> bytes:
    """A ZIP archive."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("a.class", "x")
    return out.getvalue()


def others() -> dict[str, bytes]:
    return {
        "gif": encoded(photo(), "GIF"),
        "gif-java": encoded(photo(), "GIF") + packed(),
        "tiff": encoded(photo(), "TIFF"),
        "bmp": encoded(photo(), "BMP"),
        "ico": encoded(photo(64, 64), "ICO"),
        "jpeg-2000": encoded(photo(), "JPEG2000"),
        "ppm": encoded(photo(), "PPM"),
        "svg": SVG,
        "svg-prolog": b'<?xml version="1.0"?>\n<!-- -->' + SVG,
        "svg-utf-16": SVG.decode().encode("utf-16"),
        "svg-mark": b"\xef\xbb\xbf" + SVG,
        "svg-gz": gzip.compress(SVG),
        "svg-entities": b'<!DOCTYPE svg [<!ENTITY a SYSTEM "file:///etc/passwd">]>' + SVG,
        "pdf": b"%PDF-1.7\n1 0 obj<<>>endobj\ntrailer<<>>\n%%EOF",
        "eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage",
        "mp4": b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + bytes(99),
        "heic": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(99),
        "jpeg-xl": b"\xff\x0a" + bytes(99),
        "jpeg-xl-boxes": b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(99),
        "wav": b"RIFF\x64\0\0\0WAVEfmt " + bytes(99),
        "webp-big-endian": b"RIFX\x64\0\0\0WEBPVP8 " + bytes(99),
        "html": PAGE,
        "mvg": b"push graphic-context\nfill 'url(https://example.com/\"|ls\")'\npop graphic-context",
        "vips": b"\x08\xf2\xa6\xb6" + bytes(99),
        "zip": packed(),
        "one-byte": b"\xff",
        "jpeg-two-bytes": b"\xff\xd8",
        "png-seven-bytes": SIGNATURE[:7],
        "riff": b"RIFF\0\0\0\0",
        "zeros": bytes(100_000),
        "mng": b"\x8aMNG\r\n\x1a\n" + bytes(99),
    }


def cases() -> Iterator[Case]:
    """Every file that is none of the four formats alone, with what its contract is."""
    for name, data in others().items():
        yield Case(f"foreign-{name}", lambda d=data: d, TYPE)
    archive = packed()
    for name in KINDS:
        whole = encoded(photo(), name)
        for padding, word in ((b"\0", "zero"), (b"\n", "line"), (b"\xef\xbb\xbf", "mark"), (bytes(512), "zeros")):
            yield Case(f"{name}-behind-{word}", lambda d=padding + whole: d, TYPE)
        yield Case(f"{name}-before-zip", lambda d=whole + archive: d, OK)
        yield Case(f"{name}-before-page", lambda d=whole + PAGE: d, OK)
        yield Case(f"{name}-before-megabytes", lambda d=whole + bytes(1_500_000): d, OK)
        yield Case(f"{name}-twice", lambda d=whole * 2: d, ANY)
    yield Case(
        "foreign-png-page",
        lambda: (w := encoded(photo(), "png"))[:33] + build(b"tEXt", b"Comment\0" + PAGE) + w[33:],
        OK,
    )
    yield Case("magic-jpeg", lambda: b"\xff\xd8\xff", BROKEN)
    yield Case("magic-png", lambda: SIGNATURE, BROKEN)
    yield Case("magic-webp", lambda: b"RIFF\x04\0\0\0WEBP", BROKEN)
    yield Case("magic-avif", lambda: b"\0\0\0\x14ftypavif\0\0\0\0avif", BROKEN)
