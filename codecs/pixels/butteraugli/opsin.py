"""Opsin dynamics: what the photopigments answer to light, and the opponent colours X, Y, B made of it."""

import numpy as np

from pixels.butteraugli import constants as c
from pixels.butteraugli.blur import gaussian
from pixels.butteraugli.jit import Plane, inlined, kernel

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
def respond(linear: Plane, rows: Plane, out: Plane) -> None:
    """Write X, Y, B of `linear`, float32[3, h, w] of linear light in [0, 1], to `out`, float32[3, h, w].

    The sensitivity of a receptor follows the light around it: the derivative of its response is taken from the
    blurred image. `rows`, float32[7, w + 4], is scratch.
    """
    _, height, width = linear.shape
    for y in range(height):
        for channel in range(3):
            _blur_row_mirrored(linear[channel], y, rows[0], rows[1 + channel, :width])
        red, green, blue = linear[0, y], linear[1, y], linear[2, y]
        near_red, near_green, near_blue = rows[1, :width], rows[2, :width], rows[3, :width]
        long, medium, short = rows[4, :width], rows[5, :width], out[2, y]
        _adapt(near_red, near_green, near_blue, _R0, _G0, _B0, _BIAS0, long)
        _adapt(near_red, near_green, near_blue, _R1, _G1, _B1, _BIAS1, medium)
        _adapt(near_red, near_green, near_blue, _R2, _G2, _B2, _BIAS2, short)
        _absorb(red, green, blue, _R0, _G0, _B0, _BIAS0, long)
        _absorb(red, green, blue, _R1, _G1, _B1, _BIAS1, medium)
        _absorb(red, green, blue, _R2, _G2, _B2, _BIAS2, short)
        opponent, luminance = out[0, y], out[1, y]
        for x in range(width):
            opponent[x] = long[x] - medium[x]
            luminance[x] = long[x] + medium[x]


@inlined
def _adapt(
    red: Plane,
    green: Plane,
    blue: Plane,
    from_red: np.float32,
    from_green: np.float32,
    from_blue: np.float32,
    bias: np.float32,
    out: Plane,
) -> None:
    for x in range(out.size):
        signal = from_red * red[x] + from_green * green[x] + from_blue * blue[x] + bias
        t = signal * _T_SCALE + _T_OFFSET
        numerator = _N0 + t * (_N1 + t * (_N2 + t * _N3))
        out[x] = numerator / (signal * (_D0 + t * (_D1 + t * (_D2 + t * _D3))))


@inlined
def _absorb(
    red: Plane,
    green: Plane,
    blue: Plane,
    from_red: np.float32,
    from_green: np.float32,
    from_blue: np.float32,
    bias: np.float32,
    out: Plane,
) -> None:
    for x in range(out.size):
        signal = from_red * red[x] + from_green * green[x] + from_blue * blue[x] + bias
        out[x] = max(signal * out[x], bias)


@inlined
def _blur_row_mirrored(plane: Plane, y: int, pad: Plane, out: Plane) -> None:
    """Five taps; beyond the border the image is mirrored, its last pixel twice, as in the reference."""
    height, width = plane.shape
    above2, above = plane[_mirror(y - 2, height)], plane[_mirror(y - 1, height)]
    below, below2 = plane[_mirror(y + 1, height)], plane[_mirror(y + 2, height)]
    row = plane[y]
    middle = pad[2 : 2 + width]
    for x in range(width):
        middle[x] = _W0 * row[x] + _W1 * (above[x] + below[x]) + _W2 * (above2[x] + below2[x])
    pad[0], pad[1] = middle[1], middle[0]
    pad[width + 2], pad[width + 3] = middle[width - 1], middle[width - 2]
    for x in range(width):
        out[x] = _W0 * pad[x + 2] + _W1 * (pad[x + 1] + pad[x + 3]) + _W2 * (pad[x] + pad[x + 4])


@inlined
def _mirror(y: int, height: int) -> int:
    if y < 0:
        return -y - 1
    return 2 * height - 1 - y if y >= height else y
