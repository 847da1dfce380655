"""The butteraugli distance of two files, as a person with an sRGB screen sees them."""

from typing import Any

from pixels import color, resize
from pixels.butteraugli import Comparator, Distance
from pixels.errors import UnsupportedFormat
from pixels.load import Picture
from pixels.look import MIN_SIDE_PX, looks
from pixels.options import Limits
from pixels.sniff import is_animated_png, recognise
from pixels.vips import pyvips

_DEFAULT_LIMITS = Limits()


def measure_distance(reference: bytes, distorted: bytes, limits: Limits = _DEFAULT_LIMITS) -> Distance:
    """Decode two files, upright and in sRGB, and compare them.

    Returns
    -------
    Distance
        The maximum and the 3-norm; where a file has alpha, of the background before which they differ most.

    Raises
    ------
    UnsupportedFormat
        A file is none of the four formats, or an animation.
    ImageTooLarge, DecodeFailed
        As `pipeline.compress`.
    ValueError
        The images have different sizes, or a side under 8 pixels.
    """
    pair = [decode_still(data, limits) for data in (reference, distorted)]
    if min(pair[0].get("width"), pair[0].get("height")) < MIN_SIDE_PX:
        raise ValueError(f"The images must be at least {MIN_SIDE_PX} pixels a side.")
    translucent = any(image.hasalpha() for image in pair)
    before, after = (looks(image, translucent=translucent) for image in pair)
    found = [Comparator(one).compare(other) for one, other in zip(before, after, strict=True)]
    return max(found, key=lambda distance: distance.norm3)


def decode_still(data: bytes | memoryview, limits: Limits) -> Any:
    """Decode a still image to upright 8-bit sRGB or grey, in memory.

    Raises
    ------
    UnsupportedFormat
        It is none of the four formats, or an animation.
    ImageTooLarge, DecodeFailed
        As `pipeline.compress`.
    """
    view = memoryview(data)
    kind = recognise(view)
    if kind.animated or (kind.format == "png" and is_animated_png(view)):
        raise UnsupportedFormat("Animations have no single distance.")
    picture = Picture(view, kind, limits)
    try:
        image = picture.decode(picture.upright_size).copy_memory()
    except pyvips.Error as error:
        raise picture.blame(error) from error
    image = resize.lay_upright(image, 1, picture.orientation)
    return color.convert(image, strip=True, depth=8, holds_grey=False)
