"""What a customer may ask for, and the limits that hold whatever is asked."""

from typing import Literal

import msgspec

TargetFormat = Literal["auto", "jpeg", "png", "webp", "avif"]
#: What makes a JPEG at a quality that is asked for: see `Options`.
JpegEncoder = Literal["fast", "small"]


class Options(msgspec.Struct, frozen=True, omit_defaults=True):
    """One request's parameters, already validated.

    Attributes
    ----------
    format
        Output format; ``auto`` keeps the source's.
    quality
        1-100 in the sense of the output format's own users, or None for ``smart``.
    max_width, max_height
        Box in pixels (1-65535) that the upright image is fitted inside; never enlarged.
    strip_metadata
        True converts to sRGB and drops EXIF, XMP and ICC; False carries them over.
    keep_copyright
        Where metadata is stripped, who made the picture and who may use it stays: see `rights`.
    smart_distance
        The butteraugli 3-norm that ``smart`` aims at, above 0. Below 1 a difference is hard to see side by side.
    jpeg_encoder
        What makes a JPEG at a quality that is a number: libjpeg-turbo, or ``smart``'s encoder, which takes about twice
        as long for a fifth fewer bytes at equal looks.
    """

    format: TargetFormat = "auto"
    quality: int | None = None
    max_width: int | None = None
    max_height: int | None = None
    strip_metadata: bool = True
    smart_distance: float = 1.2
    keep_copyright: bool = False
    jpeg_encoder: JpegEncoder = "fast"


class Limits(msgspec.Struct, frozen=True, omit_defaults=True):
    """Bounds on one image.

    Attributes
    ----------
    max_pixels, max_frames
        Checked on its header, before a pixel is decoded; the pixels are those of all frames.
    search_s
        For so long ``smart`` may look for the quality, from the start; then it returns the best that it has.
    memory_bytes
        What the work may take, as `memory` estimates it on the header; None for no bound.
    """

    max_pixels: int = 50_000_000
    max_frames: int = 256
    search_s: float = 8.0
    memory_bytes: int | None = None
