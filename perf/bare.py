"""The same work without HTTP: drawn pictures, and `pixels.pipeline` in processes of its own."""

import time

import pyvips

from pixels.options import Options


def photograph(width: int, height: int, seed: int = 1) -> bytes:
    """A JPEG with about a photo's detail, drawn by libvips; the same on every machine."""
    base = pyvips.Image.perlin(width, height, cell_size=96, seed=seed)
    detail = pyvips.Image.gaussnoise(width, height, sigma=9, mean=0, seed=seed + 1).gaussblur(0.7)
    bands = [base.rot180() * 70 + 120 + detail, base * 80 + 125 + detail, base.fliphor() * 75 + 118 + detail]
    image = bands[0].bandjoin(bands[1:]).cast("uchar").copy(interpretation="srgb")
    data: bytes = image.jpegsave_buffer(Q=92)
    return data


def compress_raw(source: bytes, options: Options, count: int) -> float:
    """Compress `count` times in this process; the CPU seconds of all its threads."""
    from pixels.pipeline import compress

    begun = time.process_time()
    for _ in range(count):
        compress(source, options)
    return time.process_time() - begun


def prepare() -> None:
    """Set up a bare process as an encode process is."""
    from pixels import vips

    vips.prepare()
    vips.warm()
