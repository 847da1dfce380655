"""How much memory a picture will take at most, told by its header before anything is decoded.

What counts is a number of bytes for each pixel: of the source where its decoder holds all of it, of the result for its
encoder, and for `smart` of what the metric compares. The header does not tell a photograph from a drawing: both have to
fit. Noise it does tell, by the size of the file. Measured by `perf/memory_of_encodes.py`, which also says how near the
estimate comes.
"""

from typing import Final, NamedTuple

from pixels.formats import FormatName
from pixels.load import Picture
from pixels.means import find_plan
from pixels.options import Limits, Options

#: What any picture takes: rows under way, tables.
_ANY_PICTURE_BYTES: Final = 8 * 2**20


class _Encoder(NamedTuple):
    """Bytes for each pixel of the result, at a quality that is asked for and for smart."""

    fixed: float
    smart: float


#: Of WebP, for each pixel that comes out of the decoder; and, unless the file is known to be lossy, of the source.
_WEBP_BYTES: Final = 7.0
_LOSSLESS_WEBP_BYTES: Final = 4.0
#: Of AVIF, for each pixel of the source: the most while it is decoded, and what stays until the result is there.
_AVIF_DECODING_BYTES: Final = 15.0
_AVIF_BYTES: Final = 3.0
#: The same of more than 8 bits a sample, over that.
_DEEP_AVIF: Final = 1.25
#: Samples a pixel of a progressive JPEG, whose coefficients are all held, by how its chroma is stored.
_SAMPLES: Final = {"4:2:0": 1.5, "4:1:1": 1.5, "4:2:2": 2.0}
_COEFFICIENT_BYTES: Final = 2
_OPAQUE: Final[dict[FormatName, _Encoder]] = {
    "jpeg": _Encoder(6.0, 7.0),
    "png": _Encoder(24.0, 26.0),
    "webp": _Encoder(5.8, 20.0),
    "avif": _Encoder(20.6, 20.6),
}
_TRANSLUCENT: Final[dict[FormatName, _Encoder]] = {
    "jpeg": _OPAQUE["jpeg"],
    "png": _Encoder(31.0, 36.0),
    "webp": _Encoder(38.0, 46.0),
    "avif": _Encoder(37.0, 37.0),
}
#: Of our own JPEG encoder and of libwebp, for each byte that they write: coefficients, and what they are coded as.
_WRITTEN_BYTES: Final[dict[FormatName, int]] = {"jpeg": 14, "webp": 12}
#: The most that they write for a pixel: noise in full colour.
_MOST_WRITTEN: Final = 1.7
#: How many times the source they may write, by the source's format; lossless files are of any kind.
_WRITTEN_OF: Final[dict[FormatName, float]] = {"jpeg": 1.0, "png": 0.55, "webp": 2.0, "avif": 2.0}
#: And how much of that our own does up to a quality that few ask more than.
_COARSE_QUALITY: Final = 85
_COARSE_WRITTEN: Final = 0.5
#: Smart PNG holds 16 bits a sample while it looks for 8.
_DEEP_PNG: Final = 1.4
#: For each pixel that the metric compares, once for every background. Of a JPEG, tiles are compared and the file is
#: written one after the other.
_COMPARED_BYTES: Final = 65
_COMPARED_JPEG_BYTES: Final = 20
#: How many times the samples of a photograph a drawing's are, for probes and for verification: see `sample`.
_DRAWING_PROBE: Final = 2
_DRAWING_VERIFY: Final = 4
#: The most that smart PNG compares, and the largest picture that it compares at all: see `smart_png`.
_MOST_PNG_COMPARED_PX: Final = 4_000_000
_MOST_PNG_PX: Final = 16_000_000


class MoreNeeded(Exception):
    """The work would take `needed_bytes`, more than the limits allow."""

    def __init__(self, needed_bytes: int) -> None:
        super().__init__(f"{needed_bytes} bytes are needed")
        self.needed_bytes = needed_bytes


def check_memory(picture: Picture, size: tuple[int, int], target: FormatName, options: Options, limits: Limits) -> None:
    """Refuse work that takes more memory than `limits` allow.

    Raises
    ------
    MoreNeeded
        Telling how much it would take.
    """
    if limits.memory_bytes is None:
        return
    needed_bytes = estimate_memory(picture, size, target, options)
    if needed_bytes > limits.memory_bytes:
        raise MoreNeeded(needed_bytes)


