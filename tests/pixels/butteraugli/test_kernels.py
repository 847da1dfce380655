"""Every kernel does what the plain float64 oracle does."""

import numpy as np
import pytest

from pixels.butteraugli import bands, blur, color, comparator, diffmap, malta, masking, norms, opsin
from pixels.butteraugli import constants as c
from pixels.butteraugli.workspace import Edges
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


def test_linearize(pair):
    out = empty(3, *pair[0].shape[:2])
    color.linearize(pair[0], color.LINEAR, out)
    close(out, naive.linearize(pair[0]))


def test_halve(pair):
    wanted = naive.halve(naive.linearize(pair[0]))
    out = empty(*wanted.shape)
    color.halve(pair[0], color.LINEAR, out)
    close(out, wanted)


def test_opsin(pair):
    linear = naive.linearize(pair[0])
    out = empty(*linear.shape)
    opsin.respond(linear.astype(F), rows(linear.shape[2]), out)
    close(out, naive.opsin_dynamics(linear))


def test_opsin_over_its_whole_range():
    """The response is a quotient of cubics instead of a logarithm."""
    linear = np.repeat(np.linspace(0, 1, 64)[None, None, :], 9, axis=1).repeat(3, axis=0)
    linear[0] = linear[0, :, ::-1]
    out = empty(*linear.shape)
    opsin.respond(linear.astype(F), rows(64), out)
    close(out, naive.opsin_dynamics(linear))


@pytest.mark.parametrize("sigma", [c.HF_SIGMA, c.MASK_SIGMA, c.MF_SIGMA])
def test_blur(pair, sigma):
    plane = pair[0][:, :, 1].astype(float)
    weights = blur.gaussian(sigma)
    scales = [blur.edge_scale(np.ones(length), weights) for length in plane.shape]
    out = empty(*plane.shape)
    masking.blur(plane.astype(F), weights.astype(F), scales[1], scales[0], rows(plane.shape[1])[0], out)
    close(out, naive.blur(plane, sigma))


