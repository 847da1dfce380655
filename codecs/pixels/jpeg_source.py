"""What a JPEG that comes in tells of its own making, and how to make it smaller without touching a pixel."""

from typing import Final

from pixels.jpeg_segments import SOS, walk

try:
    from mozjpeg_lossless_optimization import COPY_MARKERS, optimize
except ImportError:  # no wheel for this platform: sources stay as they are
    optimize = None

_DEFINE_TABLES: Final = 0xDB
_DEFINE_HUFFMAN: Final = 0xC4
#: Bits of the largest difference of two DC coefficients and of the largest AC coefficient that samples of 8 bits can
#: give (ITU-T T.81, F.1.2), by the class of a Huffman table.
_MOST_BITS: Final = (11, 10)
#: Entries of the luma table of ITU-T T.81, table K.1, that libjpeg scales by its quality; and their sum.
_TABLE_SIZE: Final = 64
_STANDARD_SUM: Final = 3688


def estimate_quality(data: memoryview) -> int | None:
    """Return the quality, 1-100 on libjpeg's scale, whose luma table is as coarse as that of `data`.

    Other encoders shape their tables otherwise: then it is the quality of the same mean step. None where no table comes
    before the first scan.
    """
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF and data[at + 1] != SOS:
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        if data[at + 1] == _DEFINE_TABLES and length > _TABLE_SIZE:
            return _scale_to_quality(data[at + 4 : at + 2 + length])
        at += 2 + length
    return None


def _scale_to_quality(segment: memoryview) -> int:
    width = 2 if segment[0] >> 4 else 1
    entries = segment[1 : 1 + width * _TABLE_SIZE]
    steps = (int.from_bytes(entries[at : at + width], "big") for at in range(0, len(entries), width))
    scale = 100 * sum(steps) / _STANDARD_SUM
    # libjpeg, jcparam.c: below 50 the scale is 5000 / quality, above it 200 - 2 * quality.
    quality = (200 - scale) / 2 if scale <= 100 else 5000 / scale
    return max(1, min(100, round(quality)))


def repack(data: bytes | memoryview) -> bytes | memoryview:
    """Return the same coefficients and segments in the smallest progressive file, or `data` where none is smaller.

    For a file that decodes: of a broken one the library may end the process.
    """
    source = bytes(data)
    # The library reads larger coefficients, as all decoders do, but ends the process where it would write one.
    if optimize is None or not _has_codes_for_8_bits(source):
        return data
    try:
        packed = optimize(source, COPY_MARKERS.ALL)
    except ValueError:
        # Arithmetic coding and the like, which it does not read.
        return data
    return packed if len(packed) < len(data) else data


def _has_codes_for_8_bits(data: bytes) -> bool:
    """Tell whether no Huffman table has a code for a coefficient that samples of 8 bits cannot give."""
    for segment in walk(data):
        at = segment.start
        while segment.marker == _DEFINE_HUFFMAN and at + 17 <= segment.end:
            symbols = data[at + 17 : at + 17 + sum(data[at + 1 : at + 17])]
            if any(symbol & 0x0F > _MOST_BITS[data[at] >> 4 & 1] for symbol in symbols):
                return False
            at += 17 + len(symbols)
    return True
