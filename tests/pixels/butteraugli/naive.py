"""Butteraugli in plain float64 NumPy, everything at full resolution: the oracle of the kernels.

Written from the method, as slowly and as plainly as it reads; shares only the constants with the kernels.
"""

import numpy as np

from pixels.butteraugli import constants as c


def linearize(rgb):
    code = rgb / 255
    return np.moveaxis(np.where(code <= 0.04045, code / 12.92, ((code + 0.055) / 1.055) ** 2.4), 2, 0)


def halve(linear):
    _, h, w = linear.shape
    padded = np.pad(linear, ((0, 0), (0, h % 2), (0, w % 2)), mode="edge")
    return (padded[:, ::2, ::2] + padded[:, 1::2, ::2] + padded[:, ::2, 1::2] + padded[:, 1::2, 1::2]) / 4


def gaussian(sigma):
    radius = max(1, int(c.BLUR_REACH_SIGMAS * sigma))
    return np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)


def filter_axis(plane, kernel, axis):
    """Weighted mean of the samples that are inside."""
    sums = np.apply_along_axis(lambda v: full_convolution(v, kernel), axis, plane)
    inside = np.apply_along_axis(lambda v: full_convolution(v, kernel), axis, np.ones_like(plane))
    return sums / inside


def full_convolution(vector, kernel):
    radius = len(kernel) // 2
    return np.convolve(np.pad(vector, radius), kernel, mode="valid")


def blur(plane, sigma):
    kernel = gaussian(sigma)
    return filter_axis(filter_axis(plane, kernel, 0), kernel, 1)


def blur_mirrored(plane, sigma):
    kernel = gaussian(sigma) / gaussian(sigma).sum()
    radius = len(kernel) // 2
    padded = np.pad(plane, radius, mode="symmetric")
    rows = np.apply_along_axis(lambda v: np.convolve(v, kernel, mode="valid"), 0, padded)
    return np.apply_along_axis(lambda v: np.convolve(v, kernel, mode="valid"), 1, rows)


def opsin_dynamics(linear):
    mix, bias = np.array(c.OPSIN_ABSORBANCE) * c.INTENSITY_TARGET_NITS, np.array(c.OPSIN_BIAS)[:, None, None]
    around = np.tensordot(mix, np.stack([blur_mirrored(p, c.OPSIN_SIGMA) for p in linear]), 1) + bias
    sensitivity = (c.GAMMA_SCALE * np.log(around + c.GAMMA_BIAS) + c.GAMMA_OFFSET) / around
    signal = np.maximum((np.tensordot(mix, linear, 1) + bias) * sensitivity, bias)
    return np.stack((signal[0] - signal[1], signal[0] + signal[1], signal[2]))


def remove_range(v, width):
    return np.where(v > width, v - width, np.where(v < -width, v + width, 0))


def amplify_range(v, width):
    return np.where(v > width, v + width, np.where(v < -width, v - width, 2 * v))


def clamp_softly(v, limit):
    over = np.where(v >= limit, (v - limit) * c.ABOVE_MAX_SLOPE + limit, v)
    return np.where(v < -limit, (v + limit) * c.ABOVE_MAX_SLOPE - limit, over)


def split(xyb):
    """Return the bands as a dictionary: lf and mf (3 planes each), hf and uhf (2 each)."""
    lf = np.stack([blur(p, c.LF_SIGMA) for p in xyb])
    rest = xyb - lf
    mf = np.stack([blur(p, c.MF_SIGMA) for p in rest])
    fine = rest[:2] - mf[:2]
    mf[0] = remove_range(mf[0], c.REMOVE_MF_RANGE)
    mf[1] = amplify_range(mf[1], c.AMPLIFY_MF_RANGE)
    by_y = c.SUPPRESS_X_BY_Y / (fine[1] ** 2 + c.SUPPRESS_X_BY_Y)
    fine[0] *= c.SUPPRESS_X_FLOOR + (1 - c.SUPPRESS_X_FLOOR) * by_y
    return {"lf": lf, "mf": mf, **split_fine(fine)}


