"""The JPEG encoder of `quality=smart`: a draft for the search, and what makes the draft small."""

from typing import Any, Literal

import numpy as np

from pixels.jpeg import baseline
from pixels.jpeg.planes import Pixels
from pixels.jpeg.segments import insert_metadata

try:
    import mozjpeg_lossless_optimization as rescan
except ImportError:
    # A platform for which there is no wheel: libvips then does it all.
    rescan = None

#: Chroma at half resolution both ways, or at full.
Chroma = Literal["420", "444"]


def encode_draft(image: Any, quality: float, chroma: Chroma) -> bytes:
    """Encode the pixels, without metadata, as fast as can be: what decodes from it is final, its size is not.

    Parameters
    ----------
    image
        A pyvips image in memory: grey ("b-w") or sRGB, 8 bits a sample, no alpha, at most 65,500 pixels a side.
    quality
        1-100 in the sense of libjpeg; fractions count.
    chroma
        What suits the picture; without effect on a grey one.

    Returns
    -------
    bytes
        A JPEG, a quarter to a half larger than `finish` makes it.

    Raises
    ------
    ValueError
        The quality is out of range.
    """
    if not 1 <= quality <= 100:
        raise ValueError(f"quality={quality} is not within 1-100")
    if rescan is None:
        return _encode_by_libvips(image, quality, chroma)
    samples = _samples(image)
    if samples.ndim == 2:
        return baseline.encode_grey(samples, quality)
    return baseline.encode_color(samples, quality, half_chroma=chroma == "420")


def finish(draft: bytes, image: Any, *, keep: int) -> bytes:
    """Make a draft as small as can be without changing a pixel, and put the metadata in.

    Parameters
    ----------
    draft
        From `encode_draft`.
    image
        What it was made from.
    keep
        libvips' flags of the metadata to write; 0 writes none.
    """
    return insert_metadata(draft if rescan is None else rescan.optimize(draft), image, keep)


def _samples(image: Any) -> Pixels:
    height, width, bands = image.get("height"), image.get("width"), image.get("bands")
    samples = np.frombuffer(image.write_to_memory(), np.uint8)
    return samples.reshape((height, width) if bands == 1 else (height, width, bands))


def _encode_by_libvips(image: Any, quality: float, chroma: Chroma) -> bytes:
    return bytes(
        image.jpegsave_buffer(
            Q=round(quality),
            subsample_mode="on" if chroma == "420" else "off",
            quant_table=3,
            optimize_coding=True,
            trellis_quant=True,
            overshoot_deringing=True,
            interlace=True,
            optimize_scans=True,
            keep=0,
        )
    )
