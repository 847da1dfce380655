"""Opens an image by its header, checks the limits, and decodes it when its pixels are wanted."""

import re
from typing import Any, Final

from pixels.av1_frames import check_frames
from pixels.errors import DecodeFailed, EncodeFailed, ImageTooLarge, PixelsError
from pixels.formats import FormatName
from pixels.image_rights import read_rights
from pixels.jpeg_segments import check_cost
from pixels.options import Limits
from pixels.png_metadata import PngMetadata, read_metadata, without_unsafe_metadata
from pixels.rights import Rights
from pixels.safe_exif import without_wild_exif
from pixels.sniff import Sniffed, recognise
from pixels.vips import pyvips
from pixels.webp_chunks import count_frames

_LOADERS: Final[dict[FormatName, str]] = {
    "jpeg": "jpegload_source",
    "png": "pngload_source",
    "webp": "webpload_source",
    "avif": "heifload_source",
}
_BUFFER_LOADERS: Final = {name: loader.replace("_source", "_buffer") for name, loader in _LOADERS.items()}
#: What decoders say when they meet their own limits, or the process's limit of memory.
_LIMIT_WORDS: Final = re.compile(r"exceed|(?<!factors )too large|security limit|out of memory", re.IGNORECASE)
#: What means nothing to a customer: the part of libvips that speaks ("VipsJpeg: "), libheif's numbers ("(2.100)").
_NOISE: Final = re.compile(r"^\w+: |\s*\(\d+\.\d+\)$")
_ICC: Final = "icc-profile-data"
#: A row costs time however short it is, and only PNG can have more than 65,535.
MAX_ROWS: Final = 200_000
#: How many times larger than wanted a JPEG has to be to be decoded at an eighth, a quarter, a half. libjpeg leaves out
#: high frequencies, about as well as a resampler: what the resampler then takes from 1.5 times the size is as near to
#: one large Lanczos kernel as libvips' own resizing of all pixels is (a butteraugli 3-norm of 0.30 beside 0.31, at a
#: ratio of 6.25). An eighth is the mean of 64 pixels, and needs twice the size.
_JPEG_SHRINKS: Final = ((8, 16.0), (4, 6.0), (2, 3.0))
#: So much is left to the resampler by libwebp's scaler.
_WEBP_SPARE: Final = 2.0
#: Grey, three colours, four inks. libvips takes two channels for three.
_JPEG_BANDS: Final = frozenset((1, 3, 4))