def split_fine(fine):
    hf = np.stack([blur(p, c.HF_SIGMA) for p in fine])
    uhf_x = remove_range(fine[0] - hf[0], c.REMOVE_UHF_RANGE)
    hf_x = remove_range(hf[0], c.REMOVE_HF_RANGE)
    clamped = clamp_softly(hf[1], c.MAX_HF)
    uhf_y = c.UHF_Y_SCALE * clamp_softly(fine[1] - clamped, c.MAX_UHF)
    hf_y = amplify_range(c.HF_Y_SCALE * clamped, c.AMPLIFY_HF_RANGE)
    return {"hf": np.stack((hf_x, hf_y)), "uhf": np.stack((uhf_x, uhf_y))}


#: One side of each line, as (columns right, rows down) of the centre; the other side is its mirror image.
LINES = (
    ((1, 0), (2, 0), (3, 0), (4, 0)),
    ((0, 1), (0, 2), (0, 3), (0, 4)),
    ((1, 1), (2, 2), (3, 3)),
    ((-1, 1), (-2, 2), (-3, 3)),
    ((0, 1), (-1, 2), (-1, 3), (-1, 4)),
    ((0, 1), (1, 2), (1, 3), (1, 4)),
    ((1, 0), (2, 1), (3, 1), (4, 1)),
    ((1, 0), (2, -1), (3, -1), (4, -1)),
    ((1, 1), (1, 2), (2, 3)),
    ((-1, 1), (-1, 2), (-2, 3)),
    ((1, 1), (2, 1), (3, 2)),
    ((-1, 1), (-2, 1), (-3, 2)),
    ((1, 0), (2, -1), (3, -1), (4, -1)),
    ((1, 0), (2, 1), (3, 1), (4, 1)),
    ((0, 1), (1, 2), (1, 3), (1, 4)),
    ((0, 1), (-1, 2), (-1, 3), (-1, 4)),
)
SPARSE_LINES = (
    ((2, 0), (4, 0)),
    ((0, 2), (0, 4)),
    ((2, 2), (3, 3)),
    ((-2, 2), (-3, 3)),
    ((-1, 2), (-1, 4)),
    ((1, 2), (1, 4)),
    ((2, 1), (4, 1)),
    ((2, -1), (4, -1)),
    ((1, 2), (2, 3)),
    ((-1, 2), (-2, 3)),
    ((2, 1), (3, 2)),
    ((-2, 1), (-3, 2)),
    ((-2, 1), (-4, 2)),
    ((2, 1), (4, 2)),
    ((1, 2), (2, 4)),
    ((-1, 2), (-2, 4)),
)


def malta_difference(reference, distorted, weights, scale):
    factor = scale / (2 * c.MALTA_LENGTH + 1) * weights.norm
    lost = factor * np.sqrt(c.MALTA_LOST_SHARE * weights.lost)
    added = factor * np.sqrt(c.MALTA_ADDED_SHARE * weights.added)
    norm = weights.norm + (np.abs(reference) + np.abs(distorted)) / 2
    sign = np.where(reference < 0, -1, 1)
    size, along = np.abs(reference), sign * distorted
    too_small, too_big = c.MALTA_TOO_SMALL * size, c.MALTA_TOO_BIG * size
    impact = np.where(along < too_small, too_small - along, np.where(along > too_big, too_big - along, 0))
    return sign * (lost * (size - along) + added * impact) / norm


def malta_lines(difference, lines):
    h, w = difference.shape
    padded = np.pad(difference, 4)
    total = np.zeros((h, w))
    for line in lines:
        along = padded[4 : 4 + h, 4 : 4 + w].copy()
        for right, down in line:
            along += padded[4 + down : 4 + down + h, 4 + right : 4 + right + w]
            along += padded[4 - down : 4 - down + h, 4 - right : 4 - right + w]
        total += along**2
    return total


def square_hf(reference, distorted, weight):
    size = np.abs(reference)
    along = np.where(reference < 0, -1, 1) * distorted
    small = c.HF_SQUARED_TOO_SMALL * size
    impact = np.where(along < small, small - along, np.where(along > size, along - size, 0))
    share = c.HF_SQUARED_SHARE * weight
    return share * c.HF_ASYMMETRY * (reference - distorted) ** 2 + share / c.HF_ASYMMETRY * impact**2


