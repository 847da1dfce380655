"""Reads the EXIF and XMP of a PNG wherever they are, and keeps from libvips what it would take very long to read.

libpng reads what comes before the pixels; the specification lets eXIf and iTXt follow them. Before there was an eXIf
chunk, programs wrote both as hexadecimal text under the keyword "Raw profile type exif". And libpng unpacks every
text there is: a file of 1 MB can keep it busy for ten seconds. So can EXIF that is not tame: see `exif.is_tame`.
"""

import binascii
import zlib
from typing import Final

import msgspec

from pixels import exif, png_chunks
from pixels.errors import DecodeFailed

_TEXT_KINDS: Final = frozenset((b"iTXt", b"zTXt", b"tEXt"))
_PACKED_KINDS: Final = frozenset((b"iTXt", b"zTXt"))
_MAX_KEYWORD_BYTES: Final = 80
_XMP_KEYWORD: Final = b"XML:com.adobe.xmp"
_RAW_KEYWORDS: Final = {b"Raw profile type exif": "exif", b"Raw profile type xmp": "xmp"}
#: Text that unfolds to more is left out.
_MAX_TEXT_BYTES: Final = 4 * 1024 * 1024


class PngMetadata(msgspec.Struct):
    """EXIF (from its TIFF header on) and XMP; `is_legacy` EXIF came as text, whose orientation no viewer applies."""

    exif: bytes | None = None
    xmp: bytes | None = None
    is_legacy: bool = False


def read_metadata(data: memoryview) -> PngMetadata:
    """Collect a PNG's EXIF and XMP, of each kind the first there is; what is broken counts as not there."""
    found, legacy = PngMetadata(), PngMetadata()
    seen = set()
    for chunk in png_chunks.walk(data):
        if chunk.kind == b"eXIf":
            found.exif = found.exif or _if_tame(chunk.body)
        elif chunk.kind in _TEXT_KINDS:
            keyword = bytes(chunk.body[:_MAX_KEYWORD_BYTES]).partition(b"\0")[0]
            if keyword in seen:
                continue
            seen.add(keyword)
            if keyword == _XMP_KEYWORD:
                found.xmp = _read_text(chunk)
            elif keyword in _RAW_KEYWORDS:
                setattr(legacy, _RAW_KEYWORDS[keyword], _decode_raw_profile(_read_text(chunk)))
    if found.exif is None and legacy.exif is not None:
        found.exif, found.is_legacy = _if_tame(legacy.exif.removeprefix(exif.PREFIX)), True
    found.xmp = found.xmp or legacy.xmp
    return found


def without_unsafe_metadata(data: memoryview) -> memoryview:
    """Return the PNG without its text chunks if one of them is packed, and without EXIF that is not tame, or `data`.

    Raises
    ------
    DecodeFailed
        There are more chunks than are looked at.
    """
    chunks = list(png_chunks.walk(data))
    if len(chunks) >= png_chunks.MAX_CHUNKS:
        raise DecodeFailed("The PNG image could not be decoded: it is cut into very many parts.")
    unsafe: set[bytes] = set()
    if any(chunk.kind in _PACKED_KINDS for chunk in chunks):
        unsafe |= _TEXT_KINDS
    if any(chunk.kind == b"eXIf" and not exif.is_tame(chunk.body) for chunk in chunks):
        unsafe.add(b"eXIf")
    if not unsafe:
        return data
    kept = (chunk.whole for chunk in chunks if chunk.kind not in unsafe)
    return memoryview(b"".join((png_chunks.SIGNATURE, *kept)))


def _if_tame(block: bytes | memoryview) -> bytes | None:
    return bytes(block) if exif.is_tame(block) else None


def _read_text(chunk: png_chunks.Chunk) -> bytes:
    """Return a text chunk's text, unpacked (PNG specification, third edition, 11.3.3)."""
    _, _, rest = bytes(chunk.body).partition(b"\0")
    if chunk.kind == b"tEXt":
        return rest
    if chunk.kind == b"zTXt":
        return _inflate(rest[1:])
    packed, rest = rest[:1] == b"\1", rest[2:]
    _, _, rest = rest.partition(b"\0")
    _, _, rest = rest.partition(b"\0")
    return _inflate(rest) if packed else rest


def _inflate(packed: bytes) -> bytes:
    engine = zlib.decompressobj()
    try:
        text = engine.decompress(packed, _MAX_TEXT_BYTES)
    except zlib.error:
        return b""
    return text if engine.eof else b""


def _decode_raw_profile(text: bytes) -> bytes | None:
    """Read ImageMagick's form: a line with the name, one with the length in bytes, then hexadecimal digits."""
    _, _, body = text.strip().partition(b"\n")
    length, _, digits = body.partition(b"\n")
    try:
        # By its length: some writers leave rubbish behind the digits.
        return binascii.unhexlify(b"".join(digits.split())[: 2 * int(length)]) or None
    except (binascii.Error, ValueError):
        return None
