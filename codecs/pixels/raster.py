"""An image in memory that libvips and NumPy read from the same place.

libvips and NumPy hand pixels to each other by copies, and fresh memory costs more than what is written into it. So a
picture that both work on is rendered once, and neither owns it.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pixels.vips import pyvips

_SAMPLES = {"uchar": np.uint8, "ushort": np.uint16}
#: What says how the frames of an animation lie, and what a WebP plays them by.
_FRAMES = ("page-height", "n-pages", "delay", "loop")


class Raster(NamedTuple):
    """Pixels in memory.

    Attributes
    ----------
    image
        As libvips sees them.
    samples
        As NumPy does: uint8 or uint16, [h, w] for one band, else [h, w, bands]. Not to be written to.
    """

    image: Any
    samples: npt.NDArray[Any]

    @property
    def size_px(self) -> int:
        """The number of pixels, all frames together."""
        height, width = self.samples.shape[:2]
        return int(height * width)


def hold(image: Any, *, with_metadata: bool = False) -> Raster:
    """Compute an image's pixels, once.

    Parameters
    ----------
    image
        8 or 16 bits a sample.
    with_metadata
        Whether EXIF, XMP, IPTC and ICC stay with the raster's image; that costs a copy.

    Raises
    ------
    pyvips.Error
        The image cannot be computed: its source is broken.
    """
    if with_metadata:
        image = image.copy_memory()
    height, width, bands = image.get("height"), image.get("width"), image.get("bands")
    samples = np.frombuffer(image.write_to_memory(), _SAMPLES[image.get("format")])
    samples = samples.reshape((height, width) if bands == 1 else (height, width, bands))
    if with_metadata:
        samples.flags.writeable = False
        return Raster(image, samples)
    raster = share(samples, image.get("interpretation"))
    held = raster.image
    for name in _FRAMES:
        if image.get_typeof(name):
            held.set_type(image.get_typeof(name), name, image.get(name))
    return raster


def share(samples: npt.NDArray[Any], interpretation: str) -> Raster:
    """Let libvips read the samples of an array, uint8 or uint16, which nobody may write to any more."""
    height, width = samples.shape[:2]
    samples.flags.writeable = False
    bands = samples.shape[2] if samples.ndim == 3 else 1
    depth = next(name for name, dtype in _SAMPLES.items() if dtype == samples.dtype)
    image = pyvips.Image.new_from_memory(samples, width, height, bands, depth)
    return Raster(image.copy(interpretation=interpretation), samples)
