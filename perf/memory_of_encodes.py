"""How near the estimate of memory comes to what an encode process really takes: `python -m perf.memory_of_encodes`.

Every case is a real job in a fresh, locked encode process: what an earlier picture left would serve the next. The peak
is VmHWM, which the kernel resets by a 5 in `/proc/PID/clear_refs`, less what the process held before. A header does not
tell a photograph from a drawing, so the estimate is held to the greater of the two: from 0.8 to 2.5 times its peak. Of
noise, which is the hardest to compress, it is held to 0.8 alone: there more is no harm. Peaks of less than 32 MiB are
told and not judged: so much is a process's without asking.
"""

import argparse
import asyncio
import io
import math
import re
import sys
from itertools import product
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import skimage.data
from PIL import Image, ImageChops

from app.service.buffers import SharedBuffer
from app.service.encoders import Encoders
from pixels import vips
from pixels.formats import FormatName
from pixels.load import Picture
from pixels.memory import estimate_memory
from pixels.options import JpegEncoder, Limits, Options
from pixels.resize import fit_inside
from pixels.sniff import recognise
from pixels.vips import pyvips

_MEBIBYTE: Final = 1 << 20
_JUDGED_BYTES: Final = 32 * _MEBIBYTE
_LEAST, _MOST = 0.8, 2.5
_LIMITS: Final = Limits(search_s=30)
#: What Pillow, and for interlaced PNG libvips, is told.
_SOURCES: Final[dict[str, tuple[str, dict[str, object]]]] = {
    "jpeg": ("JPEG", {"quality": 85}),
    "progressive": ("JPEG", {"quality": 85, "progressive": True}),
    "progressive 4:4:4": ("JPEG", {"quality": 85, "progressive": True, "subsampling": 0}),
    "png": ("PNG", {"compress_level": 1}),
    "interlaced": ("interlaced", {}),
    "translucent": ("translucent", {}),
    "webp": ("WEBP", {"quality": 80, "method": 0}),
    "lossless webp": ("WEBP", {"lossless": True, "quality": 0, "method": 0}),
    "avif": ("AVIF", {"quality": 60, "speed": 10}),
}
_TARGETS: Final[tuple[FormatName, ...]] = ("jpeg", "png", "webp", "avif")
#: Small is of JPEG alone.
_QUALITIES: Final[dict[str, tuple[int | None, JpegEncoder]]] = {
    "75": (75, "fast"),
    "75 small": (75, "small"),
    "95 small": (95, "small"),
    "smart": (None, "fast"),
}


class Case(NamedTuple):
    """One header, and what is asked for it."""

    megapixels: float
    source: str
    target: FormatName
    quality: str
    scale: float


class Measured(NamedTuple):
    """Bytes of one case: the estimate, and the peak."""

    estimate: int
    peak: int

    @property
    def ratio(self) -> float:
        """How many times the peak the estimate is."""
        return self.estimate / max(1, self.peak)

    @property
    def is_near(self) -> bool:
        """Whether the estimate keeps its promise, or need not."""
        return self.peak < _JUDGED_BYTES or _LEAST <= self.ratio <= _MOST


async def main() -> None:
    """Measure the cases that were asked for, print a table, and fail where an estimate is off."""
    asked = _parse()
    vips.prepare()
    _write(
        "MP", "source", "target", "quality", "scale", "peak MiB", "estimate", "noise", "estimate", "ratio", "noise", ""
    )
    _write(*["---"] * 12)
    off = 0
    for megapixels, source in product(asked.mp, asked.source):
        files = [_encode(draw(megapixels), source) for draw in (_draw_photograph, _draw_drawing)]
        noisy = _encode(_draw_noise(megapixels), source)
        for rest in product(asked.target, asked.quality, asked.scale):
            case = Case(megapixels, source, *rest)
            if case.target != "jpeg" and _QUALITIES[case.quality][1] == "small":
                continue
            found = [await _measure(file, case) for file in files]
            # Of one size and kind; only the files' own bytes differ.
            usual = Measured(max(one.estimate for one in found), max(one.peak for one in found))
            noise = await _measure(noisy, case)
            is_near = usual.is_near and (noise.ratio >= _LEAST or noise.peak < _JUDGED_BYTES)
            numbers = [f"{part / _MEBIBYTE:.0f}" for one in (usual, noise) for part in (one.peak, one.estimate)]
            _write(*case, *numbers, f"{usual.ratio:.2f}", f"{noise.ratio:.2f}", "" if is_near else "off")
            off += not is_near
    sys.exit(1 if off else 0)