def mask_activity(hf, uhf):
    red_green, luminance = c.MASK_X_SCALE * (hf[0] + uhf[0]), c.MASK_Y_SCALE * (hf[1] + uhf[1])
    bias = c.MASK_GAIN * c.MASK_BIAS
    return np.sqrt(c.MASK_GAIN * np.hypot(red_green, luminance) + bias) - np.sqrt(bias)


def erode(plane):
    h, w = plane.shape
    padded = np.pad(plane, 3, constant_values=np.inf)
    values = [plane, 2 * plane, 2 * plane]
    values += [padded[dy : dy + h, dx : dx + w] for dy in (0, 3, 6) for dx in (0, 3, 6) if (dy, dx) != (3, 3)]
    smallest = np.sort(np.stack(values), axis=0)[:3]
    return np.tensordot(np.array(c.EROSION_SHARES), smallest, 1)


def visibility(mask, curve):
    return (c.GLOBAL_SCALE * (1 + curve.gain / (curve.slope * mask + curve.offset))) ** 2


def lf_values(lf):
    return np.stack((lf[0] * c.LF_X_SCALE, lf[1] * c.LF_Y_SCALE, (lf[2] + c.LF_Y_TO_B * lf[1]) * c.LF_B_SCALE))


def diffmap_at_scale(reference, distorted):
    """Distances of two linear images, float[3, h, w], at one scale."""
    one, two = split(opsin_dynamics(reference)), split(opsin_dynamics(distorted))
    ac = np.zeros(reference.shape[1:])
    for band, channel, weights, scale, lines in (
        ("uhf", 0, c.UHF_X_MALTA, c.MALTA_SCALE, LINES),
        ("uhf", 1, c.UHF_Y_MALTA, c.MALTA_SCALE, LINES),
        ("hf", 0, c.HF_X_MALTA, c.MALTA_LF_SCALE, SPARSE_LINES),
        ("hf", 1, c.HF_Y_MALTA, c.MALTA_LF_SCALE, SPARSE_LINES),
        ("mf", 0, c.MF_X_MALTA, c.MALTA_LF_SCALE, SPARSE_LINES),
        ("mf", 1, c.MF_Y_MALTA, c.MALTA_LF_SCALE, SPARSE_LINES),
    ):
        ac += malta_lines(malta_difference(one[band][channel], two[band][channel], weights, scale), lines)
    ac += square_hf(one["hf"][0], two["hf"][0], c.HF_X_SQUARED) + square_hf(one["hf"][1], two["hf"][1], c.HF_Y_SQUARED)
    ac += np.tensordot(np.array((c.MF_X_SQUARED, c.MF_Y_SQUARED, c.MF_B_SQUARED)), (one["mf"] - two["mf"]) ** 2, 1)
    lf = (lf_values(one["lf"]) - lf_values(two["lf"])) ** 2
    dc = np.tensordot(np.array((c.LF_X_SQUARED, c.LF_Y_SQUARED, c.LF_B_SQUARED)), lf, 1)
    blurred = blur(mask_activity(one["hf"], one["uhf"]), c.MASK_SIGMA)
    ac += c.MASK_ACTIVITY_SQUARED * (blurred - blur(mask_activity(two["hf"], two["uhf"]), c.MASK_SIGMA)) ** 2
    mask = erode(blurred)
    return np.sqrt(ac * visibility(mask, c.AC_MASK) + dc * visibility(mask, c.DC_MASK))


def diffmap(reference, distorted):
    """Distances of two sRGB images, uint8[h, w, 3]."""
    one, two = linearize(reference), linearize(distorted)
    full = diffmap_at_scale(one, two)
    h, w = full.shape
    if min((h + 1) // 2, (w + 1) // 2) < c.MIN_SIDE_PX:
        return full
    half = diffmap_at_scale(halve(one), halve(two)).repeat(2, 0).repeat(2, 1)[:h, :w]
    return c.FULL_SCALE_WEIGHT * full + c.HALF_SCALE_WEIGHT * half


def distance(distances):
    """(maximum, 3-norm) of a diffmap."""
    return distances.max(), np.mean([np.mean(distances**p) ** (1 / p) for p in (3, 6, 12)])
