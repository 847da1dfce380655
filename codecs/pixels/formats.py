"""The four formats, and how each is named outside."""

from typing import Final, Literal

import msgspec

FormatName = Literal["jpeg", "png", "webp", "avif"]


class Format(msgspec.Struct, frozen=True):
    """A format's names: `name` in parameters and headers, `extension` in file names, `media_type` in HTTP."""

    name: FormatName
    extension: str
    media_type: str


FORMATS: Final[dict[FormatName, Format]] = {
    "jpeg": Format("jpeg", "jpg", "image/jpeg"),
    "png": Format("png", "png", "image/png"),
    "webp": Format("webp", "webp", "image/webp"),
    "avif": Format("avif", "avif", "image/avif"),
}