async def _measure(file: bytes, case: Case) -> Measured:
    """Let a fresh encode process work on a file."""
    picture = Picture(memoryview(file), recognise(memoryview(file)), _LIMITS)
    width, height = picture.upright_size
    quality, jpeg_encoder = _QUALITIES[case.quality]
    options = Options(
        format=case.target, quality=quality, max_width=round(case.scale * width), jpeg_encoder=jpeg_encoder
    )
    size = fit_inside(width, height, options.max_width, None)
    encoders = Encoders(
        processes=1,
        waiting_per_slot=0,
        wait_timeout_s=60,
        deadline_s=300,
        memory_bytes=3 << 30,
        limits=_LIMITS,
    )
    source = SharedBuffer(len(file))
    source.write(memoryview(file))
    try:
        await encoders.start()
        [pid] = encoders.pids
        before = _reset_peak(pid)
        await encoders.encode(source, options)
        peak = _read_status(pid, "VmHWM") - before
    finally:
        encoders.close()
        while encoders.alive:  # noqa: ASYNC110 - nothing tells it
            await asyncio.sleep(0.01)
        source.close()
    return Measured(estimate_memory(picture, size, case.target, options), peak)


def _reset_peak(pid: int) -> int:
    """Begin a new peak, and return the resident bytes that it begins with."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")
    return _read_status(pid, "VmRSS")


def _read_status(pid: int, field: str) -> int:
    found = re.search(rf"{field}:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) * 1024 if found else 0


def _encode(image: Image.Image, source: str) -> bytes:
    kind, options = _SOURCES[source]
    file = io.BytesIO()
    if kind == "interlaced":  # Pillow writes none
        return bytes(pyvips.Image.new_from_array(np.asarray(image)).pngsave_buffer(compression=1, interlace=True))
    if kind == "translucent":
        image = image.convert("RGBA")
        image.putalpha(image.getchannel("G"))
        kind = "PNG"
    image.save(file, kind, **options)
    return file.getvalue()


def _draw_photograph(megapixels: float) -> Image.Image:
    """A photograph, enlarged, with a camera's noise."""
    image = _coffee().resize(_size(megapixels), Image.Resampling.BICUBIC)
    noise = Image.effect_noise(image.size, 10).convert("RGB")
    return ImageChops.add(image, noise, offset=-128)


def _draw_drawing(megapixels: float) -> Image.Image:
    """Few colours, hard edges."""
    few = _coffee().quantize(200).convert("RGB")
    return few.resize(_size(megapixels), Image.Resampling.NEAREST)


def _draw_noise(megapixels: float) -> Image.Image:
    """Every sample by chance."""
    width, height = _size(megapixels)
    return Image.fromarray(np.random.default_rng(1).integers(0, 256, (height, width, 3), dtype=np.uint8))


def _coffee() -> Image.Image:
    return Image.fromarray(skimage.data.coffee())  # type: ignore[no-untyped-call]  # scikit-image has no types here


def _size(megapixels: float) -> tuple[int, int]:
    """Width and height of that many pixels at 4:3."""
    width = math.sqrt(megapixels * 1e6 * 4 / 3)
    return round(width), round(width * 3 / 4)


def _write(*cells: object) -> None:
    print(f"| {' | '.join(map(str, cells))} |", flush=True)  # noqa: T201 - a program's output


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--mp", type=float, nargs="+", default=[1, 12, 24, 48], help="megapixels of the source")
    parser.add_argument("--source", nargs="+", choices=_SOURCES, default=list(_SOURCES))
    parser.add_argument("--target", nargs="+", choices=_TARGETS, default=list(_TARGETS))
    parser.add_argument("--quality", nargs="+", choices=_QUALITIES, default=list(_QUALITIES))
    parser.add_argument("--scale", type=float, nargs="+", default=[1, 0.6, 0.2], help="of the result's width")
    return parser.parse_args()


if __name__ == "__main__":
    asyncio.run(main())
