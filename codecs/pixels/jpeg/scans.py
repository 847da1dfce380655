"""The scans of a progressive JPEG (T.81, annex G) as symbols: what they are coded by is chosen once they are known."""

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from pixels.jpeg.codes import Numbers
from pixels.jpeg.huffman import put_word
from pixels.jpeg.jit import inlined, kernel
from pixels.jpeg.trellis import count_bits

#: One symbol each, with the bits behind it: symbol | count of bits << 9 | bits << 14. `_BARE` stands for bits alone.
Records = npt.NDArray[np.int32]
_BARE: Final = 256
_SYMBOL_MASK: Final = 511
_SIZE_SHIFT, _SIZE_MASK = 9, 31
_BITS_SHIFT: Final = 14
#: The symbols of chroma's DC table come after the twelve of luma's.
CHROMA_DC: Final = 16
_SIXTEEN_ZEROS: Final = 0xF0
_LAST: Final = 63
_LONGEST_RUN: Final = 0x7FFF
#: A run of blocks is ended before more bits wait behind it.
_MOST_WAITING: Final = 1000
#: Of `waiting`: the most, and those of another block.
WAITING_BITS: Final = _MOST_WAITING + 64


class Values(NamedTuple):
    """The AC coefficients of a picture that are not zero.

    Attributes
    ----------
    starts
        int32[blocks + 1]: where the values of each block begin.
    places
        uint8[n]: the place of each in its block, 1-63, ascending.
    levels
        int16[n].
    """

    starts: npt.NDArray[np.int32]
    places: npt.NDArray[np.uint8]
    levels: npt.NDArray[np.int16]


def most_records(values: Values, blocks: Numbers) -> int:
    """Return how many records a scan can take: beside the values, for each block three runs of zeros and an end."""
    return int(np.diff(values.starts)[blocks].sum()) + 4 * blocks.size + 1


@kernel
def code_dc(differences: npt.NDArray[np.int16], components: Numbers, records: Records, counts: Numbers) -> int:
    """Code the DC values of blocks that are interleaved (G.1.2.1), and return how many records that takes.

    Parameters
    ----------
    differences
        int16[blocks], in the order of the file: each from the last block of the same component.
    components
        int64[n]: the component, 0-2, of each block of the unit that repeats.
    counts
        int64[256], to be added to; the symbols of the second and third component are `CHROMA_DC` and what follows.
    """
    unit = components.shape[0]
    end = 0
    for start in range(0, differences.shape[0], unit):
        for place in range(unit):
            difference = int(differences[start + place])
            size = count_bits(abs(difference))
            # Negative values are written less one, without their sign (F.1.2.1).
            bits = difference if difference >= 0 else difference + (1 << size) - 1
            end = _put((CHROMA_DC if components[place] else 0) + size, size, bits, records, counts, end)
    return end


@kernel
def code_first(
    values: Values, blocks: Numbers, band: tuple[int, int], low: int, records: Records, counts: Numbers
) -> int:
    """Code a band of AC coefficients for the first time (G.1.2.2), and return how many records that takes.

    Parameters
    ----------
    blocks
        int64[n]: those of the component, row by row.
    band
        The first and the last place.
    low
        How many of the lowest bits are left for later.
    counts
        int64[256], to be added to.
    """
    first, last = band
    end, run = 0, 0
    for at in range(blocks.shape[0]):
        block = blocks[at]
        place = first - 1
        for n in range(values.starts[block], values.starts[block + 1]):
            k = int(values.places[n])
            if k < first:
                continue
            if k > last:
                break
            level = int(values.levels[n])
            size_of = abs(level) >> low
            if size_of == 0:
                continue
            if run:
                end = _end_run(run, records, counts, end)
                run = 0
            zeros = k - place - 1
            place = k
            while zeros > 15:
                end = _put(_SIXTEEN_ZEROS, 0, 0, records, counts, end)
                zeros -= 16
            size = count_bits(size_of)
            bits = size_of if level > 0 else (1 << size) - 1 - size_of
            end = _put(zeros << 4 | size, size, bits, records, counts, end)
        if place < last:
            run += 1
            if run == _LONGEST_RUN:
                end = _end_run(run, records, counts, end)
                run = 0
    return _end_run(run, records, counts, end) if run else end


