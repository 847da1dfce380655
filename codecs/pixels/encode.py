"""The encoders at a quality that was asked for: one setting a format. What `smart` chooses between is in `means`.

JPEG, five photographs of 1000 x 667 at quality 75, one core; bytes against the first row, CPU time with decoding:

========================================  =====  ======
setting                                   bytes  CPU ms
========================================  =====  ======
plain libjpeg-turbo                       1.00      8.6
optimised Huffman codes                   0.96     11.7
mozjpeg's quantisation table 3            0.93      8.8
table 3, optimised codes (what we use)    0.89     11.7
table 3, optimised codes, progressive     0.88     17.8
table 3, optimised codes, trellis         0.79     40.8
all of these and a search for scans       0.77     65.2
========================================  =====  ======

At equal looks (butteraugli) about 4 of table 3's 7 % remain; codes and scans change no pixel.

AVIF at quality 60, one core, 11 photographs and 16 drawings; bytes, distance (butteraugli 3-norm) and CPU time of
encoding as medians of the ratio to effort 2, which took 186-1,042 ms a megapixel:

======  ==========================  ==========================
effort  photographs                 drawings
======  ==========================  ==========================
0       bytes 1.04, 1.04, CPU 0.18  bytes 1.40, 1.20, CPU 0.17
1       bytes 1.02, 1.02, CPU 0.5   bytes 1.02, 1.04, CPU 0.6
2       1, 1, 1                     1, 1, 1
3       bytes 0.93, 0.99, CPU 1.3   bytes 0.97, 0.98, CPU 2.1
4       bytes 0.87, 0.97, CPU 8.1
======  ==========================  ==========================

WebP at quality 76: effort 0 takes 0.25 of effort 4's time, for 1.25 times its bytes at 1.02 times its distance; 2 takes
half for 1.05 times; 6 takes twice as long for 0.98 times.
"""

import math
from typing import Any, Final

from pixels.animated_webp import restore_frames
from pixels.encode_png import encode_png
from pixels.errors import ImageTooLarge
from pixels.formats import FormatName
from pixels.jpeg import Chroma, encode_draft, finish
from pixels.options import JpegEncoder
from pixels.raster import hold

#: The longest side in pixels that a file of the format can have, or that its encoder writes.
_MAX_SIDE: Final[dict[FormatName, int]] = {"jpeg": 65_500, "webp": 16_383, "avif": 16_384, "png": 2**31 - 1}

#: The formats that store a grey image as grey.
HOLD_GREY: Final[frozenset[FormatName]] = frozenset({"jpeg", "png"})

#: libvips' flag for each kind of metadata.
_KEEP: Final[dict[str, int]] = {"exif-data": 1, "xmp-data": 2, "iptc-data": 4, "icc-profile-data": 8}

#: From here on JPEG keeps its chroma at full resolution, as libvips does by itself.
_FULL_CHROMA_QUALITY: Final = 90
_WEBP_EFFORT: Final = 4
_SUBSAMPLE: Final = {"auto": "auto", "420": "on", "444": "off"}
#: The effort of an AVIF by its pixels: what makes it smaller takes longer than anyone waits for a large one.
_AVIF_EFFORTS: Final = ((4_000_000, 3), (16_000_000, 1), (math.inf, 0))


def check_side(name: FormatName, width: int, height: int) -> None:
    """Refuse a size in pixels that the format cannot hold.

    Raises
    ------
    ImageTooLarge
        Naming the format's limit.
    """
    if max(width, height) > _MAX_SIDE[name]:
        raise ImageTooLarge(
            f"{name.upper()} holds at most {_MAX_SIDE[name]} pixels a side and the image has {max(width, height)}; "
            "ask for a smaller max_width or max_height."
        )


