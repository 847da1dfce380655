"""The way of an image: sniff, open, check limits, decode, resize, lay upright, colour, encode, never larger.

Resizing comes before turning and colour, because these then work on fewer pixels; the size asked for is nevertheless
that of the upright image. Where nothing has to be turned, rows stream from the decoder into the encoder.
"""

import time
from typing import Any, Final

import msgspec

from pixels import color, never_larger, resize
from pixels.animated_png import open_animated_png
from pixels.encode import HOLD_GREY, check_side, encode, keep_flags
from pixels.errors import UnsupportedFormat
from pixels.formats import FormatName
from pixels.image_rights import put_rights
from pixels.load import Picture
from pixels.memory import check_memory
from pixels.options import Limits, Options
from pixels.raster import Raster, hold
from pixels.sample import measure
from pixels.smart_png import find_png
from pixels.smart_quality import Found, find_quality
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
        The butteraugli 3-norm between source and result, where the metric chose the quality; else None.
    means
        How the metric chose to encode: see `means`. None where it did not, or the source's own data returned.
    decode_ms, search_ms, encode_ms
        Wall time. At a quality that was asked for, rows stream, and are decoded while they are encoded: `decode_ms` is
        then the header's alone.
    """

    data: bytes | memoryview
    format: FormatName
    width: int
    height: int
    quality: int
    original_returned: bool = False
    frames: int = 1
    distance: float | None = None
    means: str | None = None
    decode_ms: float = 0.0
    search_ms: float = 0.0
    encode_ms: float = 0.0


_DEFAULT_LIMITS = Limits()
#: A distance of so many times what `smart` aims at is a miss.
_MISSED: Final = 1.1


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
        What is refused by the header, before a pixel is decoded, and how long a search may take.

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
    MoreNeeded
        It would take more memory than `limits` allow; nothing was decoded.
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
    check_memory(picture, size, target, options, limits)
    strip = options.strip_metadata
    rights = picture.rights if strip and options.keep_copyright else None
    bare = strip and rights is None
    opened = time.perf_counter()

    def render(depth: int) -> Any:
        image = _render(picture, size, target, depth, strip=strip)
        return image if rights is None else put_rights(image, rights)

    try:
        if options.quality is None:
            raster = hold(render(16 if target == "png" else 8), with_metadata=not bare)
            decoded = time.perf_counter()
            made = _search(raster, target, options, started + limits.search_s, strip=bare)
        else:
            # Rows stream: they are decoded while they are encoded.
            decoded = opened
            depth = 16 if target == "png" and options.quality == 100 else 8
            made = Found(
                encode(render(depth), target, options.quality, strip=bare, jpeg_encoder=options.jpeg_encoder),
                options.quality,
                None,
            )
        settled = never_larger.Settled(made.data, made.quality, original=False)
        searched = time.perf_counter() if options.quality is None else decoded
        if target == picture.format and size == picture.upright_size:
            settled = never_larger.settle(
                picture,
                made.data,
                made.quality,
                render,
                strip_metadata=strip,
                rights=rights,
                jpeg_encoder=options.jpeg_encoder,
                measured=made.distance is not None,
                missed=made.distance is not None and made.distance > _MISSED * options.smart_distance,
            )
        distance = made.distance
        if distance is not None and settled.data is not made.data:
            distance = 0.0 if settled.original else measure(hold(render(8)), bytes(settled.data))
    except pyvips.Error as error:
        raise picture.blame(error) from error
    done = time.perf_counter()
    encode_s = made.encode_s + done - searched
    return Compressed(
        data=settled.data,
        format=target,
        width=size[0],
        height=size[1],
        quality=settled.quality,
        original_returned=settled.original,
        frames=picture.frames,
        distance=distance,
        means=None if settled.original else made.means,
        decode_ms=(decoded - started) * 1e3,
        search_ms=(done - decoded - encode_s) * 1e3,
        encode_ms=encode_s * 1e3,
    )


def _search(raster: Raster, target: FormatName, options: Options, until_s: float, *, strip: bool) -> Found:
    """Let the metric choose: see `smart_quality` and, for PNG, `smart_png`."""
    keep = keep_flags(raster.image, strip=strip)
    if target == "png":
        return find_png(raster, options.smart_distance, keep=keep, until_s=until_s)
    return find_quality(raster, target, options.smart_distance, keep=keep, until_s=until_s)


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
    rights = animation.rights if options.keep_copyright else None
    kept = animation.keep(strip=options.strip_metadata, rights=rights)
    spent_ms = (time.perf_counter() - started) * 1e3
    return Compressed(kept, "png", *size, 100, original_returned=True, frames=animation.frames, decode_ms=spent_ms)
