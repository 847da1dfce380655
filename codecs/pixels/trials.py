"""What one means shows on a sample of the picture, and the quality that this promises."""

import math
from typing import Final, NamedTuple

from pixels.load import decode
from pixels.means import Means
from pixels.sample import Sample

#: Takes the place of 0 in logarithms.
LEAST_DISTANCE: Final = 1e-3
#: Pictures up to this size are probed by the encoder itself instead of a cheaper one: there it costs next to nothing.
_SMALL_PX: Final = 65_536
#: A steeper or flatter curve than this, beside the usual one, is taken for noise.
_FLATTEST: Final = 0.6
_STEEPEST: Final = 2.5
#: A means is stuck where, over so much of its curve, the distance fell by less than this share of that.
_STUCK_SPAN: Final = 0.15
_STUCK_SHARE: Final = 0.25
#: From one quality to the next, an encoder's distance jumps about by so much.
_WITHIN_NOISE: Final = 0.02
#: Of qualities that are stuck, one is as good as the best if its log distance is within this of it.
_AS_GOOD: Final = 0.04


class Probe(NamedTuple):
    """A quality that was tried: the logarithm of its distance, and the file."""

    quality: int
    log_distance: float
    data: bytes


class Trials:
    """The probes of one means.

    Attributes
    ----------
    are_final
        Whether a probe is an encode of the picture as it would return.
    probes
        In the order in which they were made.
    """

    def __init__(self, means: Means, sample: Sample, keep: int) -> None:
        small = sample.is_whole and sample.raster.size_px <= _SMALL_PX
        self.means = means
        self.are_final = small or (sample.is_whole and means.draft is means.encode)
        self.probes: list[Probe] = []
        self._sample = sample
        self._encode = means.encode if self.are_final else means.draft
        self._ratio = 1.0 if self.are_final else means.draft_ratio
        self._keep = keep if self.are_final else 0

    def probe(self, quality: int) -> None:
        """Encode the sample and measure it."""
        data = self._encode(self._sample.raster, quality, self._keep)
        self.probes.append(weigh(quality, self._sample.score(decode(data)) * self._ratio, data))

    def nearest(self, target: float) -> Probe:
        """Return the probe nearest to `target`, the logarithm of a distance."""
        return min(self.probes, key=lambda probe: abs(probe.log_distance - target))

    def solve(self, target: float) -> int:
        """Return the quality that promises `target`."""
        near = self.nearest(target)
        if abs(near.log_distance - target) < _WITHIN_NOISE:
            return near.quality
        return self.step(near, target, self.slope(target))

    def slope(self, target: float) -> float:
        """Return how much steeper than its curve the means is for this picture, near `target`.

        Probes on both sides of the target tell best: a curve may have a cliff.
        """
        near = self.nearest(target)
        others = [probe for probe in self.probes if probe.quality != near.quality]
        beyond = [probe for probe in others if (probe.log_distance > target) != (near.log_distance > target)]
        others = beyond or others
        return self.slope_between(near, min(others, key=lambda one: abs(one.log_distance - target))) if others else 1.0

    def slope_between(self, one: Probe, other: Probe) -> float:
        """Return how much steeper than the curve a line through two probes is, within reason."""
        curve = self.means.curve
        along = curve.log_distance(one.quality) - curve.log_distance(other.quality)
        slope = (one.log_distance - other.log_distance) / along if along else 1.0
        return min(max(slope, _FLATTEST), _STEEPEST)

    def step(self, start: Probe, target: float, slope: float) -> int:
        """Return the quality at which a curve of `slope` through `start` has the log distance `target`."""
        curve = self.means.curve
        return round(curve.quality(curve.log_distance(start.quality) + (target - start.log_distance) / slope))

    def is_stuck_above(self, target: float) -> bool:
        """Whether more quality hardly helps any more, and the distance is still above `target`."""
        curve = self.means.curve
        best = max(self.probes, key=lambda probe: probe.quality)
        if best.log_distance <= target:
            return False
        if best.quality >= curve.qualities[-1]:
            return True
        spans = [
            (curve.log_distance(probe.quality) - curve.log_distance(best.quality), probe.log_distance)
            for probe in self.probes
        ]
        return any(span > _STUCK_SPAN and found - best.log_distance < _STUCK_SHARE * span for span, found in spans)

    def cheapest_of_the_best(self) -> int:
        """Return the lowest quality that is about as good as any tried."""
        least = min(probe.log_distance for probe in self.probes)
        return min(probe.quality for probe in self.probes if probe.log_distance <= least + _AS_GOOD)


def weigh(quality: int, distance: float, data: bytes) -> Probe:
    """Make a probe of a distance."""
    return Probe(quality, math.log(max(distance, LEAST_DISTANCE)), data)
