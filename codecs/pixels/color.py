"""Colour: everything becomes sRGB where metadata is stripped, and stays what its profile says where it is kept."""

from functools import lru_cache
from typing import Any, Final

from pixels.vips import pyvips

_ICC: Final = "icc-profile-data"
#: Relative colorimetric: colours that sRGB holds stay exactly what they are.
_INTENT: Final = "relative"
#: Levels of 255 by which a profile's colours may differ from sRGB's and still be told sRGB: profiles hold rounded
#: numbers, which show most where colours are most saturated.
_SRGB_TOLERANCE: Final = 2.0
#: Profiles beyond this size are converted with, never remembered.
_MAX_REMEMBERED_BYTES: Final = 65_536


def convert(image: Any, *, strip: bool, depth: int, holds_grey: bool) -> Any:
    """Bring an image's colours into what the output file can say about them.

    Parameters
    ----------
    strip
        True converts to sRGB, through the embedded profile where there is one that works. False keeps the numbers
        and the profile, except for inks (CMYK) and for a grey profile that the output cannot carry: these become
        sRGB and lose their profile.
    depth
        8 or 16: the most bits a sample that the output takes.
    holds_grey
        Whether the output stores grey images as grey.

    Returns
    -------
    pyvips.Image
        Grey or RGB, with or without alpha. CMYK without a profile is taken for libvips' built-in one.
    """
    space = image.get("interpretation")
    grey = space in {"b-w", "grey16"}
    if space == "cmyk":
        image = image.icc_transform("srgb", embedded=True, input_profile="cmyk", intent=_INTENT)
    elif image.get_typeof(_ICC) and (strip or (grey and not holds_grey)):
        image = _through_profile(image, grey=grey, depth=depth)
    if depth == 8 and image.get("format") == "ushort":
        image = image.colourspace("b-w" if image.get("bands") < 3 else "srgb")
    # An encoder that strips leaves the profile out by itself.
    converted = space == "cmyk" or (grey and not holds_grey)
    return _without_profile(image) if converted and not strip and image.get_typeof(_ICC) else image


def is_srgb(profile: bytes, bands: int) -> bool:
    """Tell whether an ICC profile means what sRGB means, to a level of 255.

    Most photographs carry such a profile: it can be dropped without touching a pixel.

    Parameters
    ----------
    profile
        The profile's bytes. A broken one means nothing, so that it counts as sRGB too.
    bands
        3 for a profile of colours, 1 for one of greys.
    """
    return _is_srgb(profile, bands) if len(profile) <= _MAX_REMEMBERED_BYTES else _compare(profile, bands)


def _through_profile(image: Any, *, grey: bool, depth: int) -> Any:
    if is_srgb(image.get(_ICC), 1 if grey else 3):
        return image
    depth = min(depth, 16 if image.get("format") == "ushort" else 8)
    converted = image.icc_transform("srgb", embedded=True, intent=_INTENT, depth=depth)
    if not grey:
        return converted
    # A neutral grey stays neutral in sRGB: any one channel is the grey.
    neutral = converted[1].bandjoin(converted[3]) if converted.hasalpha() else converted[1]
    return neutral.copy(interpretation="grey16" if depth == 16 else "b-w")


def _without_profile(image: Any) -> Any:
    bare = image.copy()
    bare.remove(_ICC)
    return bare


def _compare(profile: bytes, bands: int) -> bool:
    """Send a chart through the profile that holds every shade of grey, and for RGB the gamut's faces and inside."""
    if bands == 1:
        chart = pyvips.Image.identity().copy(interpretation="b-w")
        expected = chart.colourspace("srgb")
    else:
        at = pyvips.Image.xyz(256, 32)
        green = at[1] * (255 / 31)
        chart = at[0].bandjoin([green, (at[0] + green) / 2]).rint().cast("uchar").copy(interpretation="srgb")
        expected = chart
    chart = chart.copy()
    chart.set_type(pyvips.GValue.blob_type, _ICC, profile)
    try:
        seen = chart.icc_transform("srgb", embedded=True, intent=_INTENT)
        return bool((seen - expected).abs().max() <= _SRGB_TOLERANCE)
    except pyvips.Error:
        return True


_is_srgb = lru_cache(maxsize=64)(_compare)
