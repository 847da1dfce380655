"""Pictures that are drawn: the same on every machine."""

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]


def draw(height: int, width: int) -> tuple[Pixels, Pixels]:
    """Return an image with shapes, waves and grain, and itself after noise of a few levels; both always the same."""
    rng = np.random.default_rng(11)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    waves = np.stack([60 * np.sin(x / (5 + 9 * k) + k) * np.cos(y / (8 + 5 * k)) for k in range(3)], axis=2)
    grain = rng.normal(0, 6, (height, width, 1)) * (np.sin(x / 90) > 0)[..., None]
    image = 128 + waves + grain
    for _ in range(12):
        top, left = rng.integers(0, height), rng.integers(0, width)
        image[top : top + height // 6, left : left + width // 6] = rng.integers(0, 256, 3)
    clean = np.clip(image, 0, 255).astype(np.uint8)
    noisy = np.clip(clean + rng.normal(0, 3, clean.shape), 0, 255).astype(np.uint8)
    return clean, noisy
