"""Finds the images of a set and turns files into the pixels that are compared."""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from pixels.distance import decode_still
from pixels.errors import PixelsError, UnsupportedFormat
from pixels.formats import FormatName
from pixels.options import Limits

Pixels = npt.NDArray[np.uint8]

#: Butteraugli is not defined for less.
_MIN_SIDE_PX: Final = 8
_WHITE: Final = 255


class NotCompared(Exception):
    """A file is no still image that can be judged; the message says why."""


class Subject(NamedTuple):
    """One image of the set.

    Attributes
    ----------
    name
        Its folder in the set and its path in there.
    data
        The file.
    image
        Its pixels in memory, upright: 8 bits of sRGB, with or without alpha.
    """

    name: str
    data: bytes
    image: Any

    @property
    def megapixels(self) -> float:
        """Its size."""
        return float(self.image.width * self.image.height / 1e6)

    def png(self) -> bytes:
        """Make a PNG of these pixels that costs next to nothing to decode.

        The source file cannot stand in for it: with its own format asked for, it may return as it came.
        """
        return bytes(self.image.pngsave_buffer(compression=0, keep=0))


def find_files(folders: Iterable[Path]) -> dict[str, Path]:
    """Return every file below `folders` by its name in the set."""
    return {
        f"{folder.name}/{path.relative_to(folder)}": path
        for folder in folders
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def open_subject(name: str, path: Path, max_megapixels: float) -> Subject:
    """Read and decode one image of the set.

    Raises
    ------
    NotCompared
        It is broken, animated, in another format, larger than asked for or under 8 pixels a side.
    """
    data = path.read_bytes()
    try:
        image = decode(data, Limits(max_pixels=int(max_megapixels * 1e6)))
    except PixelsError as error:
        raise NotCompared(str(error)) from error
    if min(image.width, image.height) < _MIN_SIDE_PX:
        raise NotCompared(f"{image.width} x {image.height} is too small for butteraugli.")
    return Subject(name, data, image)


def decode(data: bytes | memoryview, limits: Limits) -> Any:
    """Decode a still image to upright 8-bit sRGB in memory.

    Raises
    ------
    NotCompared
        It is an animation, or none of the four formats.
    PixelsError
        It is broken, or larger than `limits`.
    """
    try:
        image = decode_still(data, limits)
    except UnsupportedFormat as error:
        raise NotCompared(str(error)) from error
    return image if image.bands > 2 else image.colourspace("srgb")


def choose_backgrounds(reference: Any, target: FormatName) -> tuple[int, ...]:
    """Return the levels of grey that a result has to look right over: black and white where there is alpha.

    A JPEG has none, and shows what lies before white.
    """
    if not reference.hasalpha():
        return (0,)
    return (_WHITE,) if target == "jpeg" else (0, _WHITE)


def lay_over(image: Any, background: int) -> Pixels:
    """Return uint8[h, w, 3] of `image` before a level of grey."""
    flat = image.flatten(background=background) if image.hasalpha() else image
    return np.ascontiguousarray(flat.numpy(), dtype=np.uint8)


def digest_pixels(pixels: Pixels) -> str:
    """Return what tells one picture from another, whatever file it came from."""
    digest = hashlib.sha256(repr(pixels.shape).encode())
    digest.update(pixels.data)
    return digest.hexdigest()
