"""What the rows of a run come to: how many hit the target, how far the others are off, and what it cost."""

import math
import statistics
from collections.abc import Iterable, Sequence
from typing import Final, Literal

import msgspec
import numpy as np

from perf.quality.measure import Method, Row
from pixels.formats import FormatName

Verdict = Literal["hit", "miss", "unreachable", "source kept", "lossless"]

#: Off by no more than this share is a hit; the second is what no image should exceed.
NEAR: Final = 0.10
FAR: Final = 0.25
#: Below it an image differs from its reference in nothing that can be seen; it keeps logarithms finite.
_LEAST_DISTANCE: Final = 0.05
#: What the judge may read for two equal images.
_LOSSLESS: Final = 0.002
LARGE_MEGAPIXELS: Final = 2.0
SMALL_MEGAPIXELS: Final = 1.0


class Summary(msgspec.Struct, frozen=True):
    """One method in one format, over the images that can reach the target in it.

    Attributes
    ----------
    images
        How many.
    near, far
        How many of them are within 10 % and within 25 % of the target.
    log_sd
        Standard deviation of ln(distance / target); 0.1 is about 10 %.
    centre
        Geometric mean of distance / target.
    highest, lowest
        The rows that are furthest above and below.
    large_cost
        Median of CPU over that of one plain encode, above 2 MP; None where no such image was timed.
    small_added_ms
        Median of the CPU beyond one plain encode, below 1 MP.
    """

    format: FormatName
    method: Method
    images: int
    near: int
    far: int
    log_sd: float
    centre: float
    highest: Row
    lowest: Row
    large_cost: float | None
    small_added_ms: float | None


def is_near(distance: float, target: float, tolerance: float = NEAR) -> bool:
    """Tell whether `distance` is within `tolerance` of `target`, as a share of it."""
    return abs(distance / target - 1) <= tolerance


def pass_verdicts(rows: Iterable[Row], target: float) -> dict[tuple[str, FormatName], Verdict]:
    """Say of each image and format how smart did.

    A target counts as out of reach only where smart says by its own claimed distance that it missed, and six encodes
    of the whole image did not reach it either. A miss that smart did not notice is always a miss. No loss is neither,
    where six encodes that reach the target take no fewer bytes.
    """
    rows = list(rows)
    bisected = {(row.image, row.format): row for row in rows if row.method == "bisection"}

    def verdict(row: Row) -> Verdict:
        if row.source_kept:
            return "source kept"
        if is_near(row.distance, target):
            return "hit"
        if (
            row.distance <= _LOSSLESS
            and row.claimed == 0
            and not _is_wasteful(row, bisected.get((row.image, row.format)))
        ):
            return "lossless"
        told = row.claimed is not None and not is_near(row.claimed, target)
        other = bisected.get((row.image, row.format))
        reached = other is None or is_near(other.distance, target)
        return "unreachable" if told and not reached else "miss"

    return {(row.image, row.format): verdict(row) for row in rows if row.method == "smart"}


def _is_wasteful(lossless: Row, lossy: Row | None) -> bool:
    return lossy is not None and lossy.bytes < lossless.bytes


def summarise(rows: Sequence[Row], target: float) -> list[Summary]:
    """Sum up each format and method over the images where smart hit or missed, the same for all methods."""
    counted = {key for key, verdict in pass_verdicts(rows, target).items() if verdict in {"hit", "miss"}}
    plain_ms = {(row.image, row.format): row.plain_cpu_ms for row in rows if row.method == "smart"}
    groups: dict[tuple[FormatName, Method], list[Row]] = {}
    for row in rows:
        if (row.image, row.format) in counted:
            groups.setdefault((row.format, row.method), []).append(row)
    return [_sum_up(found, target, plain_ms) for found in groups.values()]


def _sum_up(rows: list[Row], target: float, plain_ms: dict[tuple[str, FormatName], float | None]) -> Summary:
    offsets = [log_offset(row.distance, target) for row in rows]
    timed = [
        (row.megapixels, row.cpu_ms, plain)
        for row in rows
        if row.cpu_ms is not None and (plain := plain_ms[row.image, row.format]) is not None
    ]
    costs = [cpu / plain for megapixels, cpu, plain in timed if megapixels > LARGE_MEGAPIXELS]
    added = [cpu - plain for megapixels, cpu, plain in timed if megapixels < SMALL_MEGAPIXELS]
    return Summary(
        format=rows[0].format,
        method=rows[0].method,
        images=len(rows),
        near=sum(is_near(row.distance, target) for row in rows),
        far=sum(is_near(row.distance, target, FAR) for row in rows),
        log_sd=statistics.pstdev(offsets),
        centre=math.exp(statistics.fmean(offsets)),
        highest=max(rows, key=lambda row: row.distance),
        lowest=min(rows, key=lambda row: row.distance),
        large_cost=statistics.median(costs) if costs else None,
        small_added_ms=statistics.median(added) if added else None,
    )


def log_offset(distance: float, target: float) -> float:
    """Return ln(distance / target)."""
    return math.log(max(distance, _LEAST_DISTANCE) / target)


def choose_fixed_quality(curves: Sequence[dict[int, float]], target: float) -> int:
    """Return the quality at which the distances of all images together are nearest to `target`.

    Nearest is the least mean of abs(ln(distance / target)). Its square would follow the few graphics that are far off
    at any quality, away from all the others: a rival too weak to be worth beating. Between the points of a curve the
    logarithm is interpolated.
    """
    first, last = min(curves[0]), max(curves[0])
    qualities = np.arange(first, last + 1)
    offsets = [
        np.interp(qualities, sorted(curve), [log_offset(curve[quality], target) for quality in sorted(curve)])
        for curve in curves
    ]
    return int(qualities[np.argmin(np.mean(np.abs(offsets), axis=0))])
