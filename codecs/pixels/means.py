"""The means of each format: the ways to encode that the search chooses between, cheapest bytes first.

A format's first means suits photographs. Where it cannot reach a distance at all, or only by more bytes, the next one
is taken: chroma at full resolution, chroma subsampled with more care, and in the end no loss.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final, NamedTuple

import numpy as np

from pixels.encode import encode_avif, encode_lossless_avif, encode_lossless_webp, encode_webp, find_avif_effort
from pixels.formats import FormatName
from pixels.jpeg import Chroma, encode_draft, encode_with_excerpt, finish
from pixels.raster import Raster
from pixels.tiles import SIDE_PX, Corner

#: The largest sample: by then it is precise.
_MOST_SAMPLE_PX: Final = 500_000
#: Encodes an image at a quality, with the metadata that libvips' `keep` flags name.
Encode = Callable[[Raster, int, int], bytes]
#: Encodes an image, and beside it the squares at some corners as a file of their own, below each other.
EncodeWithExcerpt = Callable[[Raster, int, Sequence[Corner]], tuple[bytes, bytes]]


class Curve(NamedTuple):
    """How the distance falls with the quality: the medians over many images, as a start for the search.

    Attributes
    ----------
    qualities
        Ascending; the first and the last bound what is tried.
    distances
        Butteraugli 3-norms, descending.
    """

    qualities: tuple[int, ...]
    distances: tuple[float, ...]

    def log_distance(self, quality: float) -> float:
        """Return the logarithm of the distance, interpolated linearly."""
        return float(np.interp(quality, self.qualities, np.log(self.distances)))

    def quality(self, log_distance: float) -> float:
        """Return the quality at which the curve has `log_distance`, within the curve's range."""
        return float(np.interp(-log_distance, -np.log(self.distances), self.qualities))


class Means(NamedTuple):
    """One way to encode.

    Attributes
    ----------
    name
        What sets it apart within its format.
    encode
        The encoder; for JPEG without its last, lossless step and without metadata.
    draft
        The encoder for probes: the same, or a cheaper one.
    curve
        What to expect of `encode`.
    draft_ratio
        The distance of `encode` over that of `draft` at the same quality, by experience.
    finish
        What is left to do for the file that was chosen: ``finish(data, image, keep)``.
    encode_with_excerpt
        As `encode`, with the squares of `tiles.SIDE_PX` at the given corners as a file of their own, decoded to the
        same pixels; None where the encoder cannot tell them apart. It spares verification from decoding the whole.
    """

    name: str
    encode: Encode
    draft: Encode
    curve: Curve
    draft_ratio: float = 1.0
    finish: Callable[[bytes, Raster, int], bytes] = lambda data, image, keep: data
    encode_with_excerpt: EncodeWithExcerpt | None = None


class Plan(NamedTuple):
    """How a format is searched.

    Attributes
    ----------
    photographs, drawings
        The means for either kind of picture, in the order in which they are tried.
    probe_px, verify_px
        The least pixels to encode and score for a probe, and to score of the last encode.
    share
        The share of a large image that either has: what an encode costs leaves room for no more.
    lossless
        Encodes without loss, at an effort in the place of a quality.
    """

    photographs: tuple[Means, ...]
    drawings: tuple[Means, ...]
    probe_px: int
    verify_px: int
    share: float
    lossless: Encode | None = None

    def sizes(self, pixels: int) -> tuple[int, int]:
        """Return the pixels to probe and to verify of an image of `pixels`."""
        share_px = min(int(self.share * pixels), _MOST_SAMPLE_PX)
        return max(share_px, self.probe_px), max(share_px, self.verify_px)


def _jpeg(chroma: Chroma, curve: Curve) -> Means:
    def draft(image: Raster, quality: int, keep: int) -> bytes:
        del keep  # it is put in at the end
        return encode_draft(image, quality, chroma)

    def draft_with_excerpt(image: Raster, quality: int, corners: Sequence[Corner]) -> tuple[bytes, bytes]:
        return encode_with_excerpt(image, quality, chroma, corners, SIDE_PX)

    return Means(
        chroma, encode=draft, draft=draft, curve=curve, finish=_finish_jpeg, encode_with_excerpt=draft_with_excerpt
    )


def _finish_jpeg(data: bytes, image: Raster, keep: int) -> bytes:
    return finish(data, image, keep=keep)