def estimate_memory(picture: Picture, size: tuple[int, int], target: FormatName, options: Options) -> int:
    """Estimate the most bytes that a process will hold for a picture, beside what it holds when it is idle.

    Parameters
    ----------
    size
        Width and height in pixels of a frame of the result, upright.

    Returns
    -------
    int
        The source's bytes included: 0.8 to 2.5 times what was measured.
    """
    result_px = size[0] * size[1] * picture.frames
    encoder_bytes = _encoder_bytes_per_px(picture, target, options) * result_px
    if target == "webp" or (target == "jpeg" and _is_ours(options)):
        encoder_bytes += _WRITTEN_BYTES[target] * _count_written(picture, result_px, target, options)
    # It cannot be turned row by row; and what is searched with its metadata is copied: see `raster`.
    copies = (picture.orientation != 1) + (
        options.quality is None and (not options.strip_metadata or options.keep_copyright)
    )
    encoder_bytes += copies * picture.bands * result_px
    if options.quality is None:
        looks = 2 if picture.has_alpha and target != "jpeg" else 1
        compared_bytes = _COMPARED_JPEG_BYTES if target == "jpeg" else _COMPARED_BYTES
        encoder_bytes += compared_bytes * looks * _count_compared(target, result_px)
    decoding_bytes, decoded_bytes = _decoder_bytes(picture, size)
    return _ANY_PICTURE_BYTES + len(picture.data) + round(max(decoding_bytes, decoded_bytes + encoder_bytes))


def _decoder_bytes(picture: Picture, size: tuple[int, int]) -> tuple[float, float]:
    """Return the most that the decoder holds, and what it holds until the last pixel has been encoded."""
    pixels: float = picture.width * picture.height * picture.frames
    if picture.format == "avif":
        pixels *= _DEEP_AVIF if picture.is_deep else 1
        return _AVIF_DECODING_BYTES * pixels, _AVIF_BYTES * pixels
    held = 0.0
    if picture.format == "webp":
        decoded = picture.shrink_on_load(size).get("scale", 1.0) ** 2 * pixels
        held = _WEBP_BYTES * decoded
        if bytes(picture.data[12:16]) != b"VP8 ":
            held = max(held, _LOSSLESS_WEBP_BYTES * (pixels + decoded))
    elif picture.is_interlaced and picture.format == "jpeg":
        samples = _SAMPLES.get(picture.chroma_subsampling, picture.bands)
        held = _COEFFICIENT_BYTES * samples * pixels
    elif picture.is_interlaced:
        held = picture.bands * (2 if picture.is_deep else 1) * pixels
    return held, held


def _encoder_bytes_per_px(picture: Picture, target: FormatName, options: Options) -> float:
    encoder = (_TRANSLUCENT if picture.has_alpha else _OPAQUE)[target]
    if options.quality is not None and (target != "jpeg" or not _is_ours(options)):
        return encoder.fixed
    return encoder.smart * (_DEEP_PNG if target == "png" and picture.is_deep else 1)


def _is_ours(options: Options) -> bool:
    """Whether a JPEG comes from our own encoder."""
    return options.quality is None or options.jpeg_encoder == "small"


def _count_written(picture: Picture, result_px: int, target: FormatName, options: Options) -> float:
    """Return the most bytes that a lossy encoder will write."""
    written = min(_WRITTEN_OF[picture.format] * len(picture.data), _MOST_WRITTEN * result_px)
    is_coarse = target == "jpeg" and options.quality is not None and options.quality <= _COARSE_QUALITY
    return written * _COARSE_WRITTEN if is_coarse else written


def _count_compared(target: FormatName, pixels: int) -> int:
    if target == "png":
        return min(pixels, _MOST_PNG_COMPARED_PX) if pixels <= _MOST_PNG_PX else 0
    probe_px, verify_px = find_plan(target, pixels).sizes(pixels)
    return min(pixels, _DRAWING_PROBE * probe_px + _DRAWING_VERIFY * verify_px)
