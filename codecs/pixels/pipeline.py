"""The way of an image: sniff, open, check limits, decode, resize, lay upright, colour, encode, never larger.

Resizing comes before turning and colour, because these then work on fewer pixels; the size asked for is nevertheless
that of the upright image. Where nothing has to be turned, rows stream from the decoder into the encoder.
"""

import time
from typing import Any

import msgspec

from pixels import color, never_larger, resize
from pixels.animated_png import open_animated_png
from pixels.encode import FIXED_QUALITY, HOLD_GREY, check_side, encode
from pixels.errors import UnsupportedFormat
from pixels.formats import FormatName
from pixels.load import Picture
from pixels.options import Limits, Options
from pixels.sniff import is_animated_png, recognise
from pixels.vips import pyvips


class Compressed(msgspec.Struct, frozen=True):
    """One result.

    Attributes
    ----------
    data
        The file; it may be a view of the source that was given.
    format
        What `data` is.
    width, height
        Of one frame, in pixels.
    quality
        The encoder quality used, 1-100; 100 where the source's own data returned.
    original_returned
        True when the pixels are the source's own compressed data: see `never_larger`.
    frames
        1 but for an animation.
    distance
        The butteraugli 3-norm between source and result; None where it was not measured.
    decode_ms, search_ms, encode_ms
        Wall time. Rows that stream are decoded while they are encoded: then `decode_ms` is the header's alone.
    """

    data: bytes | memoryview
    format: FormatName
    width: int
    height: int
    quality: int
    original_returned: bool = False
    frames: int = 1
    distance: float | None = None
    decode_ms: float = 0.0
    search_ms: float = 0.0
    encode_ms: float = 0.0


_DEFAULT_LIMITS = Limits()


def compress(source: Any, options: Options, limits: Limits = _DEFAULT_LIMITS) -> Compressed:
    """Make an image smaller.

    Parameters
    ----------
    source
        The file's bytes: any object with a buffer (bytes, memoryview, mmap). It is read where it lies, and must not
        change before this returns, nor while `Compressed.data` is a view of it.
    options
        What is asked for.
    limits
        What is refused by the header, before a pixel is decoded.

    Raises
    ------
    UnsupportedFormat
        The bytes are none of the four formats, or an animation that cannot become what was asked for.
    ImageTooLarge
        There are more pixels or frames than `limits` allow, or a longer side than the asked format has.
    DecodeFailed
        The source is broken.
    EncodeFailed
        The encoder refused a picture that decodes.
    """
    started = time.perf_counter()
    data = memoryview(source)
    kind = recognise(data)
    target = kind.format if options.format == "auto" else options.format
    if kind.format == "png" and is_animated_png(data):
        return _pass_through(data, target, options, limits)
    if kind.animated and target != "webp":
        raise UnsupportedFormat(f"An animated WebP cannot become {target.upper()}: ask for webp or auto.")

    picture = Picture(data, kind, limits)
    size = resize.fit_inside(*picture.upright_size, options.max_width, options.max_height)
    check_side(target, *size)
    quality = options.quality or FIXED_QUALITY[target]
    strip = options.strip_metadata
    opened = time.perf_counter()

    def render(depth: int) -> Any:
        return _render(picture, size, target, depth, strip=strip)

    try:
        encoded = encode(render(16 if target == "png" and quality == 100 else 8), target, quality, strip=strip)
        result = never_larger.Settled(encoded, quality, original=False)
        if target == picture.format and size == picture.upright_size:
            result = never_larger.settle(picture, encoded, quality, render, strip_metadata=strip)
    except pyvips.Error as error:
        raise picture.blame(error) from error
    return Compressed(
        data=result.data,
        format=target,
        width=size[0],
        height=size[1],
        quality=result.quality,
        original_returned=result.original,
        frames=picture.frames,
        decode_ms=(opened - started) * 1e3,
        encode_ms=(time.perf_counter() - opened) * 1e3,
    )


def _render(picture: Picture, size: tuple[int, int], target: FormatName, depth: int, *, strip: bool) -> Any:
    """Make the image to encode: upright, of `size`, in colours that the output can tell. Most often not yet read."""
    width, height = reversed(size) if picture.turned else size
    image = picture.decode(size)
    if target == "jpeg":
        image = resize.flatten_on_white(image)
    if size != picture.upright_size:
        image = resize.resize_frames(image, picture.frames, width, height)
    image = resize.lay_upright(image, picture.frames, picture.orientation)
    if not strip and (picture.orientation != 1 or size != picture.upright_size):
        image = resize.without_thumbnail(image)
    return color.convert(image, strip=strip, depth=depth, holds_grey=target in HOLD_GREY)


def _pass_through(data: memoryview, target: FormatName, options: Options, limits: Limits) -> Compressed:
    """Return an animated PNG as it came: see `animated_png`."""
    if target != "png":
        raise UnsupportedFormat(f"An animated PNG cannot become {target.upper()}: ask for png or auto.")
    started = time.perf_counter()
    animation = open_animated_png(data, limits)
    size = animation.width, animation.height
    if resize.fit_inside(*size, options.max_width, options.max_height) != size:
        raise UnsupportedFormat("An animated PNG cannot be resized: leave out max_width and max_height.")
    kept = animation.keep(strip=options.strip_metadata)
    spent_ms = (time.perf_counter() - started) * 1e3
    return Compressed(kept, "png", *size, 100, original_returned=True, frames=animation.frames, decode_ms=spent_ms)
