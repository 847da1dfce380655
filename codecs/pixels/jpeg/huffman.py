"""Writes blocks as T.81's baseline does (annex F.1.2), in the codes that its annex K gives for luminance.

Any codes would do: the file is written anew in the best ones afterwards.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from pixels.jpeg.codes import CodeTable, Numbers
from pixels.jpeg.jit import inlined, kernel
from pixels.jpeg.trellis import Coefficients, count_bits

#: How many codes there are of each length, 1-16 bits, and what they stand for, shortest first.
DC_LENGTHS: Final = bytes((0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0))
DC_SYMBOLS: Final = bytes(range(12))
AC_LENGTHS: Final = bytes((0, 2, 1, 3, 3, 2, 4, 3, 5, 5, 4, 4, 0, 0, 1, 125))
AC_SYMBOLS: Final = bytes.fromhex(
    "01020300041105122131410613516107227114328191a1082342b1c11552d1f02433627282090a161718191a25262728"
    "292a3435363738393a434445464748494a535455565758595a636465666768696a737475767778797a83848586878889"
    "8a92939495969798999aa2a3a4a5a6a7a8a9aab2b3b4b5b6b7b8b9bac2c3c4c5c6c7c8c9cad2d3d4d5d6d7d8d9dae1e2"
    "e3e4e5e6e7e8e9eaf1f2f3f4f5f6f7f8f9fa"
)
#: The most bytes a block takes: 64 values of a code of 16 bits and 10 more.
BLOCK_BYTES: Final = 64 * 26 // 8
_END_OF_BLOCK, _SIXTEEN_ZEROS = 0x00, 0xF0

Buffer = npt.NDArray[np.uint8]
#: Bits that are not written yet, how many, and where the next will be.
Place = tuple[int, int, int]


DC_CODES: Final = CodeTable(DC_LENGTHS, DC_SYMBOLS).assign()
AC_CODES: Final = CodeTable(AC_LENGTHS, AC_SYMBOLS).assign()


class Writer:
    """One scan, written strip by strip."""

    def __init__(self) -> None:
        # Bits that fill no word yet, how many, and the last DC value of each component.
        self._state = np.zeros(5, np.int64)
        self._buffer: Buffer = np.empty(0, np.uint8)

    def write_color(self, y: Coefficients, cb: Coefficients, cr: Coefficients) -> bytes:
        """Return the bytes of a strip of interleaved components; `y` has as many blocks as `cb`, or twice each way."""
        self._make_room(y.size + cb.size + cr.size)
        return self._take(_write_color(y, cb, cr, DC_CODES, AC_CODES, self._state, self._buffer))

    def write_grey(self, y: Coefficients) -> bytes:
        """Return the bytes of a strip of a single component."""
        self._make_room(y.size)
        return self._take(_write_grey(y, DC_CODES, AC_CODES, self._state, self._buffer))

    def finish(self) -> bytes:
        """Return the last bytes, filled up with ones."""
        waiting = int(self._state[1])
        missing = -waiting % 8
        bits = int(self._state[0]) << missing | (1 << missing) - 1
        return stuff(bits.to_bytes((waiting + missing) // 8, "big"))

    def _take(self, end: int) -> bytes:
        return stuff(self._buffer[:end].tobytes())

    def _make_room(self, samples: int) -> None:
        needed = samples // 64 * BLOCK_BYTES + 4
        if self._buffer.size < needed:
            self._buffer = np.empty(needed, np.uint8)


def stuff(data: bytes) -> bytes:
    """Put a zero behind every byte of ones, so that it is no marker (T.81, F.1.2.3)."""
    return data.replace(b"\xff", b"\xff\0")


@kernel
def _write_color(
    y: Coefficients, cb: Coefficients, cr: Coefficients, dc: Numbers, ac: Numbers, state: Numbers, out: Buffer
) -> int:
    sampling = y.shape[0] // cb.shape[0]
    at = int(state[0]), int(state[1]), 0
    for i in range(cb.shape[0]):
        for j in range(cb.shape[1]):
            for v in range(sampling):
                for h in range(sampling):
                    at = _write_block(y[sampling * i + v, sampling * j + h], 2, dc, ac, state, out, at)
            at = _write_block(cb[i, j], 3, dc, ac, state, out, at)
            at = _write_block(cr[i, j], 4, dc, ac, state, out, at)
    state[0], state[1] = at[0], at[1]
    return at[2]


@kernel
def _write_grey(y: Coefficients, dc: Numbers, ac: Numbers, state: Numbers, out: Buffer) -> int:
    at = int(state[0]), int(state[1]), 0
    for i in range(y.shape[0]):
        for j in range(y.shape[1]):
            at = _write_block(y[i, j], 2, dc, ac, state, out, at)
    state[0], state[1] = at[0], at[1]
    return at[2]


@inlined
def _write_block(
    block: Coefficients, predictor: int, dc: Numbers, ac: Numbers, state: Numbers, out: Buffer, at: Place
) -> Place:
    difference = int(block[0]) - int(state[predictor])
    state[predictor] = block[0]
    at = _put_value(difference, 0, dc, out, at)
    zeros = 0
    for k in range(1, 64):
        value = int(block[k])
        if value == 0:
            zeros += 1
            continue
        while zeros > 15:
            at = _put(out, at, ac[_SIXTEEN_ZEROS, 0], ac[_SIXTEEN_ZEROS, 1])
            zeros -= 16
        at = _put_value(value, zeros, ac, out, at)
        zeros = 0
    if zeros:
        at = _put(out, at, ac[_END_OF_BLOCK, 0], ac[_END_OF_BLOCK, 1])
    return at


@inlined
def _put_value(value: int, zeros: int, codes: Numbers, out: Buffer, at: Place) -> Place:
    size = count_bits(abs(value))
    # Negative values are written less one, without their sign (T.81, F.1.2.1).
    bits = value if value >= 0 else value + (1 << size) - 1
    symbol = zeros * 16 + size
    return _put(out, at, codes[symbol, 0] << size | bits, codes[symbol, 1] + size)


@inlined
def _put(out: Buffer, at: Place, bits: int, length: int) -> Place:
    pending, count, end = at[0] << length | bits, at[1] + length, at[2]
    if count >= 32:
        count -= 32
        end = put_word(out, end, pending >> count)
        pending &= (1 << count) - 1
    return pending, count, end


@inlined
def put_word(out: Buffer, end: int, word: int) -> int:
    """Write the lowest 32 bits of `word` at `end`, and return where they end."""
    out[end] = word >> 24 & 0xFF
    out[end + 1] = word >> 16 & 0xFF
    out[end + 2] = word >> 8 & 0xFF
    out[end + 3] = word & 0xFF
    return end + 4
