"""Takes metadata out of a file without touching its compressed pixels."""

from collections.abc import Callable
from typing import Final

from pixels.formats import FormatName
from pixels.rights import Rights
from pixels.strip.avif import strip_avif
from pixels.strip.errors import NotStrippable
from pixels.strip.jpeg import strip_jpeg
from pixels.strip.png import strip_png
from pixels.strip.webp import strip_webp

__all__ = ["NotStrippable", "strip", "strip_png"]

_STRIPPERS: Final[dict[FormatName, Callable[[memoryview, Rights | None], bytes]]] = {
    "jpeg": strip_jpeg,
    "png": strip_png,
    "webp": strip_webp,
    "avif": strip_avif,
}


def strip(data: memoryview, name: FormatName, rights: Rights | None = None) -> bytes:
    """Return the file without EXIF, XMP, IPTC, colour profile, comments, thumbnails and further images, but `rights`.

    The compressed pixels are the source's own, so the picture must be upright and in sRGB already: what tells
    otherwise goes too. The result is never longer than `data`.

    Raises
    ------
    NotStrippable
        The file decodes, but its structure is not one that can be rewritten.
    """
    stripped = _STRIPPERS[name](data, rights)
    if len(stripped) > len(data):
        raise NotStrippable("what is left is longer than the whole: parts of the file share bytes")
    return stripped
