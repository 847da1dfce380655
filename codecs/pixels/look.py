"""How an image looks: what the metric compares."""

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from pixels.raster import Raster

Pixels = npt.NDArray[np.uint8]

#: What lies behind clear parts; a difference that shows before either counts.
_BACKGROUNDS: Final = (0, 255)
#: Butteraugli is undefined for smaller sides.
MIN_SIDE_PX: Final = 8


def looks(image: Any, *, translucent: bool) -> list[Pixels]:
    """Render an image of 8 bits a sample, grey or RGB, with or without alpha, as a viewer may see it.

    Parameters
    ----------
    translucent
        True gives the look before black and the one before white; False the only one that an opaque image has.

    Returns
    -------
    list
        uint8[h, w, 3] each. An image of fewer than 8 pixels a side is continued by its border to 8.
    """
    if image.get("interpretation") != "srgb":
        image = image.colourspace("srgb")
    if translucent:
        # A file that is being decoded can be read only once.
        image = image.copy_memory()
    if not image.hasalpha():
        pixels = _to_pixels(image)
        return [pixels, pixels] if translucent else [pixels]
    backgrounds = _BACKGROUNDS if translucent else _BACKGROUNDS[1:]
    return [_to_pixels(image.flatten(background=background)) for background in backgrounds]


def looks_of(raster: Raster, *, translucent: bool) -> list[Pixels]:
    """Render a raster as `looks` does; where it is opaque sRGB, its own samples are the look."""
    image = raster.image
    if image.get("interpretation") == "srgb" and image.get("bands") == 3:
        return [_widen(raster.samples)]
    return looks(image, translucent=translucent)


def _to_pixels(image: Any) -> Pixels:
    height, width = image.get("height"), image.get("width")
    return _widen(np.frombuffer(image.write_to_memory(), np.uint8).reshape(height, width, 3))


def _widen(pixels: Pixels) -> Pixels:
    height, width, _ = pixels.shape
    if min(height, width) >= MIN_SIDE_PX:
        return pixels
    return np.pad(pixels, ((0, max(0, MIN_SIDE_PX - height)), (0, max(0, MIN_SIDE_PX - width)), (0, 0)), mode="edge")
