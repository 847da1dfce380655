"""Sizes and turns: fits an image inside a box, and lays it upright."""

from collections.abc import Callable
from typing import Any, Final

from pixels.vips import pyvips

_THUMBNAIL: Final = "jpeg-thumbnail-data"


def fit_inside(width: int, height: int, max_width: int | None, max_height: int | None) -> tuple[int, int]:
    """Give the size, in pixels, that fits a box with the aspect kept.

    Never larger than `width` x `height`; rounded to the nearest pixel and at least 1 pixel a side. None leaves a side
    of the box open.
    """
    box_width, box_height = max_width or width, max_height or height
    if box_width >= width and box_height >= height:
        return width, height
    if box_width * height <= box_height * width:
        return box_width, max(1, (2 * height * box_width + width) // (2 * width))
    return max(1, (2 * width * box_height + height) // (2 * height)), box_height


def flatten_on_white(image: Any) -> Any:
    """Lay a translucent image on white; an opaque one passes as it is."""
    if not image.hasalpha():
        return image
    return image.flatten(background=65535 if image.get("format") == "ushort" else 255)


def resize_frames(image: Any, frames: int, width: int, height: int) -> Any:
    """Resample every frame of `image` to `width` x `height` pixels, with the Lanczos kernel.

    Colours are weighted by their alpha, so that what is hidden under clear pixels does not bleed into edges. Frames
    are resampled one by one: none bleeds into the next.
    """

    def resample(frame: Any) -> Any:
        across, down = width / frame.get("width"), height / frame.get("height")
        if not frame.hasalpha():
            return frame.resize(across, vscale=down)
        samples = frame.get("format")
        return frame.premultiply().resize(across, vscale=down).unpremultiply().cast(samples)

    return _each_frame(image, frames, resample)


def lay_upright(image: Any, frames: int, orientation: int) -> Any:
    """Turn and mirror the pixels as the EXIF `orientation` (1-8) says, and drop the tag.

    Turning needs the pixels in memory: with an orientation other than 1 the result is there.
    """
    if orientation == 1:
        return image
    return _each_frame(image.copy_memory(), frames, pyvips.Image.autorot)


def without_thumbnail(image: Any) -> Any:
    """Drop the preview inside EXIF: it is no longer like the picture once that was turned or resized."""
    if not image.get_typeof(_THUMBNAIL):
        return image
    bare = image.copy()
    bare.remove(_THUMBNAIL)
    return bare


def _each_frame(image: Any, frames: int, change: Callable[[Any], Any]) -> Any:
    if frames == 1:
        return change(image)
    tall = image.copy_memory()
    width, page_height = tall.get("width"), tall.get("height") // frames
    changed = [change(tall.crop(0, page * page_height, width, page_height)) for page in range(frames)]
    joined = pyvips.Image.arrayjoin(changed, across=1).copy()
    joined.set_type(pyvips.GValue.gint_type, "page-height", changed[0].get("height"))
    return joined
