"""The JPEG encoder of `quality=smart`: a draft for the search, and what makes the draft small."""

from collections.abc import Sequence
from typing import Literal

from pixels.jpeg import baseline
from pixels.jpeg.excerpt import Excerpt
from pixels.jpeg.progressive import make_progressive
from pixels.jpeg.segments import insert_metadata
from pixels.raster import Raster
from pixels.tiles import Corner

#: Chroma at half resolution both ways, or at full.
Chroma = Literal["420", "444"]


def encode_draft(image: Raster, quality: float, chroma: Chroma) -> bytes:
    """Encode the pixels, without metadata, as fast as can be: what decodes from it is final, its size is not.

    Parameters
    ----------
    image
        Grey ("b-w") or sRGB, 8 bits a sample, no alpha, at most 65,500 pixels a side.
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
    return _encode(image, quality, chroma, None)


def encode_with_excerpt(
    image: Raster, quality: float, chroma: Chroma, corners: Sequence[Corner], side_px: int
) -> tuple[bytes, bytes]:
    """Encode as `encode_draft` does, and write some squares of the picture as a JPEG of their own.

    Parameters
    ----------
    corners, side_px
        Of `Excerpt`.

    Returns
    -------
    tuple
        The draft, and the squares below each other: they decode to what the draft does there, but for the two columns
        and rows at a square's border, where a decoder looks at what lies beyond.
    """
    excerpt = Excerpt(corners, side_px)
    return _encode(image, quality, chroma, excerpt), excerpt.data


def _encode(image: Raster, quality: float, chroma: Chroma, excerpt: Excerpt | None) -> bytes:
    if not 1 <= quality <= 100:
        raise ValueError(f"quality={quality} is not within 1-100")
    if image.samples.ndim == 2:
        return baseline.encode_grey(image.samples, quality, excerpt)
    return baseline.encode_color(image.samples, quality, half_chroma=chroma == "420", excerpt=excerpt)


def finish(draft: bytes, image: Raster, *, keep: int) -> bytes:
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
    return insert_metadata(make_progressive(draft), image.image, keep)
