"""Which of the four formats some bytes are, by their first bytes alone. Pure Python: the event loop may call it."""

from typing import Final

import msgspec

from pixels import png_chunks
from pixels.errors import UnsupportedFormat
from pixels.formats import FormatName

#: Bytes that `sniff` wants to see; fewer are judged as they are.
HEAD_BYTES: Final = 64
_WEBP_ANIMATION_FLAG: Final = 0x02
#: A list of brands is short; a file that claims a longer one is not read through for it.
_MAX_BRAND_BYTES: Final = 4096


class Sniffed(msgspec.Struct, frozen=True):
    """What the first bytes tell: the format, and for WebP whether the file says that it is an animation."""

    format: FormatName
    animated: bool = False


def recognise(data: memoryview) -> Sniffed:
    """Name the format of a whole file, as `sniff` does.

    Raises
    ------
    UnsupportedFormat
        It is none of those that are served.
    """
    kind = sniff(data)
    if kind is None:
        raise UnsupportedFormat("The file is no JPEG, PNG, WebP or still AVIF image.")
    return kind


def sniff(head: bytes | bytearray | memoryview) -> Sniffed | None:
    """Name the format of a file by its magic bytes.

    Parameters
    ----------
    head
        The first bytes of the file, at best `HEAD_BYTES` or more.

    Returns
    -------
    Sniffed | None
        None for everything that is not served: other formats, HEIC, and AVIF sequences (a brand `avis`), of which
        only a still could be shown.
    """
    start = bytes(head[:HEAD_BYTES])
    if start.startswith(b"\xff\xd8\xff"):
        return Sniffed("jpeg")
    if start.startswith(png_chunks.SIGNATURE):
        return Sniffed("png")
    if start[:4] == b"RIFF" and start[8:12] == b"WEBP":
        extended = start[12:16] == b"VP8X" and len(start) > 20
        return Sniffed("webp", animated=extended and bool(start[20] & _WEBP_ANIMATION_FLAG))
    if start[4:8] == b"ftyp" and _is_still_avif(head):
        return Sniffed("avif")
    return None


def _is_still_avif(head: bytes | bytearray | memoryview) -> bool:
    """Read the brands of an ISO base media file (ISO/IEC 14496-12, 4.3): major, version, then compatible ones."""
    box = bytes(head[: min(int.from_bytes(head[:4], "big"), _MAX_BRAND_BYTES)])
    brands = {box[8:12], *(box[at : at + 4] for at in range(16, len(box) - 3, 4))}
    return b"avif" in brands and b"avis" not in brands


def is_animated_png(data: memoryview) -> bool:
    """Tell whether a PNG is an animation: an `acTL` chunk before the first `IDAT` (APNG).

    `data` is the whole file, or as much of it as holds all chunks before the pixels.
    """
    for chunk in png_chunks.walk(data):
        if chunk.kind == b"acTL":
            return True
        if chunk.kind == b"IDAT":
            return False
    return False
