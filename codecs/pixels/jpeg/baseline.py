"""Encodes pixels as a baseline JPEG whose coefficients are the final ones."""

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from pixels.butteraugli.jit import Plane
from pixels.jpeg import dct, huffman, overshoot, planes, trellis
from pixels.jpeg.excerpt import Excerpt
from pixels.jpeg.planes import Pixels
from pixels.jpeg.segments import write_segment
from pixels.jpeg.tables import ZIGZAG, quantisation_tables
from pixels.jpeg.trellis import Coefficients

#: Rows that are worked on at a time; a multiple of 16. The planes of 4000 columns then take 3 MB.
STRIP_ROWS: Final = 64
#: With chroma at half resolution a strip needs this many rows of its neighbours: sharpening looks one row of chroma
#: beyond interpolation, which looks one row beyond the strip.
_HALO_ROWS: Final = 4
_START, _END = b"\xff\xd8", b"\xff\xd9"
_JFIF: Final = b"JFIF\0\x01\x01\0\0\x01\0\x01\0\0"
_APP0, _DQT, _SOF0, _DHT, _SOS = 0xE0, 0xDB, 0xC0, 0xC4, 0xDA


class _Component(NamedTuple):
    steps: Plane
    scale: Plane
    trade: float


class _Scratch:
    def __init__(self) -> None:
        self.block = np.empty((8, 8), np.float32)
        self.target = np.empty((8, 8), np.float32)
        self.costs = np.empty(64, np.float32)
        self.links = np.empty((3, 64), np.int32)


def encode_color(rgb: Pixels, quality: float, *, half_chroma: bool, excerpt: Excerpt | None = None) -> bytes:
    """Encode uint8[h, w, 3] of sRGB as YCbCr, chroma at half or full resolution both ways.

    Parameters
    ----------
    quality
        1-100, in the sense of `tables.find_distance`.
    excerpt
        Is filled beside it.
    """
    height, width, _ = rgb.shape
    tables = quantisation_tables(quality, half_chroma=half_chroma)
    luma = _component(tables[0], trellis.LUMA_LAMBDA)
    chroma = _component(tables[1], trellis.CHROMA_LAMBDA)
    strip = _HalfChromaStrip(width) if half_chroma else _FullChromaStrip(width)
    writer = huffman.Writer()
    scan = []
    for first_row in range(0, height, STRIP_ROWS):
        rows = min(STRIP_ROWS, _round_up(height - first_row, strip.unit_px))
        strip.fill(rgb, first_row, rows)
        components = strip.quantise(luma, chroma)
        scan.append(writer.write_color(*components))
        if excerpt is not None:
            excerpt.take(first_row, components)
    sampling = 0x22 if half_chroma else 0x11
    if excerpt is not None:
        _write_excerpt(excerpt, tables, sampling)
    header = _header(height, width, tables, sampling)
    return b"".join((header, *scan, writer.finish(), _END))


def encode_grey(grey: Pixels, quality: float, excerpt: Excerpt | None = None) -> bytes:
    """Encode uint8[h, w] as a JPEG of one component; `excerpt` is filled beside it."""
    height, width = grey.shape
    tables = quantisation_tables(quality, half_chroma=False)[:1]
    luma = _component(tables[0], trellis.LUMA_LAMBDA)
    y = np.empty((STRIP_ROWS, _round_up(width, 8)), np.float32)
    quantiser = _Quantiser(y.shape[1])
    writer = huffman.Writer()
    scan = []
    for first_row in range(0, height, STRIP_ROWS):
        rows = min(STRIP_ROWS, _round_up(height - first_row, 8))
        planes.copy_grey(grey, first_row, y[:rows])
        coefficients = quantiser.relax_and_quantise(y, 0, rows, luma)
        scan.append(writer.write_grey(coefficients))
        if excerpt is not None:
            excerpt.take(first_row, [coefficients])
    if excerpt is not None:
        _write_excerpt(excerpt, tables, 0x11)
    return b"".join((_header(height, width, tables, 0x11), *scan, writer.finish(), _END))


def _write_excerpt(excerpt: Excerpt, tables: tuple[npt.NDArray[np.uint8], ...], sampling: int) -> None:
    writer = huffman.Writer()
    write = writer.write_color if len(tables) > 1 else writer.write_grey
    scan = [write(*square) for square in excerpt.squares]
    header = _header(excerpt.height_px, excerpt.side_px, tables, sampling)
    excerpt.data = b"".join((header, *scan, writer.finish(), _END))


