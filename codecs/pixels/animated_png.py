"""Animated PNGs: libvips reads their first frame only, so they pass through with their frames as they came."""

from typing import Final

import msgspec

from pixels import png_chunks
from pixels.errors import DecodeFailed
from pixels.load import Picture, check_limits
from pixels.options import Limits
from pixels.rights import Rights
from pixels.sniff import Sniffed
from pixels.strip import strip_png

_MIN_CONTROL_BYTES: Final = 8


class AnimatedPng(msgspec.Struct, frozen=True):
    """An animated PNG whose chunks are whole: its canvas in pixels, its number of frames, and the first of them."""

    data: memoryview
    width: int
    height: int
    frames: int
    first: Picture

    @property
    def rights(self) -> Rights | None:
        """Who made it and who may use it; None where it does not say."""
        return self.first.rights

    def keep(self, *, strip: bool, rights: Rights | None = None) -> bytes | memoryview:
        """Return the file with all its frames; `strip` drops its metadata but for what it is shown by, and `rights`."""
        return strip_png(self.data, keep_look=True, rights=rights) if strip else self.data


def open_animated_png(data: memoryview, limits: Limits) -> AnimatedPng:
    """Check an animated PNG from its signature to its end, without decoding its pixels.

    Raises
    ------
    DecodeFailed
        A chunk is damaged or the end is missing.
    ImageTooLarge
        There are more pixels or frames than `limits` allow.
    """
    first = Picture(data, Sniffed("png"), limits)
    frames, last = 0, b""
    for chunk in png_chunks.walk(data):
        if not chunk.is_intact():
            raise DecodeFailed("The PNG image could not be decoded: a chunk is damaged.")
        if chunk.kind == b"acTL" and len(chunk.body) >= _MIN_CONTROL_BYTES:
            frames = int.from_bytes(chunk.body[:4], "big")
        last = chunk.kind
    if last != b"IEND" or not frames:
        raise DecodeFailed("The PNG image could not be decoded: the animation is cut.")
    check_limits(first.width, first.height, frames, limits)
    return AnimatedPng(data, first.width, first.height, frames, first)
