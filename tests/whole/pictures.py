"""Pictures that the tests draw, and odd bytes."""

import io
import struct
import zlib

import numpy as np
from PIL import Image


def photo(width: int = 320, height: int = 240) -> Image.Image:
    """Smooth waves with a little noise: compresses as a photo does."""
    y, x = np.mgrid[0:height, 0:width]
    noise = np.random.default_rng(7).normal(0, 4, (height, width))
    planes = [np.sin(x / 17 + y / 43) * 90 + 120, np.sin(y / 23 - x / 60) * 80 + 120, np.cos((x + y) / 37) * 90 + 125]
    return Image.fromarray(np.clip(np.stack([p + noise for p in planes], -1), 0, 255).astype(np.uint8))


def noise(width: int, height: int) -> Image.Image:
    """As hard to compress as can be."""
    return Image.fromarray(np.random.default_rng(3).integers(0, 256, (height, width, 3), dtype=np.uint8))


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    """The file of an image in one of Pillow's formats."""
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def opened(data: bytes) -> Image.Image:
    """A file's image, decoded."""
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def padded_jpeg(data: bytes, size: int) -> bytes:
    """The same JPEG with comments before its first scan, `size` bytes long."""
    at, need, filler = data.index(b"\xff\xda"), size - len(data), bytearray()
    while need:
        step = min(need, 65537)
        if 0 < need - step < 4:  # the shortest comment
            step -= 4
        filler += b"\xff\xfe" + struct.pack(">H", step - 2) + b"p" * (step - 4)
        need -= step
    return data[:at] + filler + data[at:]


def png_claiming(width: int, height: int) -> bytes:
    """A PNG whose header claims a size that its data does not have."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")
