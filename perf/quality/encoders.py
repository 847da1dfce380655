"""What JPEG encoders need for equal looks, in bytes and in CPU: `python -m perf.quality.encoders`.

Every image is encoded at a grid of qualities by each encoder; bytes at a distance (butteraugli 3-norm, by our metric on
the whole image) or at a score (SSIMULACRA2, where the package `ssimulacra2` is installed) are interpolated in between.
Sharp's `mozjpeg: true` is libvips with the same options as the first encoder here.
"""

import argparse
import importlib
import math
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np

from perf.quality.images import NotCompared, Pixels, decode, find_files, lay_over, open_subject
from pixels import jpeg, vips
from pixels.butteraugli import Comparator
from pixels.options import Limits
from pixels.raster import hold

_RESULTS: Final = Path(__file__).parents[1] / "results"
_GRID: Final = (30, 45, 58, 68, 76, 83, 89, 94, 98)
_LIMITS: Final = Limits(max_pixels=2**31)
#: Larger images are left out.
_MAX_MEGAPIXELS: Final = 200.0
_DISTANCES: Final = (1.2, 0.8)
_SCORES: Final = (75.0, 85.0)
#: SSIMULACRA2 takes two seconds a megapixel: it is asked only about distances where those scores lie.
_SCORED: Final = (0.3, 2.5)
_OURS: Final = ("ours 4:2:0", "ours 4:4:4")
_BEST: Final = "ours, the better chroma"
#: What each kind of image is compared with. On graphics half chroma cannot reach the distance.
_BASELINES: Final = {"photos": "mozjpeg 4:2:0", "graphics": "mozjpeg 4:4:4"}

Encode = Callable[[Any, int], bytes]


class Row(msgspec.Struct, frozen=True):
    """One encode.

    Attributes
    ----------
    image, kind
        Its name, and the name of its folder.
    cpu_ms_per_mp
        Of the encode alone, from pixels in memory.
    norm3, ssimulacra2
        How far the result is from the original; the second may be missing.
    """

    image: str
    kind: str
    encoder: str
    quality: int
    bytes: int
    cpu_ms_per_mp: float
    norm3: float
    ssimulacra2: float | None


def main() -> None:
    """Measure, print and write the rows and the table."""
    parser = argparse.ArgumentParser(prog="python -m perf.quality.encoders", description=__doc__)
    parser.add_argument("--images", nargs="+", type=Path, default=find_corpus(), help="folders (default: the corpus)")
    parser.add_argument("--shrink-to-mp", type=float, default=0.5, help="larger images are shrunk to this (0.5)")
    parser.add_argument("--only", nargs="+", default=[""], help="images with one of these in their name")
    parser.add_argument("--out", type=Path, default=_RESULTS, help="where encoders.json and encoders.md go")
    arguments = parser.parse_args()
    vips.prepare()
    rows: list[Row] = []
    for name, path in find_files(folder.resolve() for folder in arguments.images).items():
        if not any(part in name for part in arguments.only):
            continue
        try:
            image = open_subject(name, path, _MAX_MEGAPIXELS).image
        except NotCompared as reason:
            print(f"{name}: {reason}", file=sys.stderr)  # noqa: T201  # progress
            continue
        rows += measure(name, path.parent.name, shrink(image, arguments.shrink_to_mp), find_encoders())
    page = "\n".join(render(rows, arguments.shrink_to_mp))
    print(page)  # noqa: T201  # a command's answer
    arguments.out.mkdir(parents=True, exist_ok=True)
    lines = b",\n".join(msgspec.json.encode(row) for row in rows)
    (arguments.out / "encoders.json").write_bytes(b"[\n" + lines + b"\n]\n")
    (arguments.out / "encoders.md").write_text(page + "\n")


def find_corpus() -> list[Path]:
    """Return the folders of images that are measured by default."""
    shared = Path(os.environ.get("COMPRESSORIZE_SHARED", Path(__file__).parents[3] / "shared"))
    return [shared / "corpus" / "photos", shared / "corpus" / "graphics"]


