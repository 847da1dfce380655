"""Butteraugli in Numba against the same in NumPy and SciPy and against libjxl's program: `make bench-beside`.

A probe and the preparation of a reference, on one thread, in megapixels per second of CPU. In each round one follows
the other, so that the ratios hold although the machine's speed drifts. NumPy's side is the oracle of the tests with its
blurs done by SciPy: it does everything at full resolution in float64, as the method reads, and keeps nothing of the
reference from one probe to the next. The program starts anew for each pair and reads both from files, as anybody who
runs it has to.
"""

import importlib
import resource
import shutil
import statistics
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from perf.bench.pictures import Pixels, draw
from pixels.butteraugli import Comparator, warm

#: Height and width, and how many rounds.
SIZES = {
    "128 px": ((128, 128), 200),
    "512 px": ((512, 512), 60),
    "1 MP": ((1000, 1000), 21),
    "2 MP": ((1250, 1600), 11),
}


def spend(work: Callable[[], Any]) -> float:
    """Return the CPU seconds of `work` in this process."""
    begun = time.process_time()
    work()
    return time.process_time() - begun


def describe(pixels: float, seconds: list[float]) -> str:
    """Median and quartiles in megapixels per second of CPU."""
    speeds = [pixels / 1e6 / each for each in seconds]
    low, middle, high = statistics.quantiles(speeds, n=4)
    return f"{middle:.2f} ({low:.2f}-{high:.2f})"


@pytest.mark.parametrize("size", SIZES)
def test_speed(benchmark: Any, size: str) -> None:
    """`benchmark` times the probe; the reference is prepared before each."""
    (height, width), rounds = SIZES[size]
    reference, distorted = draw(height, width)
    warm()
    judges: list[Comparator] = []
    preparing, probing = [], []

    def prepare() -> None:
        judges.clear()
        preparing.append(spend(lambda: judges.append(Comparator(reference))))

    def probe() -> None:
        probing.append(spend(lambda: judges[0].compare(distorted)))

    benchmark.pedantic(probe, setup=prepare, rounds=rounds, warmup_rounds=2)
    benchmark.extra_info["probe MP/s"] = describe(height * width, probing[2:])
    benchmark.extra_info["reference MP/s"] = describe(height * width, preparing[2:])


def test_against_numpy(benchmark: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """CPU of the oracle with SciPy's filters over CPU of a probe and its reference together."""
    ndimage = pytest.importorskip("scipy.ndimage")
    # By name, as the tests have no types.
    naive: Any = importlib.import_module("tests.pixels.butteraugli.naive")

    def correlate(plane: npt.NDArray[np.float64], kernel: npt.NDArray[np.float64], axis: int) -> Any:
        sums = ndimage.correlate1d(plane, kernel, axis, mode="constant")
        return sums / ndimage.correlate1d(np.ones_like(plane), kernel, axis, mode="constant")

    def blur_mirrored(plane: npt.NDArray[np.float64], sigma: float) -> Any:
        kernel = naive.gaussian(sigma) / naive.gaussian(sigma).sum()
        return ndimage.correlate1d(ndimage.correlate1d(plane, kernel, 0, mode="reflect"), kernel, 1, mode="reflect")

    monkeypatch.setattr(naive, "filter_axis", correlate)
    monkeypatch.setattr(naive, "blur_mirrored", blur_mirrored)
    reference, distorted = draw(256, 256)
    warm()
    ours = Comparator(reference).compare(distorted).norm3
    assert naive.distance(naive.diffmap(reference, distorted))[1] == pytest.approx(ours, rel=0.02)
    compare(benchmark, reference, distorted, lambda: spend(lambda: naive.diffmap(reference, distorted)), rounds=7)


def test_against_libjxl(benchmark: Any, tmp_path: Path) -> None:
    """CPU of `butteraugli_main`, its start and the reading of both files included, over ours."""
    program = shutil.which("butteraugli_main")
    if program is None:
        pytest.skip("butteraugli_main (Debian's libjxl-devtools) is not installed")
    reference, distorted = draw(512, 512)
    paths = [tmp_path / "reference.ppm", tmp_path / "distorted.ppm"]
    for path, image in zip(paths, (reference, distorted), strict=True):
        path.write_bytes(b"P6 512 512 255\n" + image.tobytes())
    printed: list[str] = []

    def run() -> float:
        begun = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run([program, *map(str, paths)], capture_output=True, text=True, check=True)
        ended = resource.getrusage(resource.RUSAGE_CHILDREN)
        printed.append(done.stdout)
        return ended.ru_utime + ended.ru_stime - begun.ru_utime - begun.ru_stime

    warm()
    compare(benchmark, reference, distorted, run, rounds=7)
    norm3 = float(printed[-1].rsplit(":", 1)[1])
    assert Comparator(reference).compare(distorted).norm3 == pytest.approx(norm3, rel=0.02)


def compare(benchmark: Any, reference: Pixels, distorted: Pixels, theirs: Callable[[], float], rounds: int) -> None:
    """Run ours and theirs in turn; both prepare a reference and probe once, which is all that theirs can do."""
    ratios, theirs_s = [], []

    def both() -> None:
        other_s = theirs()
        ours_s = statistics.median(spend(lambda: Comparator(reference).compare(distorted)) for _ in range(5))
        theirs_s.append(other_s)
        ratios.append(other_s / ours_s)

    benchmark.pedantic(both, rounds=rounds, warmup_rounds=1)
    low, middle, high = statistics.quantiles(ratios[1:], n=4)
    benchmark.extra_info["theirs / ours, reference and one probe"] = f"{middle:.0f} ({low:.0f}-{high:.0f})"
    benchmark.extra_info["theirs MP/s"] = describe(reference.shape[0] * reference.shape[1], theirs_s[1:])
