"""Small images that hold flat areas, edges, texture and saturated colour."""

import numpy as np
import pytest


def paint(height, width, seed=7):
    """An sRGB image, uint8[h, w, 3], with something for every band."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    waves = np.stack([90 * np.sin(x / (3 + 4 * k) + k) * np.cos(y / (5 + 3 * k)) for k in range(3)], axis=2)
    image = 128 + waves + rng.normal(0, 12, (height, width, 3)) * (x > width / 2)[..., None]
    image[height // 4 : height // 2, width // 4 : width // 2] = (230, 20, 40)
    return np.clip(image, 0, 255).astype(np.uint8)


def distort(image, strength, seed=3):
    """Noise of `strength` levels and a little less detail."""
    rng = np.random.default_rng(seed)
    soft = (image.astype(float) + np.roll(image, 1, 1)) / 2
    mixed = image + (soft - image) * min(1, strength / 16) + rng.normal(0, strength, image.shape)
    return np.clip(mixed, 0, 255).astype(np.uint8)


@pytest.fixture(params=[(24, 32), (27, 21)], ids=["even", "odd"])
def pair(request):
    reference = paint(*request.param)
    return reference, distort(reference, 6)