def _webp(curve: Curve, draft_ratio: float, *, smart_subsample: bool) -> Means:
    def encode(image: Raster, quality: int, keep: int, **options: Any) -> bytes:
        return encode_webp(image.image, quality, keep, smart_subsample=smart_subsample, **options)

    name = "smart_subsample" if smart_subsample else "420"
    return Means(name, encode=encode, draft=partial(encode, effort=0), curve=curve, draft_ratio=draft_ratio)


class _Draft(NamedTuple):
    """The effort of an AVIF's drafts, and the distance at the final effort over that of a draft."""

    effort: int
    ratio: float


def _lossless_webp(image: Raster, effort: int, keep: int) -> bytes:
    return encode_lossless_webp(image.image, effort, keep)


def _lossless_avif(image: Raster, effort: int, keep: int) -> bytes:
    return encode_lossless_avif(image.image, effort, keep)


def _avif(chroma: str, draft: _Draft, curve: Curve) -> Means:
    def encode(image: Raster, quality: int, keep: int, **options: Any) -> bytes:
        return encode_avif(image.image, quality, keep, chroma=chroma, **options)

    cheaper = partial(encode, effort=draft.effort)
    return Means(chroma, encode=encode, draft=cheaper, curve=curve, draft_ratio=draft.ratio)


_JPEG_Q: Final = (10, 20, 30, 40, 50, 60, 70, 80, 90, 95, 98)
_JPEG: Final = (
    _jpeg("420", Curve(_JPEG_Q, (2.82, 2.12, 1.77, 1.62, 1.47, 1.32, 1.16, 0.96, 0.70, 0.47, 0.34))),
    _jpeg("444", Curve(_JPEG_Q, (2.76, 2.06, 1.70, 1.56, 1.42, 1.27, 1.09, 0.88, 0.58, 0.40, 0.27))),
)
_WEBP_Q: Final = (5, 15, 30, 45, 60, 75, 80, 85, 90, 95, 98)
_WEBP: Final = Curve(_WEBP_Q, (3.53, 2.80, 2.26, 1.88, 1.60, 1.38, 1.20, 1.04, 0.84, 0.64, 0.54))
_WEBP_SMART: Final = Curve(_WEBP_Q, (3.54, 2.73, 2.14, 1.73, 1.49, 1.31, 1.13, 0.94, 0.74, 0.57, 0.45))
_AVIF_Q: Final = (10, 20, 30, 40, 50, 60, 70, 80, 90, 95)
_AVIF_420: Final = Curve(_AVIF_Q, (4.66, 3.53, 2.71, 2.02, 1.51, 1.16, 0.93, 0.73, 0.56, 0.47))
#: By the final effort, for photographs and for drawings. A drawing changes much with the tools that an effort allows.
_AVIF_DRAFTS: Final = {
    3: (_Draft(0, 0.955), _Draft(2, 0.97)),
    1: (_Draft(0, 1.0), _Draft(1, 1.0)),
    0: (_Draft(0, 1.0), _Draft(0, 1.0)),
}
_AVIF_444: Final = Curve(_AVIF_Q, (4.63, 3.53, 2.73, 2.01, 1.49, 1.13, 0.87, 0.68, 0.45, 0.34))


def find_plan(name: FormatName, pixels: int) -> Plan:
    """Return how an image of `pixels` is searched in a format with lossy means: all but PNG."""
    return _plan_avif(pixels) if name == "avif" else _PLANS[name]


_PLANS: Final[dict[FormatName, Plan]] = {
    "jpeg": Plan(_JPEG, _JPEG, probe_px=180_000, verify_px=180_000, share=0.015),
    "webp": Plan(
        (_webp(_WEBP, 1.0, smart_subsample=False), _webp(_WEBP_SMART, 1.0, smart_subsample=True)),
        (_webp(_WEBP, 0.94, smart_subsample=False), _webp(_WEBP_SMART, 0.94, smart_subsample=True)),
        probe_px=150_000,
        verify_px=150_000,
        share=0.015,
        lossless=_lossless_webp,
    ),
}


def _plan_avif(pixels: int) -> Plan:
    photograph, drawing = _AVIF_DRAFTS[find_avif_effort(pixels)]
    return Plan(
        (_avif("420", photograph, _AVIF_420), _avif("444", photograph, _AVIF_444)),
        (_avif("420", drawing, _AVIF_420), _avif("444", drawing, _AVIF_444)),
        probe_px=110_000,
        verify_px=500_000,
        share=0.04,
        lossless=_lossless_avif,
    )
