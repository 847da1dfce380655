"""Damaged images: small files of every kind that the four formats know, and what chance makes of them."""

import functools
import io
import random
import zlib

import numpy as np
from PIL import Image

from tests.whole.pictures import encoded, photo

FORMATS = ("jpeg", "png", "webp", "avif")
#: One file in so many may cost an encode process: mozjpeg's transcoder ends its process over some that do decode.
MOST_DEATHS_PER = 500
#: What length and size fields are set to: the edges of signed and unsigned numbers.
_EDGES = (b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\0\1", b"\0\1\0\0", b"\xff\xff\xff\x7f")
_SIDE_PX = (48, 36)


@functools.cache
def sources(name: str) -> tuple[bytes, ...]:
    """Whole files of one format that take different ways through its decoder."""
    plain, frames = photo(*_SIDE_PX), [photo(32, 24).rotate(angle) for angle in (0, 90, 180)]
    clear = plain.convert("RGBA")
    clear.putalpha(plain.convert("L"))
    exif = Image.Exif()
    exif[0x0112] = 6
    moving = {"save_all": True, "append_images": frames[1:], "duration": 40}
    if name == "jpeg":
        return (
            encoded(plain, "JPEG", quality=90, exif=exif),
            encoded(plain, "JPEG", quality=70, progressive=True),
            encoded(plain.convert("L"), "JPEG", restart_marker_rows=1),
            encoded(plain.convert("CMYK"), "JPEG"),
        )
    if name == "png":
        deep = Image.fromarray(np.asarray(plain.convert("L"), np.uint16) * 257)
        return (
            encoded(plain, "PNG", exif=exif),
            encoded(clear, "PNG"),
            encoded(plain.quantize(16), "PNG", transparency=3),
            encoded(deep, "PNG"),
            encoded(frames[0], "PNG", **moving),
        )
    if name == "webp":
        return (
            encoded(plain, "WEBP", quality=80, exif=exif),
            encoded(plain, "WEBP", lossless=True),
            encoded(clear, "WEBP"),
            encoded(frames[0], "WEBP", **moving),
        )
    return (
        encoded(plain, "AVIF", quality=70, exif=exif),
        encoded(clear, "AVIF", quality=50, subsampling="4:4:4"),
        encoded(plain.convert("L"), "AVIF"),
    )


def damaged(name: str, number: int) -> bytes:
    """Make the damaged file with this number: the same one in every run."""
    chance = random.Random(f"{name} {number}")  # noqa: S311 - damage, no secret
    data = bytearray(chance.choice(sources(name)))
    for _ in range(chance.choice((1, 1, 1, 2))):
        chance.choice((_flip_bits, _write_bytes, _write_bytes, _write_edge, _cut, _repeat, _splice))(data, chance, name)
    # A checksum stops all other damage to a PNG at the door of the decoder.
    return _with_checksums(bytes(data)) if name == "png" and chance.random() < 0.7 else bytes(data)


def _with_checksums(png: bytes) -> bytes:
    """Write the right checksum into every chunk that is there whole."""
    data, at = bytearray(png), 8
    while at + 12 <= len(data):
        end = at + 8 + int.from_bytes(data[at : at + 4], "big")
        if end + 4 > len(data):
            break
        data[end : end + 4] = zlib.crc32(data[at + 4 : end]).to_bytes(4, "big")
        at = end + 4
    return bytes(data)


def _place(data: bytearray, chance: random.Random) -> int:
    """Choose where: one time in two in the headers, which say how everything else is read."""
    return chance.randrange(min(len(data), 200) if chance.random() < 0.5 else len(data))


def _flip_bits(data: bytearray, chance: random.Random, _: str) -> None:
    for _ in range(chance.choice((1, 1, 4, 32))):
        data[_place(data, chance)] ^= 1 << chance.randrange(8)


def _write_bytes(data: bytearray, chance: random.Random, _: str) -> None:
    for _ in range(chance.choice((1, 1, 4, 32))):
        data[_place(data, chance)] = chance.choice((0, 255, chance.randrange(256)))


def _write_edge(data: bytearray, chance: random.Random, _: str) -> None:
    at, edge = _place(data, chance), chance.choice(_EDGES)
    data[at : at + len(edge)] = edge


def _cut(data: bytearray, chance: random.Random, _: str) -> None:
    # Not to nothing: a later act wants a byte.
    del data[1 + _place(data, chance) :]


def _repeat(data: bytearray, chance: random.Random, _: str) -> None:
    start = _place(data, chance)
    data[start:start] = data[start : start + chance.randrange(1, 64)] * chance.choice((1, 1, 50))


def _splice(data: bytearray, chance: random.Random, name: str) -> None:
    """Go on with what another file has from there: the bytes of any format behind the headers of this one."""
    start = _place(data, chance)
    data[start:] = chance.choice(sources(chance.choice((name, *FORMATS))))[start:]
    data += b"\0" * (not data)


def is_whole(data: bytes) -> bool:
    """Whether Pillow, which has other decoders, reads it to the end."""
    try:
        Image.open(io.BytesIO(data)).load()
    except Exception:
        return False
    return True