def find_encoders() -> dict[str, Encode]:
    """Return the encoders by name, those of optional packages where they are installed."""
    full = {"quant_table": 3, "trellis_quant": True, "overshoot_deringing": True, "optimize_scans": True}
    encoders: dict[str, Encode] = {
        "mozjpeg 4:2:0": _by_libvips("on", full),
        "mozjpeg 4:2:0, no scan search": _by_libvips("on", {**full, "optimize_scans": False}),
        "mozjpeg 4:2:0, no trellis": _by_libvips("on", {"quant_table": 3}),
        "libjpeg-turbo 4:2:0": _by_libvips("on", {}),
        "mozjpeg 4:4:4": _by_libvips("off", full),
        _OURS[0]: _by_us("420"),
        _OURS[1]: _by_us("444"),
    }
    rescan, pyjpegli = _import_optional("mozjpeg_lossless_optimization"), _import_optional("pyjpegli")
    if rescan is None or pyjpegli is None:
        return encoders

    def by_jpegli(image: Any, quality: int) -> bytes:
        return bytes(pyjpegli.encode(image.write_to_memory(), image.width, image.height, quality))

    return encoders | {
        "jpegli 4:2:0": by_jpegli,
        "jpegli 4:2:0, re-scanned": lambda image, quality: rescan.optimize(by_jpegli(image, quality)),
    }