class Picture:
    """An opened image: what its header says, and its pixels on demand.

    Opening reads the header of `data` and none of its pixels.

    Attributes
    ----------
    data, format
        The source's bytes and their format.
    width, height
        Size in pixels of one frame as stored, before its orientation is applied.
    frames
        1 but for an animation.
    orientation
        EXIF orientation, 1-8; 1 where there is none or an invalid one. AVIF's own turns are applied by its decoder.
    icc_profile
        The embedded profile, or None.

    Raises
    ------
    DecodeFailed
        The header is broken.
    ImageTooLarge
        By the header there are more pixels or frames than `limits` allow.
    """

    def __init__(self, data: memoryview, kind: Sniffed, limits: Limits) -> None:
        self.format = kind.format
        self.data = data
        self._options: dict[str, Any] = {"access": "sequential", "fail_on": "error"}
        self._readable, self._text = without_wild_exif(data, self.format), PngMetadata()
        if self.format == "png":
            self._readable, self._text = without_unsafe_metadata(data), read_metadata(data)
        # What an earlier image left behind is no part of this one's story.
        pyvips.vips_lib.vips_error_clear()
        if kind.animated and (frames := count_frames(data, limits.max_frames)) > limits.max_frames:
            raise ImageTooLarge(f"The animation has {frames} frames or more; at most {limits.max_frames} are taken.")
        if self.format == "avif":
            check_frames(data)
        try:
            image = self._load()
            self.width, self.height = image.get("width"), image.get("height")
            self.frames = image.get("n-pages") if kind.animated else 1
            check_limits(self.width, self.height, self.frames, limits)
            self._check_work(image)
            if kind.animated:
                self._options["n"] = -1
                image = self._load()
        except pyvips.Error as error:
            raise _decoder_error(self.format, str(error.detail)) from error
        self._header = image
        self._unread = True
        stated = image.get("orientation") if image.get_typeof("orientation") else 1
        self.orientation: int = stated if 1 <= stated <= 8 else 1
        self.icc_profile: bytes | None = image.get(_ICC) if image.get_typeof(_ICC) else None

    @property
    def turned(self) -> bool:
        """Whether the orientation swaps width and height."""
        return self.orientation >= 5

    @property
    def upright_size(self) -> tuple[int, int]:
        """Width and height in pixels as a viewer shows a frame."""
        return (self.height, self.width) if self.turned else (self.width, self.height)

    @property
    def bands(self) -> int:
        """Channels, alpha included."""
        return int(self._header.get("bands"))

    @property
    def has_alpha(self) -> bool:
        """Whether a channel tells how opaque a pixel is."""
        return bool(self._header.hasalpha())

    @property
    def is_interlaced(self) -> bool:
        """Whether no row is whole before the last byte is read: a progressive JPEG or an interlaced PNG."""
        return bool(self._header.get_typeof("interlaced") and self._header.get("interlaced"))

    @property
    def chroma_subsampling(self) -> str:
        """How a JPEG stores its chroma, such as ``4:2:0``; empty for another format."""
        name = "jpeg-chroma-subsample"
        return str(self._header.get(name)) if self._header.get_typeof(name) else ""

    @property
    def is_cmyk(self) -> bool:
        """Whether the pixels are inks."""
        return bool(self._header.get("interpretation") == "cmyk")

    @property
    def is_deep(self) -> bool:
        """Whether a sample has more than 8 bits."""
        return bool(self._header.get("format") == "ushort")

    @property
    def is_grey(self) -> bool:
        """Whether the pixels have no colour channels."""
        return self._header.get("interpretation") in {"b-w", "grey16"}

    @property
    def rights(self) -> Rights | None:
        """Who made it and who may use it; None where it does not say."""
        return read_rights(self._header)

    def decode(self, wanted: tuple[int, int]) -> Any:
        """Start decoding: an image that can be read once, from top to bottom.

        Parameters
        ----------
        wanted
            Upright width and height that will be asked for in the end. A JPEG or a WebP still that is much larger
            is shrunk while it is decoded, to at least 1.5 times what is wanted: that saves time, and the resampler
            does the rest, so that it costs no quality.

        Returns
        -------
        pyvips.Image
            All frames of an animation below each other. A broken source may show only when it is read.

        Raises
        ------
        pyvips.Error
            The source cannot be read; `blame` turns it into an error of ours.
        """
        shrink = self.shrink_on_load(wanted)
        if shrink or not self._unread:
            return self._repeat_border(self._load(**shrink), shrink.get("shrink", 1))
        self._unread = False
        return self._header

    def blame(self, error: pyvips.Error) -> PixelsError:
        """Find out whether `error`, raised while pixels flowed into an encoder, is the source's fault or ours.

        A streamed source breaks in the middle of an encode, and libvips then names both. So the source is decoded
        once more, alone.
        """
        try:
            self._load().avg()
        except pyvips.Error as broken:
            return _decoder_error(self.format, str(broken.detail))
        return EncodeFailed(f"The image could not be encoded: {_last_line(str(error.detail))}.")

    def _check_work(self, image: Any) -> None:
        """Refuse what would take long to decode, or be decoded to what no step knows; see the raised texts."""
        if self.format == "jpeg":
            check_cost(self.data, self.width, self.height)
            bands = image.get("bands")
            if bands not in _JPEG_BANDS:
                raise DecodeFailed(f"The JPEG image could not be decoded: it has {bands} colour channels.")

    def _load(self, **more: float) -> Any:
        source = pyvips.Source.new_from_memory(self._readable)
        image = pyvips.Operation.call(_LOADERS[self.format], source, **self._options, **more)
        # The source reads from our memory for as long as the image is read.
        image._references.append(source)
        return self._with_text(image)

    def _repeat_border(self, image: Any, factor: float) -> Any:
        """Give a JPEG that was shrunk back the column and row that libvips cuts off, where these are mostly picture.

        Without, the rest is stretched in their place: by up to half a pixel of a thumbnail.
        """
        width, height = image.get("width"), image.get("height")
        more_columns = int(self.width / factor - width > 0.5)
        more_rows = int(self.height / factor - height > 0.5)
        if factor == 1 or not more_columns + more_rows:
            return image
        return image.embed(0, 0, width + more_columns, height + more_rows, extend="copy")

    def _with_text(self, image: Any) -> Any:
        """Add the EXIF and XMP that libvips does not see in a PNG: see `png_metadata`."""
        adds_exif = self._text.exif is not None and not image.get_typeof("exif-data")
        adds_xmp = self._text.xmp is not None and not image.get_typeof("xmp-data")
        if not adds_exif and not adds_xmp:
            return image
        image = image.copy()
        if adds_exif:
            image.set_type(pyvips.GValue.blob_type, "exif-data", self._text.exif)
            if self._text.is_legacy:
                image.set_type(pyvips.GValue.gint_type, "orientation", 1)
        if adds_xmp:
            image.set_type(pyvips.GValue.blob_type, "xmp-data", self._text.xmp)
        return image

    def shrink_on_load(self, wanted: tuple[int, int]) -> dict[str, float]:
        """Choose the loader's option that shrinks, and leaves enough to the resampler."""
        width, height = self.upright_size
        ratio = min(width / wanted[0], height / wanted[1])
        if self.format == "jpeg":
            factor = next((factor for factor, least_ratio in _JPEG_SHRINKS if ratio >= least_ratio), None)
            return {"shrink": factor} if factor else {}
        # libwebp's scaler weighs colours by their alpha, as ours does.
        if self.format == "webp" and ratio > _WEBP_SPARE and self.frames == 1:
            return {"scale": _WEBP_SPARE / ratio}
        return {}


