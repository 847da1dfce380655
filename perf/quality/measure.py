"""Brings one image to the target in one format by each method, and measures distance, bytes and CPU."""

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, Literal, TypeVar, get_args

import msgspec

import pixels
from perf.quality import images, store
from perf.quality.images import Subject
from perf.quality.judge import JudgeName, Ruler, choose_judge, pass_verdict
from pixels import butteraugli, jpeg, vips
from pixels.formats import FormatName
from pixels.means import find_plan
from pixels.options import Limits, Options
from pixels.pipeline import Compressed, compress
from pixels.raster import hold
from pixels.resize import flatten_on_white
from pixels.smart_quality import LOSSLESS_EFFORT

Method = Literal["smart", "fixed", "bisection"]
Made = TypeVar("Made")

#: The lossy formats, where smart has a distance to reach, and the methods, in the order of the table.
FORMATS: Final[tuple[FormatName, ...]] = ("jpeg", "webp", "avif")
METHODS: Final[tuple[Method, ...]] = get_args(Method)
#: Where the curve of distance over quality is taken, from which the best fixed quality follows.
GRID: Final = (30, 50, 65, 75, 85, 92)
BISECTION_STEPS: Final = 6
_NO_LIMITS: Final = Limits(max_pixels=2**31)
_CODE: Final = Path(pixels.__file__).parent


class Settings(msgspec.Struct, frozen=True):
    """What holds for a whole run.

    Attributes
    ----------
    target
        The butteraugli 3-norm to reach.
    judge
        Who has the last word on it.
    rounds
        How often smart and the plain encode beside it are timed in turn; the least time of each counts.
    max_megapixels
        Larger images are left out.
    code, metric
        Digests of the sources of `pixels` and of the metric: what was found with others is found anew.
    """

    target: float
    judge: JudgeName
    rounds: int
    max_megapixels: float
    code: str = msgspec.field(default_factory=lambda: store.digest_folder(_CODE))
    metric: str = msgspec.field(default_factory=lambda: store.digest_folder(_CODE / "butteraugli"))


class Row(msgspec.Struct, frozen=True):
    """One image in one format by one method.

    Attributes
    ----------
    distance
        As judged on the whole image.
    claimed
        As the method itself told; None where it measured none.
    source_kept
        The source's own data returned, because an encode was hardly smaller: the distance is no merit or fault.
    cpu_ms, plain_cpu_ms
        CPU time from file to file, and that of one encode at the quality that smart chose.
    """

    image: str
    format: FormatName
    method: Method
    megapixels: float
    quality: int
    bytes: int
    distance: float
    claimed: float | None = None
    source_kept: bool = False
    cpu_ms: float | None = None
    plain_cpu_ms: float | None = None


def prepare_process() -> None:
    """Make this process fit to measure: libvips set up as in an encode process, kernels and codecs loaded."""
    vips.prepare()
    vips.warm()
    butteraugli.warm()
    jpeg.warm()


def encode_plainly(source: bytes, target: FormatName, chosen: Compressed) -> bytes:
    """Decode `source` and encode it once, as smart ended up encoding it: what its CPU time is held against."""
    image = images.decode(source, _NO_LIMITS)
    if target == "jpeg":
        image = flatten_on_white(image)
    raster = hold(image)
    plan = find_plan(target, raster.size_px)
    if chosen.means == "lossless" and plan.lossless is not None:
        return plan.lossless(raster, LOSSLESS_EFFORT, 0)
    means = next((one for one in plan.photographs if one.name == chosen.means), plan.photographs[0])
    return means.finish(means.encode(raster, chosen.quality, 0), raster, 0)


def measure_smart(settings: Settings, name: str, path: Path, target: FormatName) -> Row:
    """Let the pipeline choose the quality of one image.

    Raises
    ------
    NotCompared
        The file is no still image within the limits.
    """
    subject = images.open_subject(name, path, settings.max_megapixels)
    key = subject.data, target, settings.target, settings.judge, settings.rounds, settings.code
    return store.recall("smart", key, Row, lambda: _measure_smart(settings, subject, target))


