"""Pictures that the tests draw or borrow, the files they make of them with Pillow, and an eye that looks at results.

Pillow shares no codec build with libvips, and LittleCMS is reached through it by other calls: an independent witness.
"""

import functools
import io
import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import skimage.data
from PIL import Image, ImageCms, ImageOps

Samples = npt.NDArray[np.uint8]
#: Real images that are not part of the project; tests that want them skip where they are absent.
SHARED = Path(os.environ.get("COMPRESSORIZE_SHARED", Path(__file__).resolve().parents[3] / "shared"))
CORPUS = SHARED / "corpus"
#: Pillow's name of each format.
KINDS = {"jpeg": "JPEG", "png": "PNG", "webp": "WEBP", "avif": "AVIF"}
RED, GREEN, BLUE, YELLOW = (220, 30, 30), (30, 200, 40), (30, 40, 220), (230, 220, 40)
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"/></x:xmpmeta>'


@functools.cache
def photo(width: int = 160, height: int = 120) -> Image.Image:
    """A photograph: the middle of scikit-image's cup of coffee."""
    whole = Image.fromarray(skimage.data.coffee())
    return ImageOps.fit(whole, (width, height), Image.Resampling.LANCZOS)


def noise(width: int, height: int, seed: int = 3) -> Image.Image:
    """As hard to compress as can be."""
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