def _import_optional(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


def _by_libvips(subsampling: str, options: dict[str, Any]) -> Encode:
    options = {"subsample_mode": subsampling, "optimize_coding": True, "interlace": True, "keep": 0, **options}
    return lambda image, quality: bytes(image.jpegsave_buffer(Q=quality, **options))


def _by_us(chroma: jpeg.Chroma) -> Encode:
    def encode(image: Any, quality: int) -> bytes:
        raster = hold(image)
        return jpeg.finish(jpeg.encode_draft(raster, quality, chroma), raster, keep=0)

    return encode


def shrink(image: Any, megapixels: float) -> Any:
    """Return the image before white, by a whole factor as small as it takes to have no more than `megapixels`."""
    flat = image.flatten(background=255) if image.hasalpha() else image
    factor = math.ceil(math.sqrt(flat.width * flat.height / (megapixels * 1e6)))
    return (flat.shrink(factor, factor) if factor > 1 else flat).copy_memory()


def measure(name: str, kind: str, image: Any, encoders: dict[str, Encode]) -> Iterator[Row]:
    """Encode one image in every way, the encoders in turn at each quality."""
    reference = lay_over(image, 255)
    comparator = Comparator(reference)
    score = _find_scorer(reference)
    megapixels = image.width * image.height / 1e6
    for quality in _GRID:
        for encoder, encode in encoders.items():
            start = time.process_time()
            data = encode(image, quality)
            cpu_ms = (time.process_time() - start) * 1e3
            found = lay_over(decode(data, _LIMITS), 255)
            distance = comparator.compare(found).norm3
            scored = score(found) if _SCORED[0] < distance < _SCORED[1] else None
            cpu = round(cpu_ms / megapixels, 1)
            yield Row(name, kind, encoder, quality, len(data), cpu, round(distance, 4), scored)


def _find_scorer(reference: Pixels) -> Callable[[Pixels], float | None]:
    package = _import_optional("ssimulacra2")
    if package is None:
        return lambda found: None

    def write(pixels: Pixels, folder: str, name: str) -> str:
        path = f"{folder}/{name}.png"
        vips.pyvips.Image.new_from_array(pixels, interpretation="srgb").pngsave(path, compression=0)
        return path

    def score(found: Pixels) -> float:
        with tempfile.TemporaryDirectory() as folder:
            return float(package.compute_ssimulacra2(write(reference, folder, "a"), write(found, folder, "b")))

    return score


class _Aim(NamedTuple):
    title: str
    value: float
    #: What falls as quality grows, and about in proportion to a power of the bytes; None where it was not measured.
    loss: Callable[[Row], float | None]


def _aims(rows: Sequence[Row]) -> list[_Aim]:
    aims = [_Aim(f"butteraugli {distance:g}", distance, lambda row: row.norm3) for distance in _DISTANCES]
    if any(row.ssimulacra2 is not None for row in rows):
        aims += [_Aim(f"SSIMULACRA2 {score:g}", 100 - score, _missing_score) for score in _SCORES]
    return aims


def _missing_score(row: Row) -> float | None:
    return None if row.ssimulacra2 is None else 100 - row.ssimulacra2


def bytes_at(rows: Iterable[Row], aim: _Aim) -> float | None:
    """Return the bytes of one encoder for one image at an aim; None where no quality of the grid goes that far."""
    points = sorted((loss, row.bytes) for row in rows if (loss := aim.loss(row)) is not None and loss > 0)
    if len(points) < 2 or not points[0][0] <= aim.value <= points[-1][0]:
        return None
    losses, sizes = np.log(np.array(points)).T
    return math.exp(np.interp(math.log(aim.value), losses, sizes))


def render(rows: Sequence[Row], megapixels: float) -> Iterator[str]:
    """Write the table of each kind of image in Markdown."""
    versions = f"libvips {'.'.join(str(vips.pyvips.version(part)) for part in range(3))}, Python"
    yield "# JPEG encoders at equal looks"
    yield ""
    yield (
        f"Bytes relative to the first row: geometric mean [smallest..largest] over the images that reach the aim with "
        f"both encoders, and how many do. CPU: median of one encode near distance 1.2. Images shrunk by a whole factor "
        f"to {megapixels:g} MP at most. {datetime.now(UTC).date()}, {versions} {platform.python_version()}."
    )
    for kind in dict.fromkeys(row.kind for row in rows):
        yield from ("", f"## {kind}: {len({row.image for row in rows if row.kind == kind})}", "")
        yield from _tabulate([row for row in rows if row.kind == kind], _BASELINES.get(kind, "mozjpeg 4:2:0"))


def _tabulate(rows: Sequence[Row], baseline: str) -> Iterator[str]:
    aims = _aims(rows)
    curves: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        curves.setdefault((row.encoder, row.image), []).append(row)
    images = list(dict.fromkeys(row.image for row in rows))
    names = [baseline, *(name for name in dict.fromkeys(row.encoder for row in rows) if name != baseline)]
    needed = {
        (name, aim.title): {image: bytes_at(curves.get((name, image), ()), aim) for image in images}
        for name in names
        for aim in aims
    }
    for aim in aims:
        pairs = {image: [needed[name, aim.title][image] for name in _OURS] for image in images}
        needed[_BEST, aim.title] = {image: min(filter(None, pair), default=None) for image, pair in pairs.items()}
    yield f"| encoder | {' | '.join(aim.title for aim in aims)} | CPU ms/MP |"
    yield f"| {' | '.join(['---'] * (len(aims) + 2))} |"
    for name in [*names, _BEST]:
        cells = [_compare(needed[name, aim.title], needed[baseline, aim.title]) for aim in aims]
        yield f"| {name} | {' | '.join(cells)} | {_cpu(row for row in rows if row.encoder == name)} |"


def _compare(found: dict[str, float | None], baseline: dict[str, float | None]) -> str:
    ratios = [size / other for image, size in found.items() if size and (other := baseline[image])]
    if not ratios:
        return ""
    reached = sum(size is not None for size in found.values())
    return f"{statistics.geometric_mean(ratios):.3f} [{min(ratios):.2f}..{max(ratios):.2f}], {reached}"


def _cpu(rows: Iterable[Row]) -> str:
    nearest: dict[str, Row] = {}
    for row in rows:
        other = nearest.get(row.image)
        if other is None or abs(row.norm3 - _DISTANCES[0]) < abs(other.norm3 - _DISTANCES[0]):
            nearest[row.image] = row
    return f"{statistics.median(row.cpu_ms_per_mp for row in nearest.values()):.0f}" if nearest else ""


if __name__ == "__main__":
    main()
