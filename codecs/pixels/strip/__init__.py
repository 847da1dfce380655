"""Takes metadata out of a file without touching its compressed pixels. Pure Python: the event loop's side may call it.

The time it takes is bounded by the file's length, and by how many parts it may have.
"""

from collections.abc import Callable
from functools import partial
from typing import Final

from pixels.formats import FormatName
from pixels.rights import Rights
from pixels.strip import avif_items, jpeg, png, webp
from pixels.strip.avif import strip_avif
from pixels.strip.errors import NotStrippable
from pixels.strip.jpeg import strip_jpeg
from pixels.strip.metadata import Metadata
from pixels.strip.png import strip_png
from pixels.strip.webp import strip_webp

__all__ = ["NotStrippable", "strip", "strip_but_look", "strip_png"]

_Strip = Callable[[memoryview, Rights | None], bytes]

_STRIPPERS: Final[dict[FormatName, _Strip]] = {
    "jpeg": strip_jpeg,
    "png": strip_png,
    "webp": strip_webp,
    "avif": strip_avif,
}
_KEEPERS: Final[dict[FormatName, _Strip]] = {
    "jpeg": partial(strip_jpeg, keep_look=True, allow_cut=True),
    "png": partial(strip_png, keep_look=True, allow_cut=True),
    "webp": partial(strip_webp, keep_look=True),
    "avif": partial(strip_avif, keep_look=True),
}
_FINDERS: Final[dict[FormatName, Callable[[memoryview], Metadata]]] = {
    "jpeg": jpeg.find_metadata,
    "png": png.find_metadata,
    "webp": webp.find_metadata,
    "avif": avif_items.find_metadata,
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
    return _not_longer(_STRIPPERS[name](data, rights), data)


def strip_but_look(data: memoryview, name: FormatName, *, keep_rights: bool) -> bytes:
    """Return the file as `strip` does, but such that it looks as it did: with its colour profile and its orientation.

    It need not be a picture that decodes: a JPEG or PNG that breaks off behind where its pixels begin stays as far as
    it goes. The result is never longer than `data`.

    Parameters
    ----------
    keep_rights
        True keeps the statements about who made it, and who may use it.

    Raises
    ------
    NotStrippable
        Its structure is not one that can be rewritten, or there is no place for the statements.
    """
    rights = _FINDERS[name](data).rights if keep_rights else None
    return _not_longer(_KEEPERS[name](data, rights), data)


def _not_longer(stripped: bytes, data: memoryview) -> bytes:
    if len(stripped) > len(data):
        raise NotStrippable("what is left is longer than the whole: parts of the file share bytes, or statements grew")
    return stripped
