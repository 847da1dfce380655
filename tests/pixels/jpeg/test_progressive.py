"""The progressive file of a draft: the same pixels in fewer bytes."""

import heapq
import itertools

import numpy as np
import pytest
import pyvips

from pixels.jpeg.baseline import encode_color, encode_grey
from pixels.jpeg.codes import LONGEST_BITS, fit_codes
from pixels.jpeg.progressive import WAYS, make_progressive
from tests.pixels import pictures


def decode(data):
    """Pixels by libvips, which refuses a file that libjpeg would warn of."""
    return pyvips.Image.new_from_buffer(data, "", fail_on="warning").numpy()


def encode(pixels, quality, *, half_chroma=True):
    pixels = np.frombuffer(pixels.tobytes(), np.uint8).reshape(pixels.shape)
    if pixels.ndim == 2:
        return encode_grey(pixels, quality)
    return encode_color(pixels, quality, half_chroma=half_chroma)


PICTURES = {
    "photo": np.asarray(pictures.photo(203, 131)),
    "noise": np.asarray(pictures.noise(90, 77)),
    "text": np.where(np.asarray(pictures.noise(120, 80))[..., :1] > 240, 0, 255).astype(np.uint8).repeat(3, 2),
    "flat": np.full((40, 40, 3), 90, np.uint8),
}


@pytest.mark.parametrize("way", WAYS, ids=str)
@pytest.mark.parametrize("quality", [10, 75, 100])
@pytest.mark.parametrize("name", PICTURES)
def test_every_way_to_cut_keeps_every_pixel(name, quality, way):
    for pixels, half_chroma in ((PICTURES[name], True), (PICTURES[name], False), (PICTURES[name][..., 1], False)):
        draft = encode(pixels, quality, half_chroma=half_chroma)
        assert np.array_equal(decode(make_progressive(draft, [way])), decode(draft))


def test_runs_of_more_blocks_than_a_code_can_tell_are_told_in_parts():
    """32,767 blocks that hold nothing, and more."""
    pixels = np.full((1472, 1472), 77, np.uint8)
    pixels[-4:, -4:] = 200
    draft = encode(pixels, 80)
    for way in WAYS:
        assert np.array_equal(decode(make_progressive(draft, [way])), decode(draft))


def test_it_takes_no_more_bytes_than_the_search_of_mozjpeg():
    """That tries 64 scans; ours leaves out what seldom helps."""
    transcoder = pytest.importorskip("mozjpeg_lossless_optimization")
    for quality in (50, 75, 90):
        draft = encode(np.asarray(pictures.photo(560, 380)), quality)
        assert len(make_progressive(draft)) < 1.005 * len(transcoder.optimize(draft))


def test_the_best_of_all_ways_is_taken():
    for pixels in PICTURES.values():
        draft = encode(pixels, 85)
        assert len(make_progressive(draft)) <= min(len(make_progressive(draft, [way])) for way in WAYS[:2]) + 4


def naive_bits(counts):
    """The bits of a Huffman code without a limit, with a symbol beside that comes once."""
    heap = [int(count) for count in counts if count] + [1]
    heapq.heapify(heap)
    bits = 0
    while len(heap) > 1:
        joined = heapq.heappop(heap) + heapq.heappop(heap)
        bits += joined
        heapq.heappush(heap, joined)
    return bits


def lengths_of(table):
    return dict(zip(table.symbols, np.repeat(np.arange(1, 17), list(table.lengths)).tolist(), strict=True))


@pytest.mark.parametrize("seed", range(5))
def test_codes_take_as_few_bits_as_can_be(seed):
    counts = np.random.default_rng(seed).geometric(0.01, 256) * (np.random.default_rng(seed).random(256) < 0.4)
    lengths = lengths_of(fit_codes(counts))
    assert set(lengths) == set(np.flatnonzero(counts))
    spent = sum(int(counts[symbol]) * length for symbol, length in lengths.items())
    # The reserved code is the longest, and of the shortest symbol's weight: it is in the naive sum.
    assert spent + max(lengths.values()) >= naive_bits(counts) >= spent


def test_codes_are_limited_and_none_is_all_ones():
    fibonacci = [1, 1]
    while len(fibonacci) < 30:
        fibonacci.append(fibonacci[-1] + fibonacci[-2])
    for counts in (np.array(fibonacci + [0] * 226), np.eye(256, dtype=np.int64)[7] * 5, np.ones(256, np.int64)):
        table = fit_codes(counts)
        codes = table.assign()
        used = codes[codes[:, 1] > 0]
        assert used[:, 1].max() <= LONGEST_BITS
        assert len(table.symbols) == np.count_nonzero(counts)
        assert (used[:, 0] < (1 << used[:, 1]) - 1).all()
        words = sorted(f"{code:0{length}b}" for code, length in used)
        assert not any(after.startswith(before) for before, after in itertools.pairwise(words))