def _measure_smart(settings: Settings, subject: Subject, target: FormatName) -> Row:
    options = Options(format=target, smart_distance=settings.target)
    chosen = compress(subject.data, options, _NO_LIMITS)
    smart_ms, plain_ms = math.inf, math.inf
    for _ in range(settings.rounds):
        smart_ms = min(smart_ms, _time(lambda: compress(subject.data, options, _NO_LIMITS))[1])
        plain_ms = min(plain_ms, _time(lambda: encode_plainly(subject.data, target, chosen))[1])
    row = _judge(settings, subject, target, "smart", chosen.quality, chosen.data)
    return msgspec.structs.replace(
        row,
        claimed=chosen.distance,
        source_kept=chosen.original_returned,
        cpu_ms=smart_ms,
        plain_cpu_ms=plain_ms,
    )


def measure_curve(settings: Settings, name: str, path: Path, target: FormatName) -> dict[int, float]:
    """Return the distance of one image, by our metric, at each quality of the grid.

    Raises
    ------
    NotCompared
        As `measure_smart`.
    """
    subject = images.open_subject(name, path, settings.max_megapixels)
    png = subject.png()

    def find() -> dict[int, float]:
        ruler = Ruler(subject.image, target)
        return {quality: ruler.measure(_encode(png, target, quality)) for quality in GRID}

    key = png, target, _taste_encoder(png, target), GRID
    return store.recall("curves", key, dict[int, float], find)


def measure_bisection(settings: Settings, name: str, path: Path, target: FormatName) -> Row:
    """Halve the range of qualities around the target, on whole images.

    Raises
    ------
    NotCompared
        As `measure_smart`.
    """
    subject = images.open_subject(name, path, settings.max_megapixels)
    png = subject.png()

    def find() -> Row:
        (quality, claimed, data), spent_ms = _time(lambda: _bisect(png, target, settings.target))
        row = _judge(settings, subject, target, "bisection", quality, data)
        return msgspec.structs.replace(row, claimed=claimed, cpu_ms=spent_ms)

    key = png, target, _taste_encoder(png, target), settings.target, settings.judge, settings.metric
    return store.recall("bisection", key, Row, find)


def measure_fixed(settings: Settings, name: str, path: Path, target: FormatName, quality: int) -> Row:
    """Encode one image at a quality that was chosen without looking at it.

    Raises
    ------
    NotCompared
        As `measure_smart`.
    """
    subject = images.open_subject(name, path, settings.max_megapixels)
    return _judge(settings, subject, target, "fixed", quality, _encode(subject.png(), target, quality))


def _bisect(png: bytes, target: FormatName, wanted: float) -> tuple[int, float, bytes | memoryview]:
    ruler = Ruler(images.decode(png, _NO_LIMITS), target)
    low, high = 1, 100
    tried = []
    for _ in range(BISECTION_STEPS):
        quality = (low + high) // 2
        data = _encode(png, target, quality)
        distance = ruler.measure(data)
        tried.append((quality, distance, data))
        low, high = (quality + 1, high) if distance > wanted else (low, quality - 1)
    return min(tried, key=lambda one: abs(math.log(max(one[1], 1e-3) / wanted)))


def _encode(png: bytes, target: FormatName, quality: int) -> bytes | memoryview:
    return compress(png, Options(format=target, quality=quality), _NO_LIMITS).data


def _taste_encoder(png: bytes, target: FormatName) -> bytes:
    """Return what differs as soon as the encoder or its settings do: a result."""
    return bytes(_encode(png, target, GRID[len(GRID) // 2]))


def _judge(
    settings: Settings, subject: Subject, target: FormatName, method: Method, quality: int, data: bytes | memoryview
) -> Row:
    distance = pass_verdict(choose_judge(settings.judge), subject.image, data, target)
    return Row(subject.name, target, method, subject.megapixels, quality, len(data), distance)


def _time(work: Callable[[], Made]) -> tuple[Made, float]:
    started = time.process_time()
    made = work()
    return made, (time.process_time() - started) * 1e3
