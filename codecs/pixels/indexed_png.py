"""Writes a picture of at most 256 colours as an indexed PNG, exactly.

libimagequant is no help here: it merges colours that lie close and clears what is under transparent pixels.
"""

import zlib
from collections.abc import Iterable
from typing import Final

import numpy as np
import numpy.typing as npt

from pixels import png_chunks

#: Pixels looked at to reject a photograph at once, and pixels counted at a time after that.
_SAMPLE_PIXELS: Final = 16_384
_BATCH_PIXELS: Final = 1_000_000
_INDEXED: Final = 3
_OPAQUE: Final = 255

#: Colours as one number each: red in the lowest byte, alpha in the highest.
Colours = npt.NDArray[np.uint32]


def find_palette(samples: npt.NDArray[np.uint8], at_most: int = 256) -> Colours | None:
    """List the colours of a picture, if they are few enough to be indexed.

    Parameters
    ----------
    samples
        ``uint8[height, width, bands]``: grey, grey and alpha, RGB or RGBA.
    at_most
        The most colours that are worth an index, up to 256.

    Returns
    -------
    Colours | None
        ``uint32[n]``, ascending, so that those with transparency come first; None for more than `at_most` colours.
    """
    flat = samples.reshape(-1, samples.shape[2])
    step = max(1, len(flat) // _SAMPLE_PIXELS)
    colours = np.unique(_pack(flat[::step]))
    for start in range(0, len(flat), _BATCH_PIXELS):
        if len(colours) > at_most:
            return None
        colours = np.union1d(colours, np.unique(_pack(flat[start : start + _BATCH_PIXELS])))
    return colours if len(colours) <= at_most else None


def encode_indexed(samples: npt.NDArray[np.uint8], palette: Colours, metadata: Iterable[bytes | memoryview]) -> bytes:
    """Encode a picture by the palette that `find_palette` made of it.

    Parameters
    ----------
    samples
        ``uint8[height, width, bands]``, as for `find_palette`.
    metadata
        Whole chunks to write before the palette.
    """
    height, width, _ = samples.shape
    depth = next(bits for bits in (1, 2, 4, 8) if len(palette) <= 1 << bits)
    entries = palette.astype("<u4").view(np.uint8).reshape(-1, 4)
    transparency = entries[entries[:, 3] < _OPAQUE, 3]
    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes((depth, _INDEXED, 0, 0, 0))
    deflate = zlib.compressobj(9, zlib.DEFLATED, zlib.MAX_WBITS, 9)
    rows_at_a_time = max(1, _BATCH_PIXELS // width)
    pixels = []
    for top in range(0, height, rows_at_a_time):
        rows = samples[top : top + rows_at_a_time]
        indices = np.searchsorted(palette, _pack(rows.reshape(-1, rows.shape[2]))).astype(np.uint8)
        pixels.append(deflate.compress(_scanlines(indices.reshape(rows.shape[:2]), depth).tobytes()))
    pixels.append(deflate.flush())
    return b"".join(
        (
            png_chunks.SIGNATURE,
            png_chunks.build(b"IHDR", header),
            *metadata,
            png_chunks.build(b"PLTE", np.ascontiguousarray(entries[:, :3]).tobytes()),
            png_chunks.build(b"tRNS", transparency.tobytes()) if len(transparency) else b"",
            png_chunks.build(b"IDAT", b"".join(pixels)),
            png_chunks.build(b"IEND", b""),
        )
    )


def _pack(pixels: npt.NDArray[np.uint8]) -> Colours:
    """Turn ``uint8[n, bands]`` into one number a pixel; grey repeats, and opaque is what has no alpha."""
    bands = pixels.shape[1]
    rgba = np.empty((len(pixels), 4), np.uint8)
    rgba[:, :3] = pixels[:, :3] if bands >= 3 else pixels[:, :1]
    rgba[:, 3] = pixels[:, -1] if bands in (2, 4) else _OPAQUE
    return rgba.view("<u4").reshape(-1).astype(np.uint32, copy=False)


def _scanlines(indices: npt.NDArray[np.uint8], depth: int) -> npt.NDArray[np.uint8]:
    """Pack rows of indices into bytes, the leftmost pixel in the highest bits, each row behind its filter byte 0."""
    per_byte = 8 // depth
    padded = np.pad(indices, ((0, 0), (0, -indices.shape[1] % per_byte)))
    grouped = padded.reshape(len(padded), -1, per_byte)
    shifts = np.arange(8 - depth, -1, -depth, dtype=np.uint8)
    packed = np.bitwise_or.reduce(grouped << shifts, axis=2).astype(np.uint8)
    return np.pad(packed, ((0, 0), (1, 0)))