def decode(data: bytes) -> Any:
    """Decode a file that we encoded, all frames of an animation below each other; it is read once, top to bottom."""
    name = recognise(memoryview(data)).format
    options = {"n": -1} if name == "webp" else {}
    return pyvips.Operation.call(_BUFFER_LOADERS[name], data, access="sequential", **options)


def check_limits(width: int, height: int, frames: int, limits: Limits) -> None:
    """Refuse what `limits` do not allow: frames, and pixels over all frames.

    Raises
    ------
    ImageTooLarge
        Telling the numbers.
    """
    if frames > limits.max_frames:
        raise ImageTooLarge(f"The animation has {frames} frames; at most {limits.max_frames} are taken.")
    if height > MAX_ROWS:
        raise ImageTooLarge(f"The image has {height} rows; at most {MAX_ROWS} are taken.")
    pixels = width * height * frames
    if pixels > limits.max_pixels:
        times = f" x {frames} frames" if frames > 1 else ""
        raise ImageTooLarge(
            f"The image has {width} x {height}{times} = {pixels / 1e6:.1f} megapixels; "
            f"at most {limits.max_pixels / 1e6:g} are taken."
        )


def _decoder_error(name: FormatName, detail: str) -> DecodeFailed | ImageTooLarge:
    if _LIMIT_WORDS.search(detail):
        return ImageTooLarge("The image needs more memory to decode than one image may take.")
    what = _last_line(detail)
    # Many failures of the PNG reader carry no text at all, or only name its library.
    if not what or what.startswith("libpng"):
        what = "the data is broken or incomplete"
    return DecodeFailed(f"The {name.upper()} image could not be decoded: {what}.")


def _last_line(detail: str) -> str:
    lines = [line for line in (_NOISE.sub("", line).strip(" .") for line in detail.splitlines()) if line]
    return "".join(filter(str.isprintable, lines[-1]))[:160] if lines else ""
