"""Packs a finished PNG once more by oxipng: other row filters, a better deflate, the same pixels.

Against the lossless file of `encode_png`: 20 drawings and photographs of up to 2.2 MP, one core; bytes by geometric
mean, CPU time of packing raw pixels by median.

===========================  =====  ====
setting                      bytes  time
===========================  =====  ====
`encode_png`                 1.00   1.0
level 2, deflate 9           0.98   0.7
level 2, deflate 10          0.94   1.2
level 2 (deflate 11)         0.92   2.2
level 3                      0.91   4.6
===========================  =====  ====
"""

import os
import time
import zlib
from typing import Final

from pixels import png_chunks

# rayon, which oxipng works with, reads it at the first picture: one thread, as everywhere in an encode process.
os.environ.setdefault("RAYON_NUM_THREADS", "1")

import oxipng

_LEVEL: Final = 2
#: By pixels: the deflate level, and the seconds a megapixel that it may need. The larger, the cheaper.
_DEFLATE: Final = ((1_500_000, 11, 1.2), (4_000_000, 10, 0.8), (16_000_000, 9, 0.3))


def warm() -> None:
    """Start the thread that oxipng works in: later on, a process may be forbidden to."""
    dot = zlib.compress(b"\0\0")
    header = (1).to_bytes(4, "big") * 2 + bytes((8, 0, 0, 0, 0))
    chunks = ((b"IHDR", header), (b"IDAT", dot), (b"IEND", b""))
    data = png_chunks.SIGNATURE + b"".join(png_chunks.build(kind, body) for kind, body in chunks)
    oxipng.optimize_from_memory(data, level=0)


def has_time_to_pack(pixels: int, until_s: float) -> bool:
    """Tell whether an image of so many pixels can be packed before `until_s`, on the clock of `time.perf_counter`."""
    return any(
        pixels <= most_pixels and time.perf_counter() + pace_s * pixels / 1e6 <= until_s
        for most_pixels, _, pace_s in _DEFLATE
    )


def pack_png(data: bytes, pixels: int, *, until_s: float, may_be_palette: bool = True) -> bytes:
    """Return the smallest PNG that was found of the picture in `data`, whose every pixel and chunk it keeps.

    Parameters
    ----------
    data
        A whole PNG, not interlaced.
    pixels
        How many it has.
    until_s
        When to stop trying, on the clock of `time.perf_counter`. Without time for a single try `data` returns.
    may_be_palette
        False leaves a picture without a palette as it is.

    Raises
    ------
    oxipng.PngError
        `data` is no PNG, or broken.
    """
    for most_pixels, deflate, pace_s in _DEFLATE:
        left_s = until_s - time.perf_counter()
        if pixels <= most_pixels and left_s >= pace_s * pixels / 1e6:
            compressor = oxipng.Deflaters.libdeflater(deflate)
            return oxipng.optimize_from_memory(
                data, level=_LEVEL, deflate=compressor, palette_reduction=may_be_palette, timeout=left_s
            )
    return data
