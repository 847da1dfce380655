"""Each kernel against the plain form of what it stands for."""

import itertools

import numpy as np
import pytest

from pixels.jpeg import dct, huffman, overshoot, planes, tables, trellis

RNG_SEED = 5


def random_plane(height, width, scale=100.0):
    return np.random.default_rng(RNG_SEED).normal(0, scale, (height, width)).astype(np.float32)


def cosines():
    k = np.arange(8)
    basis = np.cos((2 * k[None, :] + 1) * k[:, None] * np.pi / 16) / 2
    basis[0] /= np.sqrt(2)
    return basis


def naive_dct(block):
    """T.81, A.3.3, in float64."""
    return cosines() @ block.astype(np.float64) @ cosines().T


def enlarge(half):
    """What a decoder makes of half-size chroma: 3/4 of the nearer sample and 1/4 of the farther, each way."""
    for axis in range(2):
        padded = np.concatenate([half.take([0], axis), half, half.take([-1], axis)], axis)
        length = half.shape[axis]
        before, here, after = (padded.take(range(start, start + length), axis) for start in range(3))
        pair = np.stack([0.75 * here + 0.25 * before, 0.75 * here + 0.25 * after], axis + 1)
        half = pair.reshape([size * (2 if number == axis else 1) for number, size in enumerate(half.shape)])
    return half


def luminance(rgb):
    """Linear light of sRGB."""
    value = np.clip(rgb, 0, 255) / 255
    linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    return linear @ (0.2126, 0.7152, 0.0722)


def to_rgb(y, cb, cr):
    """JFIF's inverse, of planes about zero."""
    return np.stack([y + 1.402 * cr, y - 0.344136 * cb - 0.714136 * cr, y + 1.772 * cb], 2) + 128


def quantise(coefficients, trade):
    blocks = np.asarray(coefficients, np.float32).reshape(1, -1, 64)
    out = np.empty(blocks.shape, np.int16)
    trellis.choose(blocks, trade, trellis.BITS, np.empty(64, np.float32), np.empty((3, 64), np.int32), out)
    return out[0]


def price(block, values, trade):
    """Distortion plus lambda times bits, as `trellis` defines them."""
    weight = trade * (1 + 0.1 * np.log2(1 + np.square(block[1:]).sum()))
    bits, last = 0.0, 0
    for k in np.flatnonzero(values[1:]) + 1:
        bits += trellis.BITS[k - last - 1, int(abs(values[k])).bit_length()]
        last = k
    return np.square(block[1:] - values[1:]).sum() + weight * (bits + (3 if last < 63 else 0))


def test_a_block_is_transformed_scaled_and_put_in_the_order_of_the_file():
    plane, scale = random_plane(20, 27), np.linspace(0.1, 2, 64, dtype=np.float32)
    out = np.empty((2, 3, 64), np.float32)
    dct.transform(plane, 4, 1, scale, np.empty((8, 8), np.float32), out)
    for i, j in itertools.product(range(2), range(3)):
        top, left = 4 + 8 * i, 1 + 8 * j
        expected = naive_dct(plane[top : top + 8, left : left + 8]).ravel() * scale
        np.testing.assert_allclose(out[i, j], expected[tables.ZIGZAG], atol=2e-3)


def test_the_inverse_gives_the_samples_back():
    samples = np.random.default_rng(RNG_SEED).normal(0, 50, 8).astype(np.float32)
    np.testing.assert_allclose(dct.inverse_8(*dct.transform_8(*samples)), samples, atol=1e-3)


def as_blocks(plane):
    return plane.reshape(8, 8, 8, 8).transpose(0, 2, 1, 3).astype(np.float64)


