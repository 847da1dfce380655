"""The encoders: one setting a format, and the table of qualities that `smart` starts from.

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
"""

from typing import Any, Final

from pixels.animated_webp import restore_frames
from pixels.encode_png import encode_png
from pixels.errors import ImageTooLarge
from pixels.formats import FormatName

#: The quality that shows no difference on most photographs: per format, the best single one (butteraugli 3-norm 1.2).
#: PNG stays lossless.
FIXED_QUALITY: Final[dict[FormatName, int]] = {"jpeg": 77, "webp": 76, "avif": 60, "png": 100}

#: The longest side in pixels that a file of the format can have, or that its encoder writes.
_MAX_SIDE: Final[dict[FormatName, int]] = {"jpeg": 65_500, "webp": 16_383, "avif": 16_384, "png": 2**31 - 1}

#: The formats that store a grey image as grey.
HOLD_GREY: Final[frozenset[FormatName]] = frozenset({"jpeg", "png"})

#: libvips' flag for each kind of metadata.
_KEEP: Final[dict[str, int]] = {"exif-data": 1, "xmp-data": 2, "iptc-data": 4, "icc-profile-data": 8}

#: An AVIF of more pixels is written at effort 0: 5 times faster for a tenth more bytes, or it would take half a minute.
_AVIF_FAST_PIXELS: Final = 6_000_000


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


def encode(image: Any, name: FormatName, quality: int, *, strip: bool) -> bytes:
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

    Raises
    ------
    pyvips.Error
        The source broke while it was decoded, or the encoder refused the image.
    """
    # Only what is there: libvips would write an EXIF block of its own.
    keep = 0 if strip else sum(flag for field, flag in _KEEP.items() if image.get_typeof(field))
    if name == "jpeg":
        return bytes(image.jpegsave_buffer(Q=quality, quant_table=3, optimize_coding=True, keep=keep))
    if name == "webp":
        return _encode_webp(image, quality, keep)
    if name == "avif":
        effort = 2 if image.get("width") * image.get("height") <= _AVIF_FAST_PIXELS else 0
        return bytes(image.heifsave_buffer(compression="av1", Q=quality, effort=effort, keep=keep, bitdepth=8))
    return encode_png(image, quality, keep)


def _encode_webp(image: Any, quality: int, keep: int) -> bytes:
    data = bytes(image.webpsave_buffer(Q=quality, effort=4, keep=keep))
    if not image.get_typeof("page-height"):
        return data
    return restore_frames(data, image.get("width"), image.get("page-height"), image.get("delay"), image.get("loop"))