def quadrants(width: int = 96, height: int = 64) -> Image.Image:
    """Red, green over blue, yellow: shows how a picture is turned."""
    image = Image.new("RGB", (width, height))
    for number, colour in enumerate((RED, GREEN, BLUE, YELLOW)):
        image.paste(colour, (number % 2 * width // 2, number // 2 * height // 2, width, height))
        if number == 1:
            image.paste(BLUE, (0, height // 2, width // 2, height))
    return image


def translucent(width: int = 96, height: int = 64) -> Image.Image:
    """A photograph that fades from clear at the left to opaque at the right."""
    image = photo(width, height).convert("RGBA")
    image.putalpha(Image.fromarray(np.tile(np.linspace(0, 255, width).astype(np.uint8), (height, 1))))
    return image


def encoded(image: Image.Image, name: str, **options: Any) -> bytes:
    """The file of an image, by Pillow."""
    out = io.BytesIO()
    image.save(out, KINDS.get(name, name), **options)
    return out.getvalue()


def opened(data: bytes | memoryview) -> Image.Image:
    """A file's first frame, decoded by Pillow, as it is stored."""
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def seen(data: bytes | memoryview) -> Image.Image:
    """What a colour-managed viewer shows: upright, in sRGB by the embedded profile."""
    image = opened(data)
    profile = image.info.get("icc_profile")
    image = ImageOps.exif_transpose(image)
    if profile:
        image = image.convert("RGBA" if "transparency" in image.info else "RGB") if image.mode == "P" else image
        alpha = image.getchannel("A") if image.mode in {"RGBA", "LA"} else None
        base = image.convert("RGB") if alpha else image
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        intent = ImageCms.Intent.RELATIVE_COLORIMETRIC
        image = ImageCms.profileToProfile(base, source, srgb(), renderingIntent=intent, outputMode="RGB")
        if alpha:
            image.putalpha(alpha)
    return image


def difference(one: Image.Image, other: Image.Image) -> float:
    """Mean difference of two pictures over white, in levels of 255, averaged over blocks: noise and chroma stay out."""
    assert one.size == other.size
    pair = [_over_white(image).resize((max(1, image.width // 8), max(1, image.height // 8)), Image.Resampling.BOX)
            for image in (one, other)]  # fmt: skip
    first, second = (np.asarray(image, float) for image in pair)
    return float(np.abs(first - second).mean())


def mean_colours(image: Image.Image) -> list[tuple[int, ...]]:
    """The mean colour in the middle of each quadrant."""
    image = image.convert("RGB")
    w, h = image.width // 4, image.height // 4
    boxes = [
        (x, y, x + w, y + h) for y in (h // 2, image.height - h - h // 2) for x in (w // 2, image.width - w - w // 2)
    ]
    return [tuple(int(v) for v in np.asarray(image.crop(box)).reshape(-1, 3).mean(axis=0).round()) for box in boxes]


def srgb() -> ImageCms.ImageCmsProfile:
    """LittleCMS's own sRGB."""
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))


def matrix_profile(
    red: tuple[float, float], green: tuple[float, float], blue: tuple[float, float], gamma: float
) -> bytes:
    """An ICC profile (version 2, matrix and gamma) of three primaries, in xy, at the white point D50."""
    white = np.array([0.9642, 1.0, 0.8249])
    columns = np.array([[x / y, 1, (1 - x - y) / y] for x, y in (red, green, blue)]).T
    columns = columns * np.linalg.solve(columns, white)
    curve = _tag(b"curv", (1).to_bytes(4, "big") + round(gamma * 256).to_bytes(2, "big") + b"\0\0")
    tags = {
        b"wtpt": _xyz(white),
        b"rXYZ": _xyz(columns[:, 0]),
        b"gXYZ": _xyz(columns[:, 1]),
        b"bXYZ": _xyz(columns[:, 2]),
    }
    return _profile(b"RGB ", {**tags, b"rTRC": curve, b"gTRC": curve, b"bTRC": curve})


def grey_profile(gamma: float) -> bytes:
    """An ICC profile for grey of one gamma."""
    curve = _tag(b"curv", (1).to_bytes(4, "big") + round(gamma * 256).to_bytes(2, "big") + b"\0\0")
    return _profile(b"GRAY", {b"wtpt": _xyz(np.array([0.9642, 1.0, 0.8249])), b"kTRC": curve})


def exif(orientation: int = 1, make: str = "TestCam") -> bytes:
    """An EXIF block with an orientation and a camera's name."""
    block = Image.Exif()
    block[0x0112] = orientation
    block[0x010F] = make
    return block.tobytes()


def stored(image: Image.Image, orientation: int) -> Image.Image:
    """The pixels that a viewer shows as `image` once it applies `orientation`."""
    turns = {2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
             5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE,
             8: Image.Transpose.ROTATE_270}  # fmt: skip
    return image.transpose(turns[orientation]) if orientation > 1 else image


def animation(frames: list[Image.Image], delays_ms: list[int], loop: int = 3, **options: Any) -> bytes:
    """An animated WebP."""
    first, *others = frames
    return encoded(first, "webp", save_all=True, append_images=others, duration=delays_ms, loop=loop, **options)


def _over_white(image: Image.Image) -> Image.Image:
    image = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")


def _tag(kind: bytes, body: bytes) -> bytes:
    return kind + b"\0\0\0\0" + body


def _xyz(values: npt.NDArray[np.float64]) -> bytes:
    return _tag(b"XYZ ", b"".join(round(float(value) * 65536).to_bytes(4, "big", signed=True) for value in values))


def _profile(space: bytes, tags: dict[bytes, bytes]) -> bytes:
    tags = {
        b"desc": _tag(b"desc", (5).to_bytes(4, "big") + b"test\0" + bytes(78 + 3)),
        b"cprt": _tag(b"text", b"none"),
        **tags,
    }
    offset, table, body = 128 + 4 + 12 * len(tags), len(tags).to_bytes(4, "big"), b""
    for name, tag in tags.items():
        data = tag + bytes(-len(tag) % 4)
        table += name + (offset + len(body)).to_bytes(4, "big") + len(data).to_bytes(4, "big")
        body += data
    head = bytes(4) + b"test" + b"\x02\x20\0\0" + b"mntr" + space + b"XYZ " + bytes(12) + b"acsp" + bytes(28)
    head += _xyz(np.array([0.9642, 1.0, 0.8249]))[8:] + bytes(48)
    size = 128 + len(table) + len(body)
    return size.to_bytes(4, "big") + head[4:128] + table + body


#: Primaries adapted to D50 are not those of the standards; what counts is that they lie well outside sRGB's.
WIDE = matrix_profile((0.7, 0.29), (0.22, 0.72), (0.14, 0.06), 2.2)
#: The same as sRGB: primaries of IEC 61966-2-1 adapted to D50, by LittleCMS.
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
