"""Every kernel does what the plain float64 oracle does.

Whole planes stand for the rings that the kernels take.
"""

import numpy as np
import pytest

from pixels.butteraugli import bands, blur, color, comparator, diffmap, filters, malta, masking, norms, opsin, rings
from pixels.butteraugli import constants as c
from pixels.butteraugli.filters import FILTERS, find_edges
from pixels.butteraugli.strips import line_up
from tests.pixels.butteraugli import naive
from tests.pixels.butteraugli.conftest import distort, paint

F = np.float32
CHANNELS = (
    ("uhf", 0, c.UHF_X_MALTA, c.MALTA_SCALE),
    ("uhf", 1, c.UHF_Y_MALTA, c.MALTA_SCALE),
    ("hf", 0, c.HF_X_MALTA, c.MALTA_LF_SCALE),
    ("hf", 1, c.HF_Y_MALTA, c.MALTA_LF_SCALE),
    ("mf", 1, c.MF_Y_MALTA, c.MALTA_LF_SCALE),
)


def close(found, wanted, share=1e-5):
    """Within `share` of the largest value that is wanted."""
    np.testing.assert_allclose(found, wanted, rtol=0, atol=share * (np.abs(wanted).max() + 1e-9))


def rows(width, count=7):
    return np.empty((count, width + 24), F)


def empty(*shape):
    return np.full(shape, np.nan, F)


@pytest.fixture
def split_pair(pair):
    return [naive.split(naive.opsin_dynamics(naive.linearize(image))) for image in pair]


def high_of(split):
    return np.concatenate((split["hf"], split["uhf"])).astype(F)


def low_of(split):
    return np.ascontiguousarray(np.concatenate((split["mf"], split["lf"]))[:, ::2, ::2], F)


def edges_of(shape):
    return find_edges(shape[1]), find_edges(shape[0])


