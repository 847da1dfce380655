"""The PNG encoder: a palette below quality 100, and lossless in the smallest of PNG's forms at 100."""

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from pixels import png_chunks
from pixels.indexed_png import encode_indexed, find_palette
from pixels.strip import strip_png

#: Above this many pixels an image is tried in one form rather than in all, and each pixel gets less time.
_LARGE_PIXELS: Final = 4_000_000
#: Pixels of the strip that stands for a large image when its row filter is chosen.
_SAMPLE_PIXELS: Final = 262_144
#: Half of full dithering: fewer bytes and a smaller error than all of it, without the bands of none.
_DITHER: Final = 0.5
_KEEP_ICC: Final = 8
_METADATA: Final = frozenset((b"iCCP", b"eXIf", b"iTXt", b"zTXt", b"tEXt"))
#: Repeating a byte of 8 bits makes its 16: 0xAB -> 0xABAB.
_REPEAT: Final = 257


def encode_png(image: Any, quality: int, keep: int) -> bytes:
    """Encode a PNG.

    Parameters
    ----------
    image
        Grey or RGB, with or without alpha, 8 or 16 bits a sample.
    quality
        100 is lossless: the pixels come back as they are, in the fewest bits that hold them (a palette, grey, 8 bits
        where 16 say no more, no alpha where all is opaque). Below 100 libimagequant looks for the fewest colours that
        look like the picture to that degree, at most 256: photographs need them all from about 75 on, and no longer
        grow above.
    keep
        libvips' flags of the metadata to write; 0 writes none.

    Raises
    ------
    pyvips.Error
        The source broke while it was decoded.
    """
    image, samples = _in_fewest_bits(image.copy_memory(), keep)
    forms = []
    if quality < 100:
        forms.append(_quantised(image, quality, keep))
    palette = None
    # A grey image is as small without a palette, unless its shades fit in half a byte; and no palette may go with a
    # grey profile.
    if samples.dtype == np.uint8 and (samples.shape[2] > 2 or not keep & _KEEP_ICC):
        palette = find_palette(samples, at_most=256 if samples.shape[2] != 1 else 16)
    if palette is not None:
        forms.append(encode_indexed(samples, palette, _metadata_chunks(image, keep) if keep else ()))
    if quality == 100 and (palette is None or samples.size <= _LARGE_PIXELS):
        forms.append(_filtered(image, keep))
    # libvips always writes a density, which nobody asked for.
    return min((form if keep else strip_png(memoryview(form)) for form in forms), key=len)


def _in_fewest_bits(image: Any, keep: int) -> tuple[Any, npt.NDArray[Any]]:
    """Drop what says nothing: low bytes that repeat the high ones, alpha that is opaque, channels that are equal."""
    samples = _samples(image)
    if samples.dtype == np.uint16 and bool(np.all(samples % _REPEAT == 0)):
        image = image.colourspace("b-w" if samples.shape[2] < 3 else "srgb")
        samples = _samples(image)
    bands = samples.shape[2]
    if bands in (2, 4) and samples[:, :, -1].min() == np.iinfo(samples.dtype).max:
        image, samples = image.extract_band(0, n=bands - 1), samples[:, :, :-1]
    # An RGB profile cannot go with a grey image.
    if samples.shape[2] >= 3 and not keep & _KEEP_ICC and _is_grey(samples):
        grey = image[1].bandjoin(image[3]) if samples.shape[2] == 4 else image[1]
        image = grey.copy(interpretation="grey16" if samples.dtype == np.uint16 else "b-w")
        samples = samples[:, :, 1::2]
    return image.copy_memory(), np.ascontiguousarray(samples)


def _samples(image: Any) -> npt.NDArray[Any]:
    kind = np.uint16 if image.get("format") == "ushort" else np.uint8
    shape = (image.get("height"), image.get("width"), image.get("bands"))
    return np.frombuffer(image.write_to_memory(), kind).reshape(shape)


def _is_grey(samples: npt.NDArray[Any]) -> bool:
    # One row first: it settles most colour images.
    for rows in (samples[len(samples) // 2], samples):
        red, green, blue = rows[..., 0], rows[..., 1], rows[..., 2]
        if not (np.array_equal(red, green) and np.array_equal(green, blue)):
            return False
    return True


def _quantised(image: Any, quality: int, keep: int) -> bytes:
    effort = 7 if image.get("width") * image.get("height") <= _LARGE_PIXELS else 4
    options = {"palette": True, "Q": quality, "dither": _DITHER, "effort": effort, "compression": 9}
    return bytes(image.pngsave_buffer(keep=keep, **options))


def _filtered(image: Any, keep: int) -> bytes:
    """Encode with the better of two row filters: none, which suits drawings, and the adaptive one for photographs."""
    width, height = image.get("width"), image.get("height")
    rows = max(1, _SAMPLE_PIXELS // width)
    strip = image.crop(0, (height - rows) // 2, width, rows) if rows < height else image
    best = min(("none", "all"), key=lambda name: len(strip.pngsave_buffer(filter=name, compression=6, keep=0)))
    # Level 9 costs thrice the time of 6: it gains 7 % unfiltered, 1.5 % filtered.
    level = 9 if width * height <= (_LARGE_PIXELS if best == "none" else _SAMPLE_PIXELS) else 6
    return bytes(image.pngsave_buffer(filter=best, compression=level, keep=keep))


def _metadata_chunks(image: Any, keep: int) -> list[memoryview]:
    """Let libvips write the metadata into a black PNG, and take the chunks from there.

    It is of the same size, because EXIF states the size.
    """
    donor = memoryview(image.linear(0, 0, uchar=True).pngsave_buffer(compression=1, keep=keep))
    return [chunk.whole for chunk in png_chunks.walk(donor) if chunk.kind in _METADATA]
