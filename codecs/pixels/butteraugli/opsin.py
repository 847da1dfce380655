"""Opsin dynamics: what the photopigments answer to light, and the opponent colours X, Y, B made of it."""

import numpy as np

from pixels.butteraugli import constants as c
from pixels.butteraugli.filters import gaussian
from pixels.butteraugli.jit import Plane, inlined, kernel
from pixels.butteraugli.rings import slot
from pixels.butteraugli.strips import Strip

_f = np.float32
_W0, _W1, _W2 = (_f(weight) for weight in gaussian(c.OPSIN_SIGMA))
# Absorbance for linear light in [0, 1] instead of nits.
_MIX = tuple(tuple(_f(share * c.INTENSITY_TARGET_NITS) for share in row) for row in c.OPSIN_ABSORBANCE)
(_R0, _G0, _B0), (_R1, _G1, _B1), (_R2, _G2, _B2) = _MIX
_BIAS0, _BIAS1, _BIAS2 = (_f(bias) for bias in c.OPSIN_BIAS)


def _fit_response() -> tuple[float, float, list[float], list[float]]:
    """Return centre, radius and the coefficients of a cubic over a cubic that is the response of a receptor.

    The signal lies between its resting value and white at `INTENSITY_TARGET_NITS`. Over that range, as
    t = (signal - centre) / radius in [-1, 1], the quotient is within 1e-6 of the logarithm, and costs one division
    together with that by the signal; no exponent's bits and no library call keep it from being vectorised.
    """
    low = min(c.OPSIN_BIAS)
    high = max(
        sum(row) * c.INTENSITY_TARGET_NITS + bias for row, bias in zip(c.OPSIN_ABSORBANCE, c.OPSIN_BIAS, strict=True)
    )
    centre, radius = (low + high) / 2, (high - low) / 2
    t = np.cos(np.linspace(0, np.pi, 400))
    response = c.GAMMA_SCALE * np.log(centre + radius * t + c.GAMMA_BIAS) + c.GAMMA_OFFSET
    powers = np.stack([t**k for k in range(4)], axis=1)
    denominator = np.ones_like(t)
    # Linear least squares weighs the error by the denominator; repeated with the last one, that cancels out.
    for _ in range(8):
        design = np.concatenate((powers / response[:, None], -powers[:, 1:]), axis=1) / denominator[:, None]
        solution, *_ = np.linalg.lstsq(design, 1 / denominator, rcond=None)
        denominator = 1 + powers[:, 1:] @ solution[4:]
    return centre, radius, list(solution[:4]), [1.0, *solution[4:]]


_CENTRE, _RADIUS, _NUMERATOR, _DENOMINATOR = _fit_response()
_T_SCALE, _T_OFFSET = _f(1 / _RADIUS), _f(-_CENTRE / _RADIUS)
_N0, _N1, _N2, _N3 = (_f(value) for value in _NUMERATOR)
_D0, _D1, _D2, _D3 = (_f(value) for value in _DENOMINATOR)


@kernel
def respond(
    linear: Plane, strip: Strip, height: int, first: int, last: int, rows: Plane, xy: Plane, blue: Plane
) -> None:
    """Write X, Y, B of rows `first` to `last` (exclusive) of the tiles of `strip`, of `height`, to `xy` and `blue`.

    The sensitivity of a receptor follows the light around it: the derivative of its response is taken from the
    blurred image. `linear`, float32[3, n, w], is a ring of linear light in [0, 1], `xy`, float32[2, n, w], and `blue`,
    float32[n, w], are rings too; `rows`, float32[4, w + 4], is scratch.
    """
    width = linear.shape[2]
    near_red, near_green, near_blue = rows[1, :width], rows[2, :width], rows[3, :width]
    for y in range(first, last):
        _blur_row_mirrored(linear[0], y, strip, height, rows[0], near_red)
        _blur_row_mirrored(linear[1], y, strip, height, rows[0], near_green)
        _blur_row_mirrored(linear[2], y, strip, height, rows[0], near_blue)
        source, target = slot(linear.shape[1], y), slot(xy.shape[1], y)
        _respond_row(
            near_red,
            near_green,
            near_blue,
            linear[0, source],
            linear[1, source],
            linear[2, source],
            xy[0, target],
            xy[1, target],
            blue[slot(blue.shape[0], y)],
        )


@inlined
def _respond_row(
    near_red: Plane,
    near_green: Plane,
    near_blue: Plane,
    red: Plane,
    green: Plane,
    blue: Plane,
    opponent: Plane,
    luminance: Plane,
    short: Plane,
) -> None:
    for x in range(opponent.size):
        a, b, e = near_red[x], near_green[x], near_blue[x]
        to_long = _sensitivity(_R0 * a + _G0 * b + _B0 * e + _BIAS0)
        to_medium = _sensitivity(_R1 * a + _G1 * b + _B1 * e + _BIAS1)
        to_short = _sensitivity(_R2 * a + _G2 * b + _B2 * e + _BIAS2)
        a, b, e = red[x], green[x], blue[x]
        long = max((_R0 * a + _G0 * b + _B0 * e + _BIAS0) * to_long, _BIAS0)
        medium = max((_R1 * a + _G1 * b + _B1 * e + _BIAS1) * to_medium, _BIAS1)
        opponent[x] = long - medium
        luminance[x] = long + medium
        short[x] = max((_R2 * a + _G2 * b + _B2 * e + _BIAS2) * to_short, _BIAS2)


@inlined
def _sensitivity(signal: np.float32) -> np.float32:
    t = signal * _T_SCALE + _T_OFFSET
    numerator = _N0 + t * (_N1 + t * (_N2 + t * _N3))
    return numerator / (signal * (_D0 + t * (_D1 + t * (_D2 + t * _D3))))


@inlined
def _blur_row_mirrored(plane: Plane, y: int, strip: Strip, height: int, pad: Plane, out: Plane) -> None:
    """Five taps; beyond the border the image is mirrored, its last pixel twice, as in the reference."""
    count, width = plane.shape
    above2, above = slot(count, _mirror(y - 2, height)), slot(count, _mirror(y - 1, height))
    below, below2 = slot(count, _mirror(y + 1, height)), slot(count, _mirror(y + 2, height))
    middle = pad[2 : 2 + width]
    _sum_five(plane[above2], plane[above], plane[slot(count, y)], plane[below], plane[below2], middle)
    for tile in range(strip.tiles):
        left = 2 + tile * strip.stride
        end = left + strip.width
        pad[left - 2], pad[left - 1] = pad[left + 1], pad[left]
        pad[end], pad[end + 1] = pad[end - 1], pad[end - 2]
    _sum_five(pad, pad[1:], pad[2:], pad[3:], pad[4:], out)


@inlined
def _sum_five(a: Plane, b: Plane, middle: Plane, e: Plane, g: Plane, out: Plane) -> None:
    for x in range(out.size):
        out[x] = _W0 * middle[x] + _W1 * (b[x] + e[x]) + _W2 * (a[x] + g[x])


@inlined
def _mirror(y: int, height: int) -> int:
    if y < 0:
        return -y - 1
    return 2 * height - 1 - y if y >= height else y