@kernel
def code_again(
    values: Values,
    blocks: Numbers,
    low: int,
    waiting: npt.NDArray[np.uint8],
    records: Records,
    counts: Numbers,
) -> int:
    """Code the next lower bit of all AC coefficients (G.1.2.3).

    Parameters are those of `code_first`, and `waiting` is scratch, uint8[WAITING_BITS].
    """
    end, run, held = 0, 0, 0
    for at in range(blocks.shape[0]):
        block = blocks[at]
        start, stop = values.starts[block], values.starts[block + 1]
        newest = _find_newest(values, start, stop, low)
        place, zeros, begun = 0, 0, held
        for n in range(start, stop):
            level = int(values.levels[n])
            shifted = abs(level) >> low
            if shifted == 0:
                continue
            k = int(values.places[n])
            zeros += k - place - 1
            place = k
            while zeros > 15 and n <= newest:
                end = _end_held_run(run, begun, waiting, records, counts, end)
                run = 0
                end = _put(_SIXTEEN_ZEROS, 0, 0, records, counts, end)
                zeros -= 16
                end = _put_held(begun, held, waiting, records, end)
                begun = held = 0
            if shifted > 1:
                waiting[held] = shifted & 1
                held += 1
                continue
            end = _end_held_run(run, begun, waiting, records, counts, end)
            run = 0
            end = _put(zeros << 4 | 1, 1, 1 if level > 0 else 0, records, counts, end)
            end = _put_held(begun, held, waiting, records, end)
            begun = held = 0
            zeros = 0
        if zeros + _LAST - place > 0 or held > begun:
            run += 1
            if run == _LONGEST_RUN or held > _MOST_WAITING - 63:
                end = _end_held_run(run, held, waiting, records, counts, end)
                run = held = 0
    return _end_held_run(run, held, waiting, records, counts, end)


@kernel
def write(records: Records, count: int, codes: Numbers, out: npt.NDArray[np.uint8]) -> int:
    """Write records in codes, int64[257, 2] of which the last is empty, and return the bytes that takes.

    What follows a byte of ones is left to the caller to put in.
    """
    end, waiting, unwritten = 0, 0, 0
    for n in range(count):
        record = int(records[n])
        symbol, size = record & _SYMBOL_MASK, record >> _SIZE_SHIFT & _SIZE_MASK
        length = codes[symbol, 1] + size
        unwritten = unwritten << length | codes[symbol, 0] << size | record >> _BITS_SHIFT
        waiting += length
        if waiting >= 32:
            waiting -= 32
            end = put_word(out, end, unwritten >> waiting)
            unwritten &= (1 << waiting) - 1
    # The last byte is filled up with ones.
    missing = -waiting % 8
    unwritten = unwritten << missing | ((1 << missing) - 1)
    waiting += missing
    while waiting > 0:
        waiting -= 8
        out[end] = unwritten >> waiting & 0xFF
        end += 1
    return end


@inlined
def _find_newest(values: Values, start: int, stop: int, low: int) -> int:
    """Return the last value, of those from `start` on, that becomes other than zero by this bit."""
    for n in range(stop - 1, start - 1, -1):
        if abs(int(values.levels[n])) >> low == 1:
            return n
    return -1


@inlined
def _put(symbol: int, size: int, bits: int, records: Records, counts: Numbers, end: int) -> int:
    counts[symbol] += 1
    records[end] = symbol | size << _SIZE_SHIFT | bits << _BITS_SHIFT
    return end + 1


@inlined
def _end_run(run: int, records: Records, counts: Numbers, end: int) -> int:
    """Write that `run` blocks, 1 to 32,767, hold no more."""
    size = count_bits(run) - 1
    return _put(size << 4, size, run - (1 << size), records, counts, end)


@inlined
def _end_held_run(
    run: int, held: int, waiting: npt.NDArray[np.uint8], records: Records, counts: Numbers, end: int
) -> int:
    if run == 0:
        return end
    end = _end_run(run, records, counts, end)
    return _put_held(0, held, waiting, records, end)


@inlined
def _put_held(start: int, stop: int, waiting: npt.NDArray[np.uint8], records: Records, end: int) -> int:
    for n in range(start, stop):
        records[end] = _BARE | 1 << _SIZE_SHIFT | int(waiting[n]) << _BITS_SHIFT
        end += 1
    return end
