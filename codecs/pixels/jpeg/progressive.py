"""Writes a draft anew as a progressive file: the same coefficients in fewer bytes.

What makes it small is that every scan has codes of its own, and that blocks which hold no more are told by the run. How
best to cut the coefficients into scans depends on the picture. Of the 64 scans that mozjpeg's search tries, a few ways
make nearly all of the difference, and a part of the rows tells which is best: as many bytes as that search (0.997-1.002
of them on photographs and drawings) for a sixth to a tenth of its time.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from pixels.jpeg import scans
from pixels.jpeg.codes import SYMBOLS, CodeTable, Numbers, fit_codes
from pixels.jpeg.draft import Draft, read_draft
from pixels.jpeg.huffman import stuff
from pixels.jpeg.scans import CHROMA_DC, Records
from pixels.jpeg.segments import write_segment

_END: Final = b"\xff\xd9"
_SOF2, _DHT, _SOS = 0xC2, 0xC4, 0xDA
_AC_TABLE: Final = 0x10
#: From so many blocks of a component on, every fourth row of them tells how to cut.
_MANY_BLOCKS: Final = 4096
_ROW_STEP: Final = 4
#: A scan's two segments, without the symbols of its table.
_HEADER_BITS: Final = 8 * (2 + 2 + 1 + 16 + 2 + 2 + 6)

Band = tuple[int, int]


class Way(NamedTuple):
    """How to cut a component's AC coefficients: into bands, and, of all of them, how many lowest bits follow singly."""

    bands: tuple[Band, ...]
    low: int


_ALL: Final = (1, 63)
#: The two that most blocks have, in a scan of their own: the rest then makes longer runs.
_TWO: Final = ((1, 2), (3, 63))
#: A way is tried where the one before was better than all before it.
WAYS: Final = (Way((_ALL,), 0), Way(_TWO, 0), Way(_TWO, 1), Way(_TWO, 2))

#: The bits behind each symbol: those of a value, or of the length of a run.
_SYMBOL: Final = np.arange(SYMBOLS)
_DC_BITS: Final = _SYMBOL % CHROMA_DC
_AC_BITS: Final = np.where(_SYMBOL % 16, _SYMBOL % 16, _SYMBOL // 16 % 15)


class _Scan(NamedTuple):
    """A scan: its band, and how many lowest bits the ones before left out, or 0 for the first, and it does."""

    band: Band
    high: int
    low: int


def make_progressive(data: bytes, ways: Sequence[Way] = WAYS) -> bytes:
    """Return what `huffman.Writer` wrote as a progressive file of the same pixels, cut in the best of some ways."""
    draft = read_draft(data)
    coder = _Coder(draft)
    made = [coder.write_dc()]
    for component, grid in enumerate(draft.grids):
        way = coder.choose(grid, ways)
        made += [coder.write(component, scan) for scan in _cut(way)]
    head = bytearray(data[: draft.frame_end])
    head[draft.frame_marker] = _SOF2
    return b"".join((head, *made, _END))


def _cut(way: Way) -> list[_Scan]:
    first = [_Scan(band, 0, way.low) for band in way.bands]
    return first + [_Scan(_ALL, low + 1, low) for low in reversed(range(way.low))]


class _Coder:
    def __init__(self, draft: Draft) -> None:
        self._draft = draft
        room = max(scans.most_records(draft.values, grid) for grid in draft.grids)
        room = max(room, draft.dc.size)
        self._records: Records = np.empty(room, np.int32)
        self._waiting = np.empty(scans.WAITING_BITS, np.uint8)

    def write_dc(self) -> bytes:
        """Return the scan of the DC values of all components."""
        counts = np.zeros(SYMBOLS, np.int64)
        count = scans.code_dc(self._draft.dc, self._draft.components, self._records, counts)
        code_of = np.zeros((SYMBOLS + 1, 2), np.int64)
        tables = {}
        components = range(len(self._draft.grids))
        for number in {_dc_table(component) for component in components}:
            symbols = slice(number * CHROMA_DC, (number + 1) * CHROMA_DC)
            tables[number] = fit_codes(np.pad(counts[symbols], (0, SYMBOLS - CHROMA_DC)))
            code_of[symbols] = tables[number].assign()[:CHROMA_DC]
        bits = int(counts @ (code_of[:SYMBOLS, 1] + _DC_BITS))
        chosen = [(component, _dc_table(component) << 4) for component in components]
        return self._write(count, code_of, bits, tables, _describe(chosen, _Scan((0, 0), 0, 0)))

    def choose(self, grid: Numbers, ways: Sequence[Way]) -> Way:
        """Return the best way to cut the component whose blocks are `grid`."""
        if len(ways) == 1:
            return ways[0]
        step = _ROW_STEP if grid.size >= _MANY_BLOCKS else 1
        some = grid[::step].ravel()
        best, least = ways[0], 0.0
        for way in ways:
            bits = sum(self._count_bits(some, scan, step) for scan in _cut(way))
            if least and bits >= least:
                break
            best, least = way, bits
        return best

    def write(self, component: int, scan: _Scan) -> bytes:
        """Return a scan of a component."""
        count, counts = self._code(self._draft.grids[component].ravel(), scan)
        table = fit_codes(counts)
        code_of = np.zeros((SYMBOLS + 1, 2), np.int64)
        code_of[:SYMBOLS] = table.assign()
        bits = _count_ac_bits(counts, table, count)
        return self._write(count, code_of, bits, {_AC_TABLE: table}, _describe([(component, 0)], scan))

    def _count_bits(self, blocks: Numbers, scan: _Scan, step: int) -> float:
        """Estimate what a scan takes of which these blocks are one in `step`."""
        count, counts = self._code(blocks, scan)
        table = fit_codes(counts)
        return step * _count_ac_bits(counts, table, count) + _HEADER_BITS + 8 * len(table.symbols)

    def _code(self, blocks: Numbers, scan: _Scan) -> tuple[int, Numbers]:
        counts = np.zeros(SYMBOLS, np.int64)
        values, records = self._draft.values, self._records
        if scan.high:
            return scans.code_again(values, blocks, scan.low, self._waiting, records, counts), counts
        return scans.code_first(values, blocks, scan.band, scan.low, records, counts), counts

    def _write(self, count: int, code_of: Numbers, bits: int, tables: dict[int, CodeTable], head: bytes) -> bytes:
        out = np.empty(bits // 8 + 8, np.uint8)
        end = scans.write(self._records, count, code_of, out)
        body = b"".join(bytes((number,)) + table.lengths + table.symbols for number, table in tables.items())
        return b"".join((write_segment(_DHT, body), write_segment(_SOS, head), stuff(out[:end].tobytes())))


def _count_ac_bits(counts: Numbers, table: CodeTable, records: int) -> int:
    # A record without a symbol is a single bit.
    return int(counts @ (table.assign()[:, 1] + _AC_BITS)) + records - int(counts.sum())


def _dc_table(component: int) -> int:
    return min(component, 1)


def _describe(components: list[tuple[int, int]], scan: _Scan) -> bytes:
    """Return the head of a scan of some components, each with its tables (T.81, B.2.3)."""
    chosen = b"".join(bytes((component + 1, tables)) for component, tables in components)
    return bytes((len(components),)) + chosen + bytes((*scan.band, scan.high << 4 | scan.low))