def relax(plane, step):
    relaxed = plane.astype(np.float32)
    blocks = (plane.shape[0] // 8, plane.shape[1] // 8)
    scratch = [np.empty((8, 8), np.float32) for _ in range(2)]
    overshoot.relax(relaxed, 0, blocks, np.full((8, 8), step, np.float32), *scratch)
    return relaxed


def test_black_and_white_may_go_beyond_and_nothing_else_changes():
    """Text of greys between -100 and 100 on white and on black."""
    plane = np.full((16, 24), 127.0)
    plane[8:] = -128
    plane[3:13, 2:20] = np.random.default_rng(RNG_SEED).uniform(-100, 100, (10, 18))
    relaxed = relax(plane, 40)
    white, black = plane == 127, plane == -128
    assert (relaxed[white] >= 127).all()
    assert (relaxed[white] > 128).any()
    assert (relaxed[black] <= -128).all()
    assert (relaxed[black] < -129).any()
    assert np.array_equal(relaxed[~white & ~black], plane[~white & ~black].astype(np.float32))


def test_blocks_of_one_kind_are_left_alone():
    plane = np.random.default_rng(RNG_SEED).uniform(-100, 100, (16, 16))
    plane[:8, :8], plane[8:, :8] = 127, -128
    assert np.array_equal(relax(plane, 40), plane.astype(np.float32))


def test_what_is_decoded_comes_closer_with_no_more_values():
    """Black strokes on white, rounded to coarse steps."""
    rng = np.random.default_rng(RNG_SEED)
    plane = np.where(rng.uniform(size=(64, 64)) < 0.15, -100.0, 127.0)
    counts, errors = [], []
    for luma in (plane, relax(plane, 60)):
        rounded = np.rint(cosines() @ as_blocks(luma) @ cosines().T / 60)
        decoded = np.clip(cosines().T @ (rounded * 60) @ cosines(), -128, 127)
        counts.append(np.count_nonzero(rounded))
        errors.append(np.abs(decoded - as_blocks(plane)).mean())
    assert counts[1] <= counts[0]
    assert errors[1] < 0.8 * errors[0]


def test_the_order_of_the_file_is_that_of_the_standard():
    """T.81, figure A.6: the first, some from the middle, the last."""
    assert tables.ZIGZAG[:10].tolist() == [0, 1, 8, 16, 9, 2, 3, 10, 17, 24]
    assert tables.ZIGZAG[28:36].tolist() == [7, 14, 21, 28, 35, 42, 49, 56]
    assert sorted(tables.ZIGZAG.tolist()) == list(range(64))


def test_a_strip_repeats_the_border_of_the_image():
    rgb = np.random.default_rng(RNG_SEED).integers(0, 256, (5, 6, 3), dtype=np.uint8)
    y, cb, cr = (np.empty((12, 16), np.float32) for _ in range(3))
    planes.convert(rgb.reshape(len(rgb), -1), -4, y, cb, cr)
    padded = np.pad(rgb, ((4, 3), (0, 10), (0, 0)), mode="edge")
    np.testing.assert_allclose(to_rgb(y, cb, cr), padded, atol=0.01)


def test_grey_is_luma():
    grey = np.arange(35, dtype=np.uint8).reshape(5, 7)
    y = np.empty((8, 8), np.float32)
    planes.copy_grey(grey, 0, y)
    assert np.array_equal(y, np.pad(grey, ((0, 3), (0, 1)), mode="edge") - 128.0)


def halve(plane):
    half = np.empty((plane.shape[0] // 2, plane.shape[1] // 2 + 2), np.float32)
    planes.halve(plane, half)
    return half


def sharpen(half):
    sharp = half.copy()
    planes.sharpen(half, np.empty(half.shape[1], np.float32), sharp)
    return sharp


def test_half_chroma_is_the_mean_of_four():
    plane = random_plane(12, 16)
    half = halve(plane)
    np.testing.assert_allclose(half[:, 1:-1], plane.reshape(6, 2, 8, 2).mean((1, 3)), atol=1e-4)
    assert np.array_equal(half[:, 0], half[:, 1])
    assert np.array_equal(half[:, -1], half[:, -2])


def test_sharpened_chroma_comes_closer_to_the_original_once_it_is_enlarged():
    y, x = np.mgrid[:32, :48]
    plane = (60 * np.sin(x / 2) * np.cos(y / 3)).astype(np.float32)
    half = halve(plane)
    plain, sharp = (np.abs(enlarge(chroma[:, 1:-1]) - plane)[4:-4].mean() for chroma in (half, sharpen(half)))
    assert sharp < 0.75 * plain


@pytest.mark.parametrize(
    ("left", "right"),
    [((200, 40, 30), (40, 60, 160)), ((10, 10, 10), (220, 30, 160)), ((250, 250, 250), (240, 80, 10))],
)
def test_luma_makes_up_for_wrong_chroma_at_a_coloured_edge(left, right):
    """The error of luminance that halving chroma brings falls to less than 0.6 of it."""
    rgb = np.empty((24, 32, 3), np.uint8)
    rgb[:, :13], rgb[:, 13:] = left, right
    y, cb, cr = (np.empty((24, 32), np.float32) for _ in range(3))
    planes.convert(rgb.reshape(len(rgb), -1), 0, y, cb, cr)
    before = y.copy()
    half_cb, half_cr = sharpen(halve(cb)), sharpen(halve(cr))
    planes.correct_luma(rgb.shape[1], (cb, cr), (half_cb, half_cr), np.empty((4, 34), np.float32), y)
    decoded_cb, decoded_cr = enlarge(half_cb[:, 1:-1]), enlarge(half_cr[:, 1:-1])
    errors = [
        np.abs(luminance(to_rgb(luma, decoded_cb, decoded_cr)) - luminance(rgb))[4:-4].mean() for luma in (before, y)
    ]
    assert errors[1] < 0.6 * errors[0]


def test_grey_pixels_keep_their_luma():
    rgb = np.repeat(np.random.default_rng(RNG_SEED).integers(0, 256, (16, 16, 1), dtype=np.uint8), 3, axis=2)
    y, cb, cr = (np.empty((16, 16), np.float32) for _ in range(3))
    planes.convert(rgb.reshape(len(rgb), -1), 0, y, cb, cr)
    before = y.copy()
    planes.correct_luma(rgb.shape[1], (cb, cr), (halve(cb), halve(cr)), np.empty((4, 18), np.float32), y)
    np.testing.assert_allclose(y, before, atol=1e-3)


@pytest.mark.parametrize("seed", range(8))
def test_the_chosen_values_are_the_cheapest_of_all(seed):
    """Against every combination, on blocks with five values that need not be zero."""
    rng = np.random.default_rng(seed)
    block = rng.uniform(-0.45, 0.45, 64).astype(np.float32)
    where = rng.choice(np.arange(1, 64), 5, replace=False)
    block[where] = rng.uniform(0.5, 3, 5) * rng.choice((-1, 1), 5)
    trade = 0.12
    options = [sorted({0, int(abs(block[k]) + 0.5), max(int(abs(block[k]) + 0.5) - 1, 0)}) for k in where]
    cheapest = np.inf
    for levels in itertools.product(*options):
        values = np.zeros(64)
        values[where] = np.array(levels) * np.sign(block[where])
        cheapest = min(cheapest, price(block, values, trade))
    assert price(block, quantise(block, trade)[0], trade) == pytest.approx(cheapest, rel=1e-4)


def test_without_a_price_on_bits_values_are_rounded():
    blocks = np.random.default_rng(RNG_SEED).normal(0, 3, (20, 64)).astype(np.float32)
    assert np.array_equal(quantise(blocks, 0.0), np.rint(blocks))


def test_a_higher_price_leaves_fewer_values():
    blocks = np.random.default_rng(RNG_SEED).laplace(0, 1, (50, 64)).astype(np.float32)
    counts = [np.count_nonzero(quantise(blocks, trade)) for trade in (0, 0.03, 0.1, 0.3)]
    assert counts == sorted(counts, reverse=True)
    assert len(set(counts)) == 4


def test_values_stay_within_what_baseline_holds():
    block = np.full(64, 5000, np.float32)
    block[1::2] *= -1
    assert np.abs(quantise(block, 0.05)).max() == 1023


@pytest.mark.parametrize("codes", [huffman.DC_CODES, huffman.AC_CODES], ids=["DC", "AC"])
def test_no_code_begins_another(codes):
    used = [f"{code:0{length}b}" for code, length in codes.tolist() if length]
    assert len(used) in {12, 162}
    assert not any(other.startswith(code) for code in used for other in used if other is not code)


def test_a_byte_of_ones_is_followed_by_a_zero():
    """T.81, F.1.2.3."""
    writer = huffman.Writer()
    block = np.zeros((1, 1, 64), np.int16)
    block[0, 0, 1:] = 1023
    data = writer.write_grey(block) + writer.finish()
    assert b"\xff" in data
    assert all(data[at + 1] == 0 for at in range(len(data) - 1) if data[at] == 0xFF)


def test_strips_continue_one_scan():
    blocks = np.random.default_rng(RNG_SEED).integers(-40, 40, (4, 3, 64)).astype(np.int16)
    whole, parts = huffman.Writer(), huffman.Writer()
    expected = whole.write_grey(blocks) + whole.finish()
    assert parts.write_grey(blocks[:1]) + parts.write_grey(blocks[1:]) + parts.finish() == expected


@pytest.mark.parametrize("half_chroma", [False, True])
def test_steps_shrink_as_quality_grows(half_chroma):
    before = None
    for quality in (1, 20, 29.5, 30, 60, 83.3, 90, 100):
        found = np.stack(tables.quantisation_tables(quality, half_chroma=half_chroma)).astype(int)
        assert found.min() >= 1
        assert before is None or (found <= before).all()
        before = found
    assert (before == 1).all()