class _Quantiser:
    """Blocks of one component of a strip, transformed and quantised."""

    def __init__(self, width: int) -> None:
        shape = (STRIP_ROWS // 8, width // 8, 64)
        self._coefficients = np.empty(shape, np.float32)
        self._quantised = np.empty(shape, np.int16)
        self._scratch = _Scratch()

    def relax_and_quantise(self, luma: Plane, top: int, rows: int, component: _Component) -> Coefficients:
        """Let luma go beyond black and white first, in place."""
        blocks = (rows // 8, self._quantised.shape[1])
        overshoot.relax(luma, top, blocks, component.steps, self._scratch.target, self._scratch.block)
        return self.quantise(luma, top, 0, rows, component)

    def quantise(self, plane: Plane, top: int, left: int, rows: int, component: _Component) -> Coefficients:
        scratch = self._scratch
        coefficients, quantised = self._coefficients[: rows // 8], self._quantised[: rows // 8]
        dct.transform(plane, top, left, component.scale, scratch.block, coefficients)
        trellis.choose(coefficients, component.trade, trellis.BITS, scratch.costs, scratch.links, quantised)
        return quantised


class _FullChromaStrip:
    unit_px = 8

    def __init__(self, width: int) -> None:
        shape = (STRIP_ROWS, _round_up(width, self.unit_px))
        self._planes = [np.empty(shape, np.float32) for _ in range(3)]
        self._quantisers = [_Quantiser(shape[1]) for _ in range(3)]
        self._rows = 0

    def fill(self, rgb: Pixels, first_row: int, rows: int) -> None:
        self._rows = rows
        y, cb, cr = (plane[:rows] for plane in self._planes)
        planes.convert(_flatten(rgb), first_row, y, cb, cr)

    def quantise(self, luma: _Component, chroma: _Component) -> list[Coefficients]:
        y, cb, cr = self._planes
        quantise_y, quantise_cb, quantise_cr = self._quantisers
        return [
            quantise_y.relax_and_quantise(y, 0, self._rows, luma),
            quantise_cb.quantise(cb, 0, 0, self._rows, chroma),
            quantise_cr.quantise(cr, 0, 0, self._rows, chroma),
        ]


class _HalfChromaStrip:
    unit_px = 16

    def __init__(self, width: int) -> None:
        padded = _round_up(width, self.unit_px)
        rows = STRIP_ROWS + 2 * _HALO_ROWS
        self._y, self._cb, self._cr = (np.empty((rows, padded), np.float32) for _ in range(3))
        self._halves = [np.empty((rows // 2, padded // 2 + 2), np.float32) for _ in range(2)]
        self._sharp = [np.empty_like(half) for half in self._halves]
        self._half_row = np.empty(padded // 2 + 2, np.float32)
        self._rows_scratch = np.empty((4, padded + 2), np.float32)
        self._quantisers = [_Quantiser(padded), _Quantiser(padded // 2), _Quantiser(padded // 2)]
        self._rows = 0

    def fill(self, rgb: Pixels, first_row: int, rows: int) -> None:
        self._rows = rows
        with_halo = rows + 2 * _HALO_ROWS
        y, cb, cr = (plane[:with_halo] for plane in (self._y, self._cb, self._cr))
        halves = [half[: with_halo // 2] for half in self._halves]
        sharp_cb, sharp_cr = (sharp[: with_halo // 2] for sharp in self._sharp)
        top = first_row - _HALO_ROWS
        planes.convert(_flatten(rgb), top, y, cb, cr)
        for full, half, sharp in zip((cb, cr), halves, (sharp_cb, sharp_cr), strict=True):
            planes.halve(full, half)
            planes.sharpen(half, self._half_row, sharp)
        planes.correct_luma(rgb.shape[1], (cb, cr), (sharp_cb, sharp_cr), self._rows_scratch, y)

    def quantise(self, luma: _Component, chroma: _Component) -> list[Coefficients]:
        y, cb, cr = self._quantisers
        half_rows = self._rows // 2
        return [
            y.relax_and_quantise(self._y, _HALO_ROWS, self._rows, luma),
            cb.quantise(self._sharp[0], _HALO_ROWS // 2, 1, half_rows, chroma),
            cr.quantise(self._sharp[1], _HALO_ROWS // 2, 1, half_rows, chroma),
        ]


def _component(table: npt.NDArray[np.uint8], trade: float) -> _Component:
    return _Component(table.reshape(8, 8).astype(np.float32), (1 / table).astype(np.float32), trade)


def _flatten(rgb: Pixels) -> Pixels:
    return rgb.reshape(rgb.shape[0], -1)


def _round_up(length: int, unit: int) -> int:
    return -(-length // unit) * unit


def _header(height: int, width: int, tables: tuple[npt.NDArray[np.uint8], ...], luma_sampling: int) -> bytes:
    components = [(1, luma_sampling, 0), (2, 0x11, 1), (3, 0x11, 1)] if len(tables) > 1 else [(1, 0x11, 0)]
    frame = b"\x08" + height.to_bytes(2, "big") + width.to_bytes(2, "big") + bytes([len(components)])
    scan = bytes([len(components)]) + b"".join(bytes((number, 0)) for number, _, _ in components) + b"\0\x3f\0"
    codes = b"\0" + huffman.DC_LENGTHS + huffman.DC_SYMBOLS + b"\x10" + huffman.AC_LENGTHS + huffman.AC_SYMBOLS
    steps = b"".join(bytes([number]) + table[ZIGZAG].tobytes() for number, table in enumerate(tables))
    return b"".join(
        (
            _START,
            write_segment(_APP0, _JFIF),
            write_segment(_DQT, steps),
            write_segment(_SOF0, frame + b"".join(bytes(component) for component in components)),
            write_segment(_DHT, codes),
            write_segment(_SOS, scan),
        )
    )