def test_linearize(pair):
    """A region of an image, which begins at an even row and column, in two parts; and its means over 2 x 2 pixels."""
    h, w, _ = pair[0].shape
    out, halves = empty(3, h - 4, w - 6), empty(3, (h + 1) // 2, (w + 1) // 2)
    images, strip = pair[0][None], line_up(1, w - 6)
    color.linearize(images, color.LINEAR, strip, (4, 6), 0, 8, out, halves)
    color.linearize(images, color.LINEAR, strip, (4, 6), 8, h - 4, out, halves)
    wanted = naive.linearize(pair[0])
    close(out, wanted[:, 4:, 6:])
    close(halves[:, 2:, 3:], naive.halve(wanted)[:, 2:, 3:])


def test_copy_rows(pair):
    linear = naive.linearize(pair[0]).astype(F)
    out = empty(3, 8, 12)
    color.copy_rows(linear, 3, 5, 0, 8, out)
    close(out, linear[:, 3:11, 5:17])


def test_a_ring_keeps_the_latest_rows():
    """Eight rows of a ring are filled with sixteen: each kernel finds row y at y modulo 8."""
    linear = np.random.default_rng(1).random((3, 16, 20)).astype(F)
    ring = empty(3, 8, 20)
    color.copy_rows(linear, 0, 0, 0, 8, ring)
    color.copy_rows(linear, 0, 0, 8, 16, ring)
    assert [rings.slot(8, y) for y in range(8, 16)] == list(range(8))
    assert [rings.slot(27, y) for y in (0, 26)] == [0, 26]
    close(ring, linear[:, 8:])
    whole, wrapped = empty(2, 16, 20), empty(2, 16, 20)
    opsin.respond(linear, line_up(1, 20), 16, 10, 14, rows(20), whole, empty(16, 20))
    opsin.respond(ring, line_up(1, 20), 16, 10, 14, rows(20), wrapped, empty(16, 20))
    assert (whole[:, 10:14] == wrapped[:, 10:14]).all()


def respond(linear):
    _, h, w = linear.shape
    xy, blue = empty(2, h, w), empty(h, w)
    opsin.respond(linear.astype(F), line_up(1, w), h, 0, h, rows(w), xy, blue)
    return np.concatenate((xy, blue[None]))


def test_opsin(pair):
    linear = naive.linearize(pair[0])
    close(respond(linear), naive.opsin_dynamics(linear))


def test_opsin_over_its_whole_range():
    """The response is a quotient of cubics instead of a logarithm."""
    linear = np.repeat(np.linspace(0, 1, 64)[None, None, :], 9, axis=1).repeat(3, axis=0)
    linear[0] = linear[0, :, ::-1]
    close(respond(linear), naive.opsin_dynamics(linear))


def blur_plane(plane, sigma):
    weights = filters.gaussian(sigma)
    scales = [filters.edge_scale(np.ones(length), weights) for length in plane.shape]
    h, w = plane.shape
    out = empty(h, w)
    for y in range(h):
        blur.blur_row(plane.astype(F), y, 1, weights.astype(F), scales[1], scales[0], rows(w)[0], out[y])
    return out


@pytest.mark.parametrize("sigma", [c.HF_SIGMA, c.MASK_SIGMA, c.MF_SIGMA])
def test_blur(pair, sigma):
    plane = pair[0][:, :, 1].astype(float)
    close(blur_plane(plane, sigma), naive.blur(plane, sigma))


def test_blur_of_a_plane_smaller_than_the_filter():
    plane = np.random.default_rng(1).normal(size=(4, 5))
    close(blur_plane(plane, c.MASK_SIGMA), naive.blur(plane, c.MASK_SIGMA))


def test_downsample(pair):
    plane = pair[0][:, :, 0].astype(float)
    h, w = plane.shape
    # An even side ends as it begins, with its last pixel again; an odd one in the middle of a cell.
    padded = np.pad(plane, ((1, 0), (1, 0)), mode="edge")
    for axis in (0, 1):
        even = plane.shape[axis] % 2 == 0
        padded = np.pad(padded, [(0, 2 * (a == axis)) for a in (0, 1)], mode="edge" if even else "constant")
    cells = (h + 1) // 2, (w + 1) // 2
    wanted = sum(
        filters.CELL[i] * filters.CELL[j] * padded[i : i + 2 * cells[0] : 2, j : j + 2 * cells[1] : 2]
        for i in range(4)
        for j in range(4)
    )
    out = empty(*cells)
    blur.downsample(plane.astype(F), line_up(1, w), h, 0, cells[0], rows(w)[0], out)
    close(out, wanted)


def upsample(plane, h, w):
    def axis(v, length):
        """Linear, and on along the last two samples beyond the ends."""
        at = np.arange(length) / 2 - 0.25
        left = np.clip(np.floor(at).astype(int), 0, len(v) - 2)
        return v[left] + (at - left) * (v[left + 1] - v[left])

    tall = np.apply_along_axis(axis, 0, plane, h)
    return np.apply_along_axis(axis, 1, tall, w)


def low_bands(xyb):
    _, h, w = xyb.shape
    cells = (h + 1) // 2, (w + 1) // 2
    half, rest, low, base = empty(3, *cells), empty(3, *cells), empty(6, *cells), empty(2, *cells)
    for channel in range(3):
        blur.downsample(xyb[channel].astype(F), line_up(1, w), h, 0, cells[0], rows(w)[0], half[channel])
    bands.split_lf(half, FILTERS.lf, edges_of((h, w)), 0, cells[0], rows(w), rest, low)
    bands.split_mf(rest, FILTERS.mf, edges_of((h, w)), 0, cells[0], rows(w)[0], low, base)
    return base, low


@pytest.mark.parametrize("shape", [(64, 72), (65, 71)])
def test_low_bands_at_half_resolution_follow_the_full_ones(shape):
    """Within 5 % of the band's largest value, the border included."""
    xyb = naive.opsin_dynamics(naive.linearize(paint(*shape)))
    wanted = naive.split(xyb)
    _, low = low_bands(xyb)
    # MF without the steps around zero, which are no part of the blur.
    wanted["mf"] = np.stack([naive.blur(plane - lf, c.MF_SIGMA) for plane, lf in zip(xyb, wanted["lf"], strict=True)])
    for index, name, channels in ((0, "mf", (2,)), (3, "lf", (0, 1, 2))):
        for channel in channels:
            found = upsample(low[index + channel], *shape)
            close(found, wanted[name][channel], 0.05)


def test_a_flat_image_has_only_lf():
    xyb = np.full((3, 27, 34), 5.0)
    base, low = low_bands(xyb)
    np.testing.assert_allclose(low[:3], 0, atol=1e-5)
    close(low[3:], np.full_like(low[3:], 5))
    close(base[:2], np.full_like(base[:2], 5))


def test_high_bands(pair):
    xyb = naive.opsin_dynamics(naive.linearize(pair[0]))
    _, h, w = xyb.shape
    base, _ = low_bands(xyb)
    fine = xyb[:2] - np.stack([upsample(base[channel], h, w) for channel in range(2)])
    fine[0] *= c.SUPPRESS_X_FLOOR + (1 - c.SUPPRESS_X_FLOOR) * c.SUPPRESS_X_BY_Y / (fine[1] ** 2 + c.SUPPRESS_X_BY_Y)
    wanted = naive.split_fine(fine)
    high, left = empty(4, h, w), xyb[:2].astype(F)
    bands.leave_fine(base, edges_of((h, w)), 0, h, rows(w), left)
    close(left, fine)
    bands.split_high(left, FILTERS.hf, edges_of((h, w)), 0, h, rows(w)[0], high)
    close(high[:2], wanted["hf"])
    close(high[2:], wanted["uhf"])


@pytest.mark.parametrize(("band", "channel", "weights", "scale"), CHANNELS)
def test_malta(split_pair, band, channel, weights, scale):
    one, two = (split[band][channel] for split in split_pair)
    h, w = one.shape
    found, busy = empty(h + 8, w + 8), np.ones(h + 8, bool)
    malta.difference(one.astype(F), two.astype(F), malta.scale_weights(weights, scale), (0, h + 8, h), found, busy)
    wanted = naive.malta_difference(one, two, weights, scale)
    close(found, np.pad(wanted, 4))
    assert (busy == np.pad(wanted, 4).any(axis=1)).all()
    sums, dense, sparse = empty(4, h + 8, w + 8), np.ones((h, w), F), np.ones((h, w), F)
    malta.sum_neighbours(found, 0, h + 8, sums)
    malta.add_lines(found, sums, busy, 0, h, dense)
    malta.add_sparse_lines(found, busy, 0, h, sparse)
    close(dense - 1, naive.malta_lines(wanted, naive.LINES), 1e-4)
    close(sparse - 1, naive.malta_lines(wanted, naive.SPARSE_LINES), 1e-4)


def test_malta_at_half_resolution_follows_that_at_full():
    """For a difference without fine detail, and seen from the middle of a cell."""

    def field(rows_at, columns_at):
        hump = np.exp(-((columns_at - 31) ** 2 + (rows_at - 33) ** 2) / 150)
        return hump * np.cos(columns_at / 4) * np.cos(rows_at / 5 + 1)

    middle = 2 * np.mgrid[:32, :32] + 0.5
    wanted = np.zeros((32, 32))
    for line in naive.SPARSE_LINES:
        offsets = [(0, 0), *line, *((-right, -down) for right, down in line)]
        wanted += sum(field(middle[0] + down, middle[1] + right) for right, down in offsets) ** 2
    d, between, out = np.pad(field(*middle), 4).astype(F), empty(3, 40, 40), np.zeros((32, 32), F)
    malta.interpolate(d, 0, 40, between)
    malta.add_sparse_lines_at_half(d, between, np.ones(40, bool), 0, 32, out)
    close(out[4:-4, 4:-4], wanted[4:-4, 4:-4], 0.02)


@pytest.mark.parametrize("shape", [(24, 32), (27, 21)])
def test_visibility(shape):
    """The mask is eroded at full resolution, and never below 0; what LF takes are means over 2 x 2 pixels."""
    h, w = shape
    blurred = np.random.default_rng(3).random(((h + 1) // 2, (w + 1) // 2)) * 3
    ac, dc = empty(h, w), empty(*blurred.shape)
    masking.find_visibility(blurred.astype(F), line_up(1, w), empty(8, w + 8), rows(w), ac, dc)
    mask = naive.erode(np.maximum(0, upsample(blurred, h, w)))
    close(ac, naive.visibility(mask, c.AC_MASK))
    close(dc, naive.halve(naive.visibility(mask, c.DC_MASK)[None])[0])


def test_activity_and_its_difference(split_pair):
    """Blurred at half resolution, within 6 % of the oracle's largest value, the border included."""
    h, w = split_pair[0]["hf"][0].shape
    cells, edges = ((h + 1) // 2, (w + 1) // 2), edges_of((h, w))
    sensed, blurred = [], []
    for split in split_pair:
        activity, half, out = empty(h, w), empty(*cells), empty(*cells)
        masking.sense(high_of(split), 0, h, activity)
        wanted = naive.mask_activity(split["hf"], split["uhf"])
        close(activity, wanted)
        blur.downsample(activity, line_up(1, w), h, 0, cells[0], rows(w)[0], half)
        masking.blur(half, FILTERS.mask, edges, rows(w)[0], out)
        close(upsample(out, h, w), naive.blur(wanted, c.MASK_SIGMA), 0.06)
        sensed.append(half)
        blurred.append(out)
    ac = np.ones(cells, F)
    diffmap.add_mask_difference(sensed[1], blurred[0], FILTERS.mask, edges, (0, cells[0]), rows(w), ac)
    close(ac - 1, c.MASK_ACTIVITY_SQUARED * (blurred[0].astype(float) - blurred[1]) ** 2, 1e-4)


def test_squares(split_pair):
    one, two = split_pair
    high = [high_of(split) for split in split_pair]
    ac = empty(*high[0].shape[1:])
    diffmap.square_high(high[0], high[1], 0, ac.shape[0], ac)
    hf = [split["hf"] for split in split_pair]
    wanted = naive.square_hf(hf[0][0], hf[1][0], c.HF_X_SQUARED) + naive.square_hf(hf[0][1], hf[1][1], c.HF_Y_SQUARED)
    close(ac, wanted)
    low = [low_of(split) for split in split_pair]
    ac, dc = empty(*low[0].shape[1:]), empty(*low[0].shape[1:])
    visibility = np.linspace(1, 2, dc.size, dtype=F).reshape(dc.shape)
    diffmap.square_low(low[0], low[1], visibility, 0, ac.shape[0], ac, dc)
    mf = [split["mf"][:, ::2, ::2] for split in (one, two)]
    close(ac, np.tensordot((c.MF_X_SQUARED, c.MF_Y_SQUARED, c.MF_B_SQUARED), (mf[0] - mf[1]) ** 2, 1))
    lf = [naive.lf_values(split["lf"][:, ::2, ::2]) for split in (one, two)]
    squares = np.tensordot((c.LF_X_SQUARED, c.LF_Y_SQUARED, c.LF_B_SQUARED), (lf[0] - lf[1]) ** 2, 1)
    close(dc, squares * visibility, 1e-4)


@pytest.mark.parametrize("shape", [(24, 32), (27, 21)])
def test_weigh_and_join(shape):
    """The core of a tile is written where it lies in the image, and nothing else is touched."""
    rng = np.random.default_rng(5)
    h, w = shape
    half = (h + 1) // 2, (w + 1) // 2
    ac, low_ac, low_dc, visibility = rng.random(shape), rng.random(half), rng.random(half), rng.random(shape)
    out = np.zeros((h + 3, w + 4), F)
    low = low_ac.astype(F), low_dc.astype(F)
    # The tile begins at row 2 and column 3 of the image; its core is its rows 1 to h - 2, the image's columns 5 to w.
    diffmap.weigh(ac.astype(F), low, visibility.astype(F), line_up(1, w), (1, h - 2), (2, 3, 5, w), rows(w), out)
    square = (ac + upsample(low_ac, h, w)) * visibility + upsample(low_dc, h, w)
    wanted = np.zeros_like(out)
    wanted[3:h, 5:w] = np.sqrt(np.maximum(0, square))[1 : h - 2, 2 : w - 3]
    close(out, wanted)
    full, coarse, joined = rng.random(shape).astype(F), rng.random(half).astype(F), empty(h, w)
    diffmap.join_scales(full, coarse, joined)
    spread = coarse.repeat(2, 0).repeat(2, 1)[:h, :w]
    close(joined, c.FULL_SCALE_WEIGHT * full + c.HALF_SCALE_WEIGHT * spread)


@pytest.mark.parametrize("margin_px", [0, 3])
def test_powers(margin_px):
    rng = np.random.default_rng(2)
    full, half, joined, sums = rng.random((20, 31)) * 9, rng.random((10, 16)) * 9, empty(20, 31), np.zeros(4)
    diffmap.join_scales(full.astype(F), half.astype(F), joined)
    inside = slice(margin_px, 20 - margin_px), slice(margin_px, 31 - margin_px)
    count = (20 - 2 * margin_px) * (31 - 2 * margin_px)
    norms.add_powers(full.astype(F), half.astype(F), (0, 0), 31, margin_px, rows(31), sums)
    np.testing.assert_allclose(norms.tally(sums, count).distance(), naive.distance(joined[inside]), rtol=1e-5)
    sums[:] = 0
    norms.add_powers(full.astype(F), empty(0, 0), (0, 0), 31, margin_px, rows(31), sums)
    np.testing.assert_allclose(norms.tally(sums, count).distance(), naive.distance(full[inside]), rtol=1e-5)


@pytest.mark.parametrize("shape", [(64, 72), (65, 71), (150, 88)])
def test_whole(shape):
    """All kernels together: 5 % of the largest distance at every pixel, 10 % at the border; 1 % of the 3-norm."""
    pair = paint(*shape), distort(paint(*shape), 6)
    judge = comparator.Comparator(pair[0])
    found, wanted = judge.diffmap(pair[1]), naive.diffmap(*pair)
    close(found, wanted, 0.1)
    interior = slice(16, -16), slice(16, -16)
    np.testing.assert_allclose(found[interior], wanted[interior], rtol=0, atol=0.05 * wanted.max())
    assert judge.compare(pair[1]).norm3 == pytest.approx(naive.distance(wanted)[1], rel=0.01)
