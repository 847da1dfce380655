"""PNG as `smart` makes it: in the fewest bytes that look like the picture.

1. 16 bits become 8, each sample rounded to the nearest: that is all that an 8-bit sRGB screen shows, and all that the
   metric sees. So the distance is 0 by definition.
2. libimagequant looks for the fewest colours with which the picture stays within the target. The distance jumps where
   colours are merged, so that only what was measured counts. Where its 256 colours do not suffice, as for many
   photographs, the first tries show it.
3. What is smaller of that palette and of no loss, is packed once more: see `pack_png`.

The metric reads sRGB. Where another profile is kept, it can promise nothing, and the file is lossless.

No part of a picture can stand for it, as it does in the other formats: quantised alone, tiles get other colours (at one
quality, the busiest tiles of a screenshot had a distance of 0.8 and the whole 1.8). What saves time is to try without
dithering: over 18 drawings the bytes are 2 % fewer in the middle and up to 7 times fewer, and the distance differs by
hundredths except in smooth gradients.
"""

import time
from typing import Any, Final, NamedTuple

from pixels import color, png_chunks
from pixels.encode_png import encode_png
from pixels.load import decode
from pixels.pack_png import has_time_to_pack, pack_png
from pixels.raster import Raster, hold
from pixels.sample import Sample
from pixels.smart_quality import Found
from pixels.strip import strip_png

_KEEP_ICC: Final = 8
_ICC: Final = "icc-profile-data"
#: Repeating a byte of 8 bits makes its 16: 0xAB -> 0xABAB.
_REPEAT: Final = 257
#: The largest drawing and the largest photograph that more than `encode_png` is done for. A photograph takes half a
#: second a megapixel until it is known to be unfit for a palette, and as long to be packed, for 3 % of its bytes.
_MOST_DRAWING_PX: Final = 16_000_000
_MOST_PHOTOGRAPH_PX: Final = 3_000_000
#: Up to here `encode_png` costs next to nothing, and its filters are now and then a little better than oxipng's.
_SMALL_PX: Final = 65_536
#: Pictures of up to 1.5 times these pixels are scored whole, larger ones by so many pixels of tiles.
_SCORED_PX: Final = 4_000_000
#: A palette under this share of the file without loss is the smaller one however both are packed.
_SURE: Final = 0.5
#: The share of the time left that the search for a palette may use up; the rest is for packing.
_SEARCH_SHARE: Final = 0.7

#: The best is not 100, which says that there is no loss.
_BEST_QUALITY: Final = 99
_FIRST_QUALITY: Final = 70
#: Qualities this close to each other make no difference that is worth a try.
_NEAR_QUALITY: Final = 6
#: A distance this near to the target, as a share of it, is not improved on.
_NEAR: Final = 0.93
#: Colours of a palette, and how many of them count as all: no higher quality has more.
_COLOURS: Final = 256
_FULL: Final = 250
#: A picture that is nearer to the target than so many times it is worth more care.
_HOPEFUL: Final = 1.5
#: What a try takes, as a share of the first one, which prepares the metric too.
_NEXT_TRY: Final = 0.6


class _Care(NamedTuple):
    """How hard libimagequant tries.

    Attributes
    ----------
    effort
        Of 10.
    dither
        0-1.
    most_tries
        How many qualities are tried.
    slower
        The time of a try over that of the less careful one.
    """

    effort: int
    dither: float
    most_tries: int
    slower: float = 1.0


#: For drawings and for photographs: what is tried first, and what follows where that misses the target by little. The
#: second reaches 0.95 to 0.55 times the distance.
_DRAWING: Final = (_Care(6, 0.0, 6), _Care(6, 0.5, 3, slower=1.3))
_PHOTOGRAPH: Final = (_Care(3, 0.0, 5), _Care(5, 0.5, 3, slower=3.0))


def find_png(raster: Raster, target: float, *, keep: int, until_s: float) -> Found:
    """Encode a picture in the fewest bytes whose distance is at most `target`.

    Parameters
    ----------
    raster
        Grey or RGB, with or without alpha, 8 or 16 bits a sample.
    target
        Butteraugli 3-norm, above 0; of a translucent picture before black and before white.
    keep
        libvips' flags of the metadata to write; 0 writes none.
    until_s
        When to stop looking, on the clock of `time.perf_counter`. At least one encode is made.

    Returns
    -------
    Found
        Of a palette, libimagequant's quality, 1-99, and the distance measured: on the whole picture up to 6
        megapixels, on 4 megapixels of tiles above. Without loss: 100, and 0.0.

    Raises
    ------
    pyvips.Error
        The encoder refused the image.
    """
    image, pixels = raster.image, raster.size_px
    is_judged = _means_srgb(image, keep)
    if is_judged and image.get("format") == "ushort":
        raster = _round_to_8_bits(image, with_metadata=keep != 0)
        image = raster.image
    now_s = time.perf_counter()
    if not is_judged or now_s >= until_s or pixels > _MOST_DRAWING_PX:
        return _encode_plain(image, keep)
    sample = Sample(raster, probe_px=_SCORED_PX, verify_px=_SCORED_PX)
    if not sample.is_drawing and pixels > _MOST_PHOTOGRAPH_PX:
        return _encode_plain(image, keep)
    # A grey profile goes with grey alone.
    may_be_palette = image.get("bands") > 2 or not keep & _KEEP_ICC
    search_until_s = now_s + _SEARCH_SHARE * (until_s - now_s)
    palette = _Search(image, sample, target, keep, search_until_s).run() if may_be_palette else None

    def pack(found: Found) -> Found:
        begun_s = time.perf_counter()
        data = pack_png(found.data, pixels, until_s=until_s, may_be_palette=may_be_palette)
        if not keep:
            # libvips always writes a density, which nobody asked for.
            data = strip_png(memoryview(data))
        return Found(data, found.quality, found.distance, found.encode_s + time.perf_counter() - begun_s)

    if sample.is_drawing or pixels <= _SMALL_PX or not has_time_to_pack(pixels, until_s):
        lossless = _encode_plain(image, keep)
    else:
        lossless = _encode_at_once(image, keep)
    if palette is None or len(palette.data) >= _SURE * len(lossless.data):
        lossless = pack(lossless)
    return lossless if palette is None else min(lossless, pack(palette), key=lambda found: len(found.data))


