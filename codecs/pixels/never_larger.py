"""Finds the file to return where an encode is hardly smaller than its source.

With format and size kept, a result is never larger than the source. If the encode is:

1. Where the source shows what was asked for - it is upright, and in sRGB if metadata goes - its own compressed data
   returns: whole, or with its metadata cut out and the rest as it was; a JPEG with its coefficients packed better.
2. Where its pixels have to change (an orientation to apply, a profile or inks to convert), they are encoded at the
   highest lower quality that is no larger. A lossless PNG is tried with 8 bits for 16 instead.
3. A lossless PNG that is larger still returns as in 1, with as much metadata as it needs to look right: its profile,
   its orientation.
4. What is left - a file so small that no encode is smaller, or built so that nothing can be cut out of it - gets the
   smallest encode: that its metadata goes counts for more than its last bytes.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, Final

import msgspec

from pixels import color
from pixels.encode import encode
from pixels.formats import FormatName
from pixels.jpeg_source import estimate_quality, repack
from pixels.load import Picture
from pixels.options import JpegEncoder
from pixels.rights import Rights
from pixels.strip import NotStrippable, strip, strip_png

#: Makes the picture's image at 8 or 16 bits a sample, as it would be encoded.
Render = Callable[[int], Any]

#: A smaller encode than this share of the source is taken as it is: metadata is seldom as large as the rest, and to
#: find out how large costs time.
_NEAR: Final = 0.75
#: How often a lower quality is tried: seven times finds it exactly, and each takes as long as the encode did.
_MOST_TRIES: Final = 7
_FEWEST_TRIES: Final = 3
_TRIED_PIXELS: Final = 16_000_000


#: What is kept without loss is worth so many times the bytes of an encode that the metric chose.
_WORTH: Final = 1.05
#: Packing seldom makes a JPEG smaller than this share of itself.
_PACKED: Final = 0.6
#: A JPEG of more than this quality is not worth packing unless an encode is hardly smaller: it is seldom half as large.
_COARSE_QUALITY: Final = 85


class Settled(msgspec.Struct, frozen=True):
    """What returns: `original` tells that the pixels are the source's own compressed data."""

    data: bytes | memoryview
    quality: int
    original: bool


def settle(
    picture: Picture,
    encoded: bytes,
    quality: int,
    render: Render,
    *,
    strip_metadata: bool,
    rights: Rights | None = None,
    jpeg_encoder: JpegEncoder = "fast",
    measured: bool = False,
    missed: bool = False,
) -> Settled:
    """Choose what returns for a source that was encoded in its own format and size, at `quality`.

    Parameters
    ----------
    rights
        What stays where metadata goes.
    jpeg_encoder
        Of `Options`.
    measured
        Whether the metric chose the quality. Then a little more bytes are well spent on no further loss.
    missed
        Whether the encode differs more than the metric was to allow. Then the source is better where it is no larger.

    Raises
    ------
    pyvips.Error
        An encoder refused the picture.
    """
    result = Settled(encoded, quality, original=False)
    lossy = measured and quality < 100
    may_pack = lossy and len(encoded) >= _PACKED * len(picture.data) and _is_coarse_jpeg(picture)
    if len(encoded) < _NEAR * len(picture.data) and not missed and not may_pack:
        return result
    if _shows_what_was_asked(picture, strip_metadata=strip_metadata):
        kept = _keep(picture, rights, strip_metadata=strip_metadata)
        if kept is not None and (missed or len(kept) <= len(encoded) * (_WORTH if lossy else 1)):
            return Settled(kept, 100, original=True)
    if len(encoded) <= len(picture.data):
        return result
    if picture.format == "png" and quality == 100:
        return _settle_lossless(picture, encoded, render, rights, strip_metadata=strip_metadata)
    again = partial(encode, strip=strip_metadata and rights is None, jpeg_encoder=jpeg_encoder)
    return _settle_lower(picture, encoded, quality, render(8), again)


def _keep(picture: Picture, rights: Rights | None, *, strip_metadata: bool) -> bytes | memoryview | None:
    """Return the source's own data, without its metadata but `rights` if that goes; None where it cannot be cut out."""
    kept: bytes | memoryview = picture.data
    if strip_metadata:
        try:
            stripped = strip(picture.data, picture.format, rights)
        except NotStrippable:
            return None
        # Where nothing was cut out, the source itself is as good, and costs no copy further on.
        if len(stripped) < len(picture.data):
            kept = stripped
    return repack(kept) if picture.format == "jpeg" else kept


def _is_coarse_jpeg(picture: Picture) -> bool:
    if picture.format != "jpeg":
        return False
    quality = estimate_quality(picture.data)
    return quality is not None and quality <= _COARSE_QUALITY


def _shows_what_was_asked(picture: Picture, *, strip_metadata: bool) -> bool:
    if picture.orientation != 1 or picture.is_cmyk:
        return False
    profile = picture.icc_profile
    return not strip_metadata or profile is None or color.is_srgb(profile, 1 if picture.is_grey else 3)


def _settle_lossless(
    picture: Picture, encoded: bytes, render: Render, rights: Rights | None, *, strip_metadata: bool
) -> Settled:
    if picture.is_deep:
        in_8_bits = encode(render(8), "png", 100, strip=strip_metadata and rights is None)
        if len(in_8_bits) <= len(picture.data):
            return Settled(in_8_bits, 100, original=False)
    try:
        data = strip_png(picture.data, keep_look=True, rights=rights) if strip_metadata else picture.data
    except NotStrippable:
        return Settled(encoded, 100, original=False)
    return Settled(data, 100, original=True)


def _settle_lower(
    picture: Picture, encoded: bytes, quality: int, image: Any, again: Callable[[Any, FormatName, int], bytes]
) -> Settled:
    """Bisect for the highest quality that is no larger than the source; for large pictures, roughly."""
    image = image.copy_memory()
    best, best_quality = encoded, quality
    fits, too_high = 0, quality
    pixels = image.get("width") * image.get("height")
    for _ in range(max(_FEWEST_TRIES, min(_MOST_TRIES, _TRIED_PIXELS // pixels))):
        middle = (fits + too_high) // 2
        if not middle or middle == fits:
            break
        attempt = again(image, picture.format, middle)
        if len(attempt) <= len(picture.data):
            fits, best, best_quality = middle, attempt, middle
        else:
            too_high = middle
            if not fits and len(attempt) < len(best):
                best, best_quality = attempt, middle
    return Settled(best, best_quality, original=False)
