"""Reads back what `huffman.Writer` wrote."""

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from pixels.jpeg.codes import LONGEST_BITS, Numbers
from pixels.jpeg.huffman import AC_LENGTHS, AC_SYMBOLS, DC_LENGTHS, DC_SYMBOLS
from pixels.jpeg.jit import inlined, kernel
from pixels.jpeg.scans import Values
from pixels.jpeg_segments import SOS, walk

_SOF0: Final = 0xC0
_END: Final = b"\xff\xd9"
_BLOCK_SIDE: Final = 8
#: Codes of up to so many bits are found in one look.
_QUICK_BITS: Final = 10
#: A value takes at least three bits: a code of two, and its own.
_FEWEST_BITS: Final = 3
#: Behind the end, zeros are read.
_PADDING: Final = bytes(16)


class Draft(NamedTuple):
    """A picture's coefficients.

    Attributes
    ----------
    frame_marker, frame_end
        Where in the file the kind of frame is told, and where what describes the frame and its tables ends.
    components
        int64[n]: the component of each block of the unit that repeats.
    dc
        int16[blocks], in the order of the file: the difference from the last block of the same component.
    values
        The others, of the same blocks.
    grids
        Of each component, int64[n, m]: the numbers of its blocks, without those that only fill up a unit.
    """

    frame_marker: int
    frame_end: int
    components: Numbers
    dc: npt.NDArray[np.int16]
    values: Values
    grids: list[Numbers]


class _Reader(NamedTuple):
    quick: Numbers
    limits: Numbers
    offsets: Numbers
    symbols: Numbers


def _make_reader(tables: tuple[tuple[bytes, bytes], ...]) -> _Reader:
    """Make tables to read codes by, a row each: of the next `_QUICK_BITS` the code's length times 256 and its symbol.

    Longer codes are found by the first code that is longer still, and by the place of the symbols of one length.
    """
    quick = np.zeros((len(tables), 1 << _QUICK_BITS), np.int64)
    limits, offsets = (np.zeros((len(tables), LONGEST_BITS + 1), np.int64) for _ in range(2))
    symbols = np.zeros((len(tables), 256), np.int64)
    for number, (lengths, listed) in enumerate(tables):
        symbols[number, : len(listed)] = list(listed)
        code = place = 0
        for length, many in enumerate(lengths, start=1):
            offsets[number, length] = place - code
            if length <= _QUICK_BITS:
                spare = _QUICK_BITS - length
                entries = length << 8 | symbols[number, place : place + many]
                quick[number, code << spare : (code + many) << spare] = np.repeat(entries, 1 << spare)
            code, place = code + many, place + many
            limits[number, length] = code
            code <<= 1
    return _Reader(quick, limits, offsets, symbols)


_READER: Final = _make_reader(((DC_LENGTHS, DC_SYMBOLS), (AC_LENGTHS, AC_SYMBOLS)))


def read_draft(data: bytes) -> Draft:
    """Read the coefficients of a draft."""
    segments = {}
    for segment in walk(data):
        segments[segment.marker] = segment
        if segment.marker == SOS:
            break
    frame, scan = segments[_SOF0], segments[SOS]
    height, width = (int.from_bytes(data[at : at + 2], "big") for at in (frame.start + 1, frame.start + 3))
    samplings = [data[frame.start + 7 + 3 * number] & 0x0F for number in range(data[frame.start + 5])]
    stream = np.frombuffer(data[scan.end : -len(_END)].replace(b"\xff\0", b"\xff") + _PADDING, np.uint8)
    most = max(samplings)
    rows, columns = (-(-side // (_BLOCK_SIDE * most)) for side in (height, width))
    components = np.repeat(np.arange(len(samplings)), np.square(samplings)).astype(np.int64)
    blocks = rows * columns * components.size
    room = len(stream) * 8 // _FEWEST_BITS
    values = Values(np.empty(blocks + 1, np.int32), np.empty(room, np.uint8), np.empty(room, np.int16))
    dc = np.empty(blocks, np.int16)
    _read(stream, _READER, dc, values)
    first, grids = 0, []
    for sampling in samplings:
        down, across = (-(-side * sampling // (_BLOCK_SIDE * most)) for side in (height, width))
        numbers = np.arange(blocks).reshape(rows, columns, components.size)[..., first : first + sampling**2]
        grid = numbers.reshape(rows, columns, sampling, sampling).swapaxes(1, 2)
        grids.append(grid.reshape(rows * sampling, columns * sampling)[:down, :across])
        first += sampling**2
    return Draft(frame.start - 3, frame.end, components, dc, values, grids)


@kernel
def _read(stream: npt.NDArray[np.uint8], reader: _Reader, dc: npt.NDArray[np.int16], values: Values) -> None:
    at, have, pending, found = 0, 0, 0, 0
    for block in range(dc.shape[0]):
        values.starts[block] = found
        k = 0
        while k < 64:
            if have < 27:
                pending = (pending & ((1 << have) - 1)) << 32 | _read_word(stream, at)
                at += 4
                have += 32
            length, symbol = _look_up(reader, 1 if k else 0, pending, have)
            size = symbol & 15
            have -= length + size
            bits = pending >> have & ((1 << size) - 1)
            # Negative values are written less one, without their sign (T.81, F.1.2.1).
            level = bits if 2 * bits >= 1 << size else bits - (1 << size) + 1
            if k == 0:
                dc[block] = level
                k = 1
                continue
            k += symbol >> 4
            if size == 0:
                if symbol == 0:
                    break
                k += 1
                continue
            values.places[found] = k
            values.levels[found] = level
            found += 1
            k += 1
    values.starts[dc.shape[0]] = found


@inlined
def _look_up(reader: _Reader, table: int, pending: int, have: int) -> tuple[int, int]:
    """Return the length and the symbol of the code that the last `have` bits of `pending` begin with."""
    entry = reader.quick[table, pending >> (have - _QUICK_BITS) & ((1 << _QUICK_BITS) - 1)]
    if entry:
        return entry >> 8, entry & 0xFF
    length = _QUICK_BITS + 1
    while length < LONGEST_BITS:
        if (pending >> (have - length) & ((1 << length) - 1)) < reader.limits[table, length]:
            break
        length += 1
    code = pending >> (have - length) & ((1 << length) - 1)
    return length, reader.symbols[table, (code + reader.offsets[table, length]) & 0xFF]


@inlined
def _read_word(stream: npt.NDArray[np.uint8], at: int) -> int:
    at = min(at, stream.shape[0] - 4)
    return int(stream[at]) << 24 | int(stream[at + 1]) << 16 | int(stream[at + 2]) << 8 | int(stream[at + 3])
