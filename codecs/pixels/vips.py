"""Sets libvips up for one process: one thread, no cache, and no loader or saver but those of the four formats.

The rest of the package takes `pyvips` from here, so that libvips never starts before its environment is set.
"""

import contextlib
import ctypes
import logging
import os
from typing import Any, Final

# libvips reads it when it starts, so it comes before the import. Whoever spawns the process may set another.
os.environ.setdefault("VIPS_CONCURRENCY", "1")
# What is decoded stays in memory, however large: libvips would else unfold 100 MB and more to a file, which an encode
# process may not open, in a format whose loader is blocked.
os.environ["VIPS_DISC_THRESHOLD"] = "64g"

import pyvips as pyvips  # an export, see above

#: The classes of libvips operations that stay usable; the names of the classes are libvips' own.
_LOADERS: Final = ("VipsForeignLoadJpeg", "VipsForeignLoadPng", "VipsForeignLoadWebp", "VipsForeignLoadHeif")
_SAVERS: Final = (
    "VipsForeignSaveJpeg",
    "VipsForeignSavePng",
    "VipsForeignSaveWebp",
    "VipsForeignSaveHeif",
)
#: GLib's own log domains; libvips' is pyvips' business.
_TALKATIVE: Final = (b"GLib", b"GLib-GObject", b"GLib-GIO")
#: glibc's numbers for `mallopt` (malloc.h).
_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3
#: Freed memory that is kept for the next image, and the largest block that is kept there.
_KEEP_FREED_BYTES: Final = 16 * 1024 * 1024
_KEEP_BLOCK_BYTES: Final = 8 * 1024 * 1024


def prepare() -> None:
    """Make this process fit to open strangers' images; call it once, before the first image.

    Afterwards SVG, GIF, TIFF, PDF, raw and ImageMagick's formats cannot be read or written by any libvips call in
    this process, whatever a file claims to be. `VIPS_CONCURRENCY` (default 1) is the number of threads an image is
    worked on with: many processes of one thread each finish more images than one process of many.
    """
    # pyvips logs a line for every operation at INFO, whatever is odd about a customer's file as a WARNING, and what a
    # damaged one makes its libraries complain of as CRITICAL. All of it comes as an error or an image in the end.
    logging.getLogger("pyvips").setLevel(logging.CRITICAL + 1)
    _decode_any_text()
    _hear_libraries_out()
    pyvips.concurrency_set(int(os.environ["VIPS_CONCURRENCY"]))
    _keep_freed_memory()
    # No operation comes twice, and a cached one would keep a customer's pixels alive.
    pyvips.cache_set_max(0)
    for base, allowed in (("VipsForeignLoad", _LOADERS), ("VipsForeignSave", _SAVERS)):
        pyvips.operation_block_set(base, True)
        for name in allowed:
            pyvips.operation_block_set(name, False)


def _decode_any_text() -> None:
    """Let pyvips read messages that are no UTF-8.

    libvips quotes files in its messages, and pyvips decodes them strictly. A quoted byte above 127 would raise
    UnicodeDecodeError there and stay in libvips' buffer, so that every image after it failed too.
    """

    def to_string(text: Any) -> str:
        return "NULL" if text == pyvips.ffi.NULL else pyvips.ffi.string(text).decode("utf-8", "replace")

    # Both modules hold the function by name: errors are read in the one, log messages in the other.
    pyvips.error._to_string = pyvips._to_string = to_string


def _hear_libraries_out() -> None:
    """Send to pyvips' logger what GLib would write to standard error: a line for every failed assertion.

    A damaged AVIF makes GObject complain, and a customer could fill the log by it.
    """
    levels = pyvips.GLogLevelFlags
    shown = levels.LEVEL_CRITICAL | levels.LEVEL_WARNING | levels.LEVEL_MESSAGE
    for domain in _TALKATIVE:
        pyvips.glib_lib.g_log_set_handler(domain, shown, pyvips._log_handler_cb, pyvips.ffi.NULL)


def _keep_freed_memory() -> None:
    """Let malloc keep what a small image needed for the next one, and nothing of what a large one needed.

    By default both go wrong: a few megabytes return to the kernel after every image, which then clears and maps them
    again page by page, for a sixth of the CPU time of a small JPEG; and after a large image glibc raises its own
    thresholds, so that hundreds of megabytes stay.
    """
    # Other C libraries have no mallopt, or one that refuses: then nothing changes.
    with contextlib.suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_MMAP_THRESHOLD, _KEEP_BLOCK_BYTES)
        mallopt(_M_TRIM_THRESHOLD, _KEEP_FREED_BYTES)


def warm() -> None:
    """Run every codec, the colour engine and the resampler once on a tiny image.

    What they open or load, they have then opened: a process may be forbidden files and new memory maps afterwards.
    """
    drawn = pyvips.Image.xyz(48, 32).bandjoin(200).cast("uchar")
    chart = drawn.bandjoin(255 - drawn[0]).copy(interpretation="srgb")
    opaque = chart.flatten(background=255)
    cmyk = opaque.icc_transform("cmyk", input_profile="srgb")
    for saver, loader, image, options in (
        ("jpegsave_buffer", "jpegload_source", opaque, {"optimize_coding": True, "quant_table": 3}),
        ("jpegsave_buffer", "jpegload_source", cmyk, {}),
        ("pngsave_buffer", "pngload_source", chart, {}),
        ("pngsave_buffer", "pngload_source", chart, {"palette": True}),
        ("webpsave_buffer", "webpload_source", chart, {}),
        ("heifsave_buffer", "heifload_source", chart, {"compression": "av1", "effort": 0}),
    ):
        data = pyvips.Operation.call(saver, image, **options)
        source = pyvips.Source.new_from_memory(data)
        decoded = pyvips.Operation.call(loader, source, access="sequential", fail_on="error")
        if decoded.get_typeof("icc-profile-data"):
            decoded = decoded.icc_transform("srgb", embedded=True)
        decoded.resize(0.5).copy_memory().rot90().avg()
