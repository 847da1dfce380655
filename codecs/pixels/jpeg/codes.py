"""Huffman codes as a JPEG states them, and those that fit best what is to be written."""

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from pixels.jpeg.jit import inlined, kernel

#: int64 arrays: of counts, or of a code and its length in bits for each symbol, [256, 2].
Numbers = npt.NDArray[np.int64]

LONGEST_BITS: Final = 16
SYMBOLS: Final = 256


class CodeTable(NamedTuple):
    """A table as a file has it (T.81, B.2.4.2).

    Attributes
    ----------
    lengths
        How many codes there are of 1, 2 ... 16 bits.
    symbols
        What they stand for, shortest first.
    """

    lengths: bytes
    symbols: bytes

    def assign(self) -> Numbers:
        """Return the code and its length in bits of each symbol, 0 for none: int64[256, 2] (T.81, annex C)."""
        lengths = np.repeat(np.arange(1, LONGEST_BITS + 1), list(self.lengths))
        # Each code is the sum of the shares of all 16-bit words that those before it take.
        shares = 1 << (LONGEST_BITS - lengths)
        codes = np.zeros((SYMBOLS, 2), np.int64)
        codes[list(self.symbols), 0] = (np.cumsum(shares) - shares) >> (LONGEST_BITS - lengths)
        codes[list(self.symbols), 1] = lengths
        return codes


def fit_codes(counts: Numbers) -> CodeTable:
    """Return the codes that take the fewest bits for symbols that come as often as `counts`, int64[256], tells."""
    lengths = np.empty(SYMBOLS + 1, np.int64)
    numbers = np.empty(SYMBOLS + 1, np.int64)
    _find_lengths(counts, lengths, numbers, np.empty((3, SYMBOLS + 1), np.int64))
    # The one that keeps all ones free comes last of the longest, and is no symbol.
    used = np.flatnonzero(lengths[:SYMBOLS])
    symbols = used[np.argsort(lengths[used], kind="stable")]
    return CodeTable(bytes(numbers[1 : LONGEST_BITS + 1].tolist()), bytes(symbols.tolist()))


@kernel
def _find_lengths(counts: Numbers, lengths: Numbers, numbers: Numbers, scratch: Numbers) -> None:
    """Find the lengths of the codes of all symbols that come (T.81, K.2).

    Parameters
    ----------
    lengths
        int64[257], becomes the length of each symbol's code before it is limited; the last is of a symbol that comes
        once, so that no other has a code of only ones.
    numbers
        int64[257], becomes how many codes of each length there are, none longer than 16 bits, without that symbol's.
    scratch
        int64[3, 257].
    """
    weights, others, used = scratch[0], scratch[1], scratch[2]
    count = 0
    for symbol in range(SYMBOLS + 1):
        lengths[symbol] = 0
        others[symbol] = -1
        weights[symbol] = counts[symbol] if symbol < SYMBOLS else 1
        if weights[symbol] > 0:
            used[count] = symbol
            count += 1
    while count > 1:
        count = _join_lightest(weights, others, used, count, lengths)
    numbers[:] = 0
    for symbol in range(SYMBOLS + 1):
        if lengths[symbol]:
            numbers[lengths[symbol]] += 1
    _limit(numbers)


@inlined
def _join_lightest(weights: Numbers, others: Numbers, used: Numbers, count: int, lengths: Numbers) -> int:
    """Hang two of `count` trees together, all symbols of which get codes a bit longer; return how many are left.

    Of equal weights the later symbol goes first, so that the reserved one gets the longest code.
    """
    least, second = 0, -1
    for at in range(1, count):
        weight = weights[used[at]]
        if weight <= weights[used[least]]:
            least, second = at, least
        elif second < 0 or weight <= weights[used[second]]:
            second = at
    node, other = used[least], used[second]
    weights[node] += weights[other]
    for at in range(second, count - 1):
        used[at] = used[at + 1]
    lengths[node] += 1
    while others[node] >= 0:
        node = others[node]
        lengths[node] += 1
    others[node] = other
    while other >= 0:
        lengths[other] += 1
        other = others[other]
    return count - 1


@inlined
def _limit(numbers: Numbers) -> None:
    """Shorten the longest codes to 16 bits by making others longer, and take the reserved one out."""
    for length in range(SYMBOLS, LONGEST_BITS, -1):
        while numbers[length] > 0:
            shorter = length - 2
            while numbers[shorter] == 0:
                shorter -= 1
            numbers[length] -= 2
            numbers[length - 1] += 1
            numbers[shorter + 1] += 2
            numbers[shorter] -= 1
    longest = LONGEST_BITS
    while longest > 1 and numbers[longest] == 0:
        longest -= 1
    numbers[longest] -= 1
