"""Says how far a result is from its reference: libjxl's own program, or our metric where that is missing."""

import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

from perf.quality.images import Pixels, choose_backgrounds, decode, digest_pixels, lay_over
from perf.quality.store import recall
from pixels.butteraugli import Comparator
from pixels.formats import FormatName
from pixels.options import Limits

JudgeName = Literal["libjxl", "ours"]
_PROGRAM: Final = "butteraugli_main"
_NORM3: Final = re.compile(r"3-norm: ([\d.]+)")
_NO_LIMITS: Final = Limits(max_pixels=2**31)


class Judge(NamedTuple):
    """Gives the butteraugli 3-norm between two arrays uint8[h, w, 3] of sRGB."""

    name: JudgeName
    compare: Callable[[Pixels, Pixels], float]


def choose_judge(wanted: JudgeName | None) -> Judge:
    """Return the judge that was asked for, by default libjxl's program where it is installed."""
    found = shutil.which(_PROGRAM) is not None
    if wanted == "libjxl" and not found:
        raise FileNotFoundError(f"{_PROGRAM} is not installed")
    if wanted == "ours" or not found:
        return Judge("ours", _compare_by_ours)
    return Judge("libjxl", _compare_by_libjxl)


class Ruler:
    """Measures results against one reference by our metric, which it prepares once."""

    def __init__(self, reference: Any, target: FormatName) -> None:
        self._backgrounds = choose_backgrounds(reference, target)
        self._comparators = [Comparator(lay_over(reference, level)) for level in self._backgrounds]

    def measure(self, result: bytes | memoryview) -> float:
        """Return the distance of the file `result`, the worst over its backgrounds."""
        image = decode(result, _NO_LIMITS)
        pairs = zip(self._comparators, self._backgrounds, strict=True)
        return max(comparator.compare(lay_over(image, level)).norm3 for comparator, level in pairs)


def pass_verdict(judge: Judge, reference: Any, result: bytes | memoryview, target: FormatName) -> float:
    """Return the distance of the file `result` from the reference, the worst over its backgrounds.

    A pair that the judge has seen before is not shown to it again.
    """
    image = decode(result, _NO_LIMITS)

    def judge_over(level: int) -> float:
        before, after = lay_over(reference, level), lay_over(image, level)
        key = judge.name, digest_pixels(before), digest_pixels(after)
        return recall("verdicts", key, float, lambda: judge.compare(before, after))

    return max(map(judge_over, choose_backgrounds(reference, target)))


def _compare_by_ours(reference: Pixels, distorted: Pixels) -> float:
    return Comparator(reference).compare(distorted).norm3


def _compare_by_libjxl(reference: Pixels, distorted: Pixels) -> float:
    with tempfile.TemporaryDirectory(prefix="quality-") as folder:
        paths = [Path(folder, name) for name in ("reference.ppm", "distorted.ppm")]
        for path, pixels in zip(paths, (reference, distorted), strict=True):
            height, width, _ = pixels.shape
            path.write_bytes(b"P6\n%d %d\n255\n" % (width, height) + pixels.tobytes())
        run = subprocess.run([_PROGRAM, *paths], check=True, capture_output=True, text=True)
    found = _NORM3.search(run.stdout)
    if not found:
        raise RuntimeError(f"{_PROGRAM} printed no 3-norm: {run.stdout!r}")
    return float(found[1])