def encode(image: Any, name: FormatName, quality: int, *, strip: bool, jpeg_encoder: JpegEncoder = "fast") -> bytes:
    """Encode an image at a quality in the sense of the format's own users.

    Parameters
    ----------
    image
        Grey or RGB, 8 bits a sample (16 too for lossless PNG); alpha for all but JPEG. An image that is still being
        decoded is decoded as it is encoded.
    quality
        1-100. JPEG: libjpeg's scale, chroma at half resolution below 90. WebP, AVIF: their encoder's. PNG: the
        palette's quality, and 100 for lossless.
    strip
        False writes the EXIF, XMP, IPTC and ICC that the image carries.
    jpeg_encoder
        Of `Options`; ``small`` holds the whole picture, where the others let rows stream.

    Raises
    ------
    pyvips.Error
        The source broke while it was decoded, or the encoder refused the image.
    """
    keep = keep_flags(image, strip=strip)
    if name == "jpeg" and jpeg_encoder == "small":
        raster = hold(image, with_metadata=not strip)
        chroma: Chroma = "420" if quality < _FULL_CHROMA_QUALITY else "444"
        return finish(encode_draft(raster, quality, chroma), raster, keep=keep)
    if name == "jpeg":
        return bytes(image.jpegsave_buffer(Q=quality, quant_table=3, optimize_coding=True, keep=keep))
    if name == "webp":
        return encode_webp(image, quality, keep)
    if name == "avif":
        return encode_avif(image, quality, keep)
    return encode_png(image, quality, keep)


def keep_flags(image: Any, *, strip: bool) -> int:
    """Return libvips' flags for the metadata to write."""
    # Only what is there: libvips would write an EXIF block of its own.
    return 0 if strip else sum(flag for field, flag in _KEEP.items() if image.get_typeof(field))


def encode_webp(
    image: Any, quality: int, keep: int, *, effort: int = _WEBP_EFFORT, smart_subsample: bool = False
) -> bytes:
    """Encode a lossy WebP, an animation where the image is made of frames; `keep` is of `keep_flags`.

    `smart_subsample` halves the chroma by what the decoder will make of it: for twice the time, coloured edges stay.
    """
    return _write_webp(image, keep, Q=quality, effort=effort, smart_subsample=smart_subsample)


def encode_lossless_webp(image: Any, effort: int, keep: int) -> bytes:
    """Encode a WebP that loses nothing, at an effort of 0-6."""
    return _write_webp(image, keep, lossless=True, effort=effort)


def _write_webp(image: Any, keep: int, **options: Any) -> bytes:
    data = bytes(image.webpsave_buffer(keep=keep, **options))
    if not image.get_typeof("page-height"):
        return data
    return restore_frames(data, image.get("width"), image.get("page-height"), image.get("delay"), image.get("loop"))


def encode_avif(image: Any, quality: int, keep: int, *, chroma: str = "auto", effort: int | None = None) -> bytes:
    """Encode an AVIF.

    Parameters
    ----------
    chroma
        ``420`` or ``444``; ``auto`` is half resolution below quality 90.
    effort
        0-9; None takes what the image's size leaves time for.
    keep
        Of `keep_flags`.
    """
    return _write_avif(image, keep, effort, Q=quality, subsample_mode=_SUBSAMPLE[chroma])


def find_avif_effort(pixels: int) -> int:
    """Return the effort at which an AVIF of so many pixels is encoded."""
    return next(effort for most_pixels, effort in _AVIF_EFFORTS if pixels <= most_pixels)


def encode_lossless_avif(image: Any, effort: int, keep: int) -> bytes:
    """Encode an AVIF that loses nothing, at an effort of 0-9."""
    return _write_avif(image, keep, effort, lossless=True)


def _write_avif(image: Any, keep: int, effort: int | None, **options: Any) -> bytes:
    if effort is None:
        effort = find_avif_effort(image.get("width") * image.get("height"))
    return bytes(image.heifsave_buffer(compression="av1", bitdepth=8, effort=effort, keep=keep, **options))
