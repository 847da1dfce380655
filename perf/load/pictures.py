"""The pictures to send: files of folders, or drawn ones where there are none."""

import os
import struct
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from pixels.formats import FormatName
from pixels.sniff import is_animated_png, sniff

_ROOT: Final = Path(__file__).parents[2]
#: Width and height of the drawn photographs; the last two are large enough to become jobs.
_DRAWN: Final = ((320, 240), (640, 427), (1000, 667), (1600, 1067), (2400, 1600), (4000, 3000), (5600, 3700))
#: What is drawn; larger pictures repeat it.
_TILE: Final = (960, 960)
#: Below, an image is an icon, whose cost is all HTTP.
_MIN_SIDE_PX: Final = 16


class Picture(msgspec.Struct, frozen=True):
    """A file to upload.

    Attributes
    ----------
    format
        None for what is not to be understood: it is sent as it is, and the service has to refuse it.
    megapixels
        0 where `format` is None.
    """

    name: str
    data: bytes
    format: FormatName | None = None
    megapixels: float = 0.0


def find_corpus() -> list[Path]:
    """Return the folders of pictures beside the checkout, or none."""
    corpus = Path(os.environ.get("COMPRESSORIZE_SHARED", _ROOT.parent / "shared")) / "corpus"
    return [folder for folder in (corpus / "photos", corpus / "graphics", corpus / "features") if folder.is_dir()]


def find_hostile() -> Path | None:
    """Return the folder of hostile files beside the checkout."""
    folder = Path(os.environ.get("COMPRESSORIZE_SHARED", _ROOT.parent / "shared")) / "corpus" / "hostile"
    return folder if folder.is_dir() else None


def read_pictures(folders: Iterable[Path]) -> list[Picture]:
    """Read all still images of the four formats below `folders`, in order of their names.

    Left out are animated ones, those whose header is broken, and those of less than 16 pixels a side.
    """
    # Here and not above: processes that generate load have no use for libvips.
    from pixels.vips import pyvips

    found = []
    for folder in folders:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            data = path.read_bytes()
            kind = sniff(data)
            if kind is None or kind.animated or is_animated_png(memoryview(data)):
                continue
            try:
                header = pyvips.Image.new_from_buffer(data, "")
            except pyvips.Error:
                continue
            if min(header.width, header.height) >= _MIN_SIDE_PX:
                found.append(Picture(path.name, data, kind.format, header.width * header.height / 1e6))
    return found


def draw_pictures(*, min_megapixels: float = 0.0, max_megapixels: float = 50.0) -> list[Picture]:
    """Draw photographs and graphics in all four formats: the same on every machine with the same libvips."""
    sizes = [size for size in _DRAWN if min_megapixels <= size[0] * size[1] / 1e6 <= max_megapixels]
    return [picture for size in sizes for picture in _draw(*size)]


def _draw(width: int, height: int) -> Iterator[Picture]:
    from pixels.vips import pyvips

    def draw_plane(turn: str) -> Any:
        plane = pyvips.Image.perlin(*_TILE, cell_size=96, seed=width).rot(turn) * 75 + 120
        plane += pyvips.Image.gaussnoise(plane.width, plane.height, sigma=9, mean=0, seed=width + 1).gaussblur(0.7)
        across, down = -(-width // plane.width), -(-height // plane.height)
        return plane.cast("uchar").copy_memory().replicate(across, down).crop(0, 0, width, height)

    red, green, blue = (draw_plane(turn) for turn in ("d0", "d180", "d90"))
    image = red.bandjoin([green, blue]).copy(interpretation="srgb")
    megapixels = width * height / 1e6
    yield Picture(f"photograph-{width}.jpg", image.jpegsave_buffer(Q=92), "jpeg", megapixels)
    if megapixels < 1:
        yield Picture(f"photograph-{width}.png", image.pngsave_buffer(), "png", megapixels)
        yield Picture(f"photograph-{width}.webp", image.webpsave_buffer(Q=88), "webp", megapixels)
        avif = image.heifsave_buffer(Q=75, compression="av1", effort=0)
        yield Picture(f"photograph-{width}.avif", avif, "avif", megapixels)
        # Few colours and hard edges, as graphics have.
        poster = ((red / 64).floor() * 64).cast("uchar")
        yield Picture(f"poster-{width}.png", poster.pngsave_buffer(), "png", megapixels)


def read_hostile(folder: Path, *, max_bytes: int) -> list[Picture]:
    """Read what has to be refused, or survived, as it is."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return [Picture(path.name, path.read_bytes()) for path in files if path.stat().st_size <= max_bytes]


def make_hostile(pictures: Iterable[Picture]) -> list[Picture]:
    """Make broken, disguised and lying files, from good ones where there have to be pixels."""
    broken = []
    for picture in pictures:
        half = picture.data[: len(picture.data) // 2]
        broken.append(Picture(f"half of {picture.name}", half))
        broken.append(Picture(f"scrambled {picture.name}", half[:-64] + bytes(range(64)) + picture.data[len(half) :]))
    head = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(bytes(1024))), (b"IEND", b""))
    bomb = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
    return [
        *broken,
        Picture("svg.png", b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>'),
        Picture("gif.jpg", b"GIF89a\x01\x00\x01\x00\x00\x00\x00;"),
        Picture("empty.jpg", b""),
        Picture("3600 megapixels.png", b"\x89PNG\r\n\x1a\n" + bomb),
    ]
