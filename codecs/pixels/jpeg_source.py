"""What a JPEG that comes in tells of its own making, and how to make it smaller without touching a pixel."""

from typing import Final

try:
    from mozjpeg_lossless_optimization import COPY_MARKERS, optimize
except ImportError:  # no wheel for this platform: sources stay as they are
    optimize = None

_START_OF_SCAN: Final = 0xDA
_DEFINE_TABLES: Final = 0xDB
#: Entries of the luma table of ITU-T T.81, table K.1, that libjpeg scales by its quality; and their sum.
_TABLE_SIZE: Final = 64
_STANDARD_SUM: Final = 3688


def estimate_quality(data: memoryview) -> int | None:
    """Return the quality, 1-100 on libjpeg's scale, whose luma table is as coarse as that of `data`.

    Other encoders shape their tables otherwise: then it is the quality of the same mean step. None where no table comes
    before the first scan.
    """
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF and data[at + 1] != _START_OF_SCAN:
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
    if optimize is None:
        return data
    try:
        packed = optimize(bytes(data), COPY_MARKERS.ALL)
    except ValueError:
        # Arithmetic coding and the like, which it does not read.
        return data
    return packed if len(packed) < len(data) else data
