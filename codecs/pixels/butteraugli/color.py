"""sRGB to linear light."""

import numpy as np
import numpy.typing as npt

from pixels.butteraugli.jit import Plane, kernel


def _decode_srgb() -> npt.NDArray[np.float32]:
    """Return linear light in [0, 1] for the 256 codes of sRGB (IEC 61966-2-1)."""
    code = np.arange(256) / 255
    return np.where(code <= 0.04045, code / 12.92, ((code + 0.055) / 1.055) ** 2.4).astype(np.float32)


#: float32[256], linear light in [0, 1].
LINEAR = _decode_srgb()


@kernel
def linearize(rgb: npt.NDArray[np.uint8], linear: Plane, out: Plane) -> None:
    """Write `rgb`, uint8[h, w, 3] of sRGB, as linear light to `out`, float32[3, h, w]; `linear` is `LINEAR`."""
    height, width = rgb.shape[0], rgb.shape[1]
    for y in range(height):
        row = rgb[y]
        red, green, blue = out[0, y], out[1, y], out[2, y]
        for x in range(width):
            red[x] = linear[row[x, 0]]
            green[x] = linear[row[x, 1]]
            blue[x] = linear[row[x, 2]]


@kernel
def halve(rgb: npt.NDArray[np.uint8], linear: Plane, out: Plane) -> None:
    """Write the means over 2 x 2 pixels, in linear light, to `out`, float32[3, (h + 1) // 2, (w + 1) // 2].

    At an odd last row or column the mean is over the pixels that there are.
    """
    height, width = rgb.shape[0], rgb.shape[1]
    quarter, half = np.float32(0.25), np.float32(0.5)
    for y in range(out.shape[1]):
        top = rgb[2 * y]
        bottom = rgb[min(2 * y + 1, height - 1)]
        for channel in range(3):
            row = out[channel, y]
            for x in range(width // 2):
                row[x] = quarter * (
                    linear[top[2 * x, channel]]
                    + linear[top[2 * x + 1, channel]]
                    + linear[bottom[2 * x, channel]]
                    + linear[bottom[2 * x + 1, channel]]
                )
            if width % 2:
                row[width // 2] = half * (linear[top[width - 1, channel]] + linear[bottom[width - 1, channel]])