def test_blur_of_a_plane_smaller_than_the_filter():
    plane = np.random.default_rng(1).normal(size=(4, 5))
    weights = blur.gaussian(c.MASK_SIGMA)
    scales = [blur.edge_scale(np.ones(length), weights) for length in plane.shape]
    out = empty(4, 5)
    masking.blur(plane.astype(F), weights.astype(F), scales[1], scales[0], rows(5)[0], out)
    close(out, naive.blur(plane, c.MASK_SIGMA))


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
        blur.CELL[i] * blur.CELL[j] * padded[i : i + 2 * cells[0] : 2, j : j + 2 * cells[1] : 2]
        for i in range(4)
        for j in range(4)
    )
    out = empty(*cells)
    blur.downsample(plane.astype(F), rows(w)[0], out)
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
    x, y = Edges(w), Edges(h)
    half = empty(3, (h + 1) // 2, (w + 1) // 2)
    for channel in range(3):
        blur.downsample(xyb[channel].astype(F), rows(w)[0], half[channel])
    low = empty(6, *half.shape[1:])
    filters = (bands.LF_WEIGHTS.astype(F), bands.MF_WEIGHTS.astype(F))
    bands.split_low(half, filters, x.low, y.low, rows(w), empty(*half.shape), low)
    return half, low


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
    high = empty(4, h, w)
    weights = bands.HF_WEIGHTS.astype(F)
    bands.split_high(xyb.astype(F), base, weights, Edges(w).hf, Edges(h).hf, rows(w)[0], high)
    close(high[:2], wanted["hf"])
    close(high[2:], wanted["uhf"])


@pytest.mark.parametrize(("band", "channel", "weights", "scale"), CHANNELS)
def test_malta(split_pair, band, channel, weights, scale):
    one, two = (split[band][channel] for split in split_pair)
    h, w = one.shape
    found, busy = empty(h + 8, w + 8), np.ones(h + 8, bool)
    malta.difference(one.astype(F), two.astype(F), malta.scale_weights(weights, scale), found, busy)
    wanted = naive.malta_difference(one, two, weights, scale)
    close(found, np.pad(wanted, 4))
    assert (busy == np.pad(wanted, 4).any(axis=1)).all()
    triples, dense, sparse = empty(2, h + 8, w + 8), np.ones((h, w), F), np.ones((h, w), F)
    malta.sum_triples(found, triples[0], triples[1])
    malta.add_lines(found, triples, dense)
    malta.add_sparse_lines(found, busy, sparse)
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
    malta.interpolate(d, between)
    malta.add_sparse_lines_at_half(d, between, np.ones(40, bool), out)
    close(out[4:-4, 4:-4], wanted[4:-4, 4:-4], 0.02)


def test_erosion(split_pair):
    plane = np.abs(split_pair[0]["uhf"][1]).astype(F)
    out = empty(*plane.shape)
    masking.erode(plane, rows(plane.shape[1]), out)
    close(out, naive.erode(plane))


def test_mask(split_pair):
    one, two = split_pair
    h, w = one["hf"][0].shape
    activities, visibility = empty(2, h, w), empty(2, h, w)
    for split, out in zip(split_pair, activities, strict=True):
        masking.sense(high_of(split), out)
        close(out, naive.mask_activity(split["hf"], split["uhf"]))
    weights, x, y = masking.WEIGHTS.astype(F), Edges(w).mask, Edges(h).mask
    blurred = empty(h, w)
    masking.blur(activities[0], weights, x, y, rows(w)[0], blurred)
    masking.find_visibility(blurred, visibility[0], visibility[1])
    close(visibility[0], naive.visibility(blurred, c.AC_MASK))
    close(visibility[1], naive.visibility(blurred, c.DC_MASK))
    ac = np.ones((h, w), F)
    diffmap.add_mask_difference(activities[1], blurred, weights, x, y, rows(w), ac)
    gone = [naive.blur(naive.mask_activity(split["hf"], split["uhf"]), c.MASK_SIGMA) for split in (one, two)]
    close(ac - 1, c.MASK_ACTIVITY_SQUARED * (gone[0] - gone[1]) ** 2, 1e-4)


def test_squares(split_pair):
    one, two = split_pair
    high = [high_of(split) for split in split_pair]
    ac = empty(*high[0].shape[1:])
    diffmap.square_high(high[0], high[1], ac)
    hf = [split["hf"] for split in split_pair]
    wanted = naive.square_hf(hf[0][0], hf[1][0], c.HF_X_SQUARED) + naive.square_hf(hf[0][1], hf[1][1], c.HF_Y_SQUARED)
    close(ac, wanted)
    low = [low_of(split) for split in split_pair]
    ac, dc = empty(*low[0].shape[1:]), empty(*low[0].shape[1:])
    diffmap.square_low(low[0], low[1], ac, dc)
    mf = [split["mf"][:, ::2, ::2] for split in (one, two)]
    close(ac, np.tensordot((c.MF_X_SQUARED, c.MF_Y_SQUARED, c.MF_B_SQUARED), (mf[0] - mf[1]) ** 2, 1))
    lf = [naive.lf_values(split["lf"][:, ::2, ::2]) for split in (one, two)]
    close(dc, np.tensordot((c.LF_X_SQUARED, c.LF_Y_SQUARED, c.LF_B_SQUARED), (lf[0] - lf[1]) ** 2, 1), 1e-4)


@pytest.mark.parametrize("shape", [(24, 32), (27, 21)])
def test_weigh_and_join(shape):
    rng = np.random.default_rng(5)
    h, w = shape
    half = (h + 1) // 2, (w + 1) // 2
    ac, low_ac, low_dc, visibility = rng.random(shape), rng.random(half), rng.random(half), rng.random((2, *shape))
    out = empty(h, w)
    diffmap.weigh(ac.astype(F), low_ac.astype(F), low_dc.astype(F), visibility.astype(F), rows(w), out)
    fine, coarse = (np.maximum(0, plane) for plane in (ac + upsample(low_ac, h, w), upsample(low_dc, h, w)))
    wanted = np.sqrt(fine * visibility[0] + coarse * visibility[1])
    close(out, wanted)
    coarse = rng.random((half[0] + 3, half[1] + 5)).astype(F)
    diffmap.join_scales(out, coarse, 2, 4)
    spread = coarse[2:, 4:].repeat(2, 0).repeat(2, 1)[:h, :w]
    close(out, c.FULL_SCALE_WEIGHT * wanted + c.HALF_SCALE_WEIGHT * spread)


def test_powers():
    distances = np.random.default_rng(2).random((20, 30)) * 9
    sums = np.zeros(4)
    norms.add_powers(distances.astype(F), 3, 17, 5, 29, empty(40), sums)
    wanted = naive.distance(distances[3:17, 5:29])
    np.testing.assert_allclose(norms.tally(sums, 14 * 24).distance(), wanted, rtol=1e-5)


@pytest.mark.parametrize("shape", [(64, 72), (65, 71)])
def test_whole(shape):
    """All kernels together: 5 % of the largest distance at every pixel, 10 % at the border; 1 % of the 3-norm."""
    pair = paint(*shape), distort(paint(*shape), 6)
    judge = comparator.Comparator(pair[0])
    found, wanted = judge.diffmap(pair[1]), naive.diffmap(*pair)
    close(found, wanted, 0.1)
    interior = slice(16, -16), slice(16, -16)
    np.testing.assert_allclose(found[interior], wanted[interior], rtol=0, atol=0.05 * wanted.max())
    assert judge.compare(pair[1]).norm3 == pytest.approx(naive.distance(wanted)[1], rel=0.01)
