"""The pictures that all contestants get: drawn ones, and photographs of a folder where there is one."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final, Literal

from perf.bare import photograph
from perf.peers.peer import Picture
from perf.quality.images import decode, find_files
from pixels.options import Limits
from pixels.vips import pyvips

Size = Literal["web", "big"]
#: Pixels. A big one is beyond 2 MP, and as a JPEG still under the 2 MB up to which the service answers at once.
SIZES: Final[dict[Size, tuple[int, int]]] = {"web": (1000, 667), "big": (2000, 1334)}
_SEEDS: Final = (1, 11)
_SOURCE_QUALITY: Final = 92
_NO_LIMITS: Final = Limits(max_pixels=2**31)


def make_pictures(size: Size, folders: Iterable[Path], photos: int) -> list[Picture]:
    """Draw two pictures, and cut as many photographs of `folders` to the same size, which keeps work equal.

    Of the files that are large enough, `photos` are taken at even distances in the order of their names.
    """
    width, height = SIZES[size]
    files = {f"drawn-{seed}": photograph(width, height, seed) for seed in _SEEDS}
    files |= {path.stem: _cut(path, width, height) for path in _choose(list(_find_large(folders)), photos)}
    return [Picture(f"{name}-{width}.jpg", data, decode(data, _NO_LIMITS)) for name, data in files.items()]


def write_pictures(pictures: Iterable[Picture], folder: Path) -> None:
    """Write a file for each picture, for peers that read a folder."""
    for picture in pictures:
        (folder / picture.name).write_bytes(picture.data)


def _find_large(folders: Iterable[Path]) -> Iterator[Path]:
    wanted = SIZES["big"]
    for path in find_files(folders).values():
        try:
            image = pyvips.Image.new_from_buffer(path.read_bytes(), "")
        except pyvips.Error:
            continue
        if image.width >= wanted[0] and image.height >= wanted[1]:
            yield path


def _choose(paths: Sequence[Path], number: int) -> list[Path]:
    number = min(number, len(paths))
    return [paths[at * len(paths) // number] for at in range(number)]


def _cut(path: Path, width: int, height: int) -> bytes:
    image = pyvips.Image.thumbnail_buffer(path.read_bytes(), width, height=height, crop="centre")
    flat = image.flatten(background=255) if image.hasalpha() else image
    return bytes(flat.colourspace("srgb").jpegsave_buffer(Q=_SOURCE_QUALITY, keep=0))