def _encode_plain(image: Any, keep: int) -> Found:
    begun_s = time.perf_counter()
    return Found(encode_png(image, 100, keep), 100, 0.0, time.perf_counter() - begun_s)


def _encode_at_once(image: Any, keep: int) -> Found:
    """Encode what will be packed: packing does all of `encode_png`'s work again, and for photographs better."""
    begun_s = time.perf_counter()
    data = bytes(image.pngsave_buffer(compression=1, filter="none", keep=keep))
    return Found(data, 100, 0.0, time.perf_counter() - begun_s)


def _means_srgb(image: Any, keep: int) -> bool:
    """Whether the file will be shown as sRGB, which is what the metric reads."""
    return not keep & _KEEP_ICC or color.is_srgb(image.get(_ICC), 1 if image.get("bands") < 3 else 3)


def _round_to_8_bits(image: Any, *, with_metadata: bool) -> Raster:
    # `colourspace` would cut the low byte off: half a level too dark.
    rounded = image.linear(1 / _REPEAT, 0.5).cast("uchar")
    rounded = rounded.copy(interpretation="b-w" if image.get("bands") < 3 else "srgb")
    return hold(rounded, with_metadata=with_metadata)


class _Search:
    """Looks for the smallest palette within the target."""

    def __init__(self, image: Any, sample: Sample, target: float, keep: int, until_s: float) -> None:
        self._image = image
        self._sample = sample
        self._target = target
        self._keep = keep
        self._until_s = until_s
        #: How long the next try will take.
        self._try_s = 0.0
        self._fitting: list[Found] = []

    def run(self) -> Found | None:
        """Return the smallest palette that was measured within the target, if there is one."""
        first, second = _DRAWING if self._sample.is_drawing else _PHOTOGRAPH
        least = self._bisect(first, _FIRST_QUALITY)
        if not self._fitting and least < _HOPEFUL * self._target:
            self._try_s *= second.slower
            self._bisect(second, _BEST_QUALITY)
        return min(self._fitting, key=lambda trial: len(trial.data), default=None)

    def _bisect(self, care: _Care, quality: int) -> float:
        """Look for the lowest quality that fits, from `quality` on; return the least distance."""
        least, too_low, fits = float("inf"), 0, _BEST_QUALITY + 1
        for _ in range(care.most_tries):
            if fits - too_low <= _NEAR_QUALITY or time.perf_counter() + self._try_s > self._until_s:
                break
            trial, distance = self._try(quality, care)
            least = min(least, distance)
            if distance <= self._target:
                self._fitting.append(trial)
                fits = quality
                if distance > _NEAR * self._target:
                    break
            else:
                too_low = quality
                if fits > _BEST_QUALITY and (quality == _BEST_QUALITY or self._is_hopeless(trial, distance)):
                    break
            quality = _choose_next(too_low, fits)
        return least

    def _is_hopeless(self, trial: Found, distance: float) -> bool:
        """Whether the colours that are left cannot help: at best the distance falls as their number grows."""
        colours = _count_colours(trial.data)
        return colours >= _FULL or distance * colours / _COLOURS > _HOPEFUL * self._target

    def _try(self, quality: int, care: _Care) -> tuple[Found, float]:
        """Return the palette of a quality, and its distance."""
        begun_s = time.perf_counter()
        options = {"palette": True, "Q": quality, "effort": care.effort, "dither": care.dither, "compression": 9}
        data = bytes(self._image.pngsave_buffer(keep=self._keep, **options))
        encode_s = time.perf_counter() - begun_s
        distance = self._sample.verify(decode(data))
        self._try_s = max(self._try_s, _NEXT_TRY * (time.perf_counter() - begun_s))
        return Found(data, quality, distance, encode_s), distance


def _choose_next(too_low: int, fits: int) -> int:
    if fits > _BEST_QUALITY:
        return _BEST_QUALITY
    return (too_low + fits) // 2 if too_low or fits <= _FIRST_QUALITY else _FIRST_QUALITY


def _count_colours(data: bytes) -> int:
    """Return the length of an indexed PNG's palette."""
    return next(len(chunk.body) // 3 for chunk in png_chunks.walk(memoryview(data)) if chunk.kind == b"PLTE")
