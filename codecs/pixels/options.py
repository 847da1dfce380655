"""What a customer may ask for, and the limits that hold whatever is asked."""

from typing import Literal

import msgspec

TargetFormat = Literal["auto", "jpeg", "png", "webp", "avif"]


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
    """

    format: TargetFormat = "auto"
    quality: int | None = None
    max_width: int | None = None
    max_height: int | None = None
    strip_metadata: bool = True


class Limits(msgspec.Struct, frozen=True, omit_defaults=True):
    """Bounds on one image, checked on its header before a pixel is decoded."""

    max_pixels: int = 50_000_000
    max_frames: int = 256
