"""Finds the quality at which an image looks as much like its source as was asked for, and no more.

1. A sample of the picture - all of a small one - is encoded by the format's first means at the quality that most
   images need, and scored. Where that falls far short, the next means is tried beside it, and the one that promises
   fewer bytes at the target is taken: this decides chroma before quality.
2. The quality is corrected along the means' curve, then by the secant through the probes, until the sample is at the
   target or the probes are used up.
3. The whole picture is encoded and verified: decoded, and scored. If it is off, it is encoded again, at the quality
   corrected by that; a second time only where the first correction went too far.
4. A means that turns out not to reach the target at any quality gives way to the next, and in the end to no loss. A
   drawing that is smaller without loss is kept so.

A search that runs out of time returns the best that it has.
"""

import math
import time
from typing import Final

import msgspec

from pixels.formats import FormatName
from pixels.load import decode
from pixels.means import Means, find_plan
from pixels.raster import Raster
from pixels.sample import Sample
from pixels.trials import LEAST_DISTANCE, Probe, Trials, weigh

#: A logarithm of distance over target is in order within it: about the step from one quality to the next.
_CLOSE_ENOUGH: Final = 0.03
#: A last encode that is further off is made once more; one that is still as far above the target has missed it.
_TO_BE_CORRECTED: Final = 0.08
_MOST_PROBES: Final = 3
_MOST_CORRECTIONS: Final = 2
#: A correction that leaves more than this share of an excess of distance was in vain.
_IN_VAIN: Final = 0.75
#: A last encode that is off by more shows that the sample was no sample of it.
_MISLED: Final = 0.25
#: An image whose distance is larger than the curve's by this logarithm makes the next means worth a probe.
_HARD: Final = 0.2
#: Where tiles stand for the picture: from so near, as a logarithm, the curve is as good as another probe.
_NEAR_ENOUGH: Final = 0.1
#: The same for a picture so many times as large as its sample, which makes a probe cheap beside a correction.
_NEAR_WHERE_CHEAP: Final = 0.05
_CHEAP_PROBE: Final = 12
#: A drawing's sample without loss, at most this multiple of that with loss, makes it worth to try the whole: it repeats
#: itself beyond a tile.
_LOSSLESS_PROMISE: Final = 2.0
#: Higher efforts take up to thrice the time for a hundredth of the bytes.
LOSSLESS_EFFORT: Final = 1


class Found(msgspec.Struct, frozen=True):
    """The outcome of a search.

    Attributes
    ----------
    data
        The encoded file.
    quality
        The encoder quality used, 1-100; 100 for no loss.
    distance
        The butteraugli 3-norm measured on `data`; None where nobody asked for it.
    encode_s
        How much of the time went to the encode that was chosen.
    means
        The name of the means that was chosen: see `means`.
    """

    data: bytes
    quality: int
    distance: float | None
    encode_s: float = 0.0
    means: str | None = None


def find_quality(raster: Raster, name: FormatName, target: float, *, keep: int, until_s: float) -> Found:
    """Encode a picture at the lowest quality whose distance is `target`.

    Parameters
    ----------
    raster
        Grey or RGB, 8 bits a sample; the frames of an animation below each other.
    name
        A format with lossy means: all but PNG.
    target
        Butteraugli 3-norm, above 0.
    keep
        libvips' flags of the metadata to write.
    until_s
        When to stop looking, on the clock of `time.perf_counter`. At least one encode is made.

    Raises
    ------
    pyvips.Error
        The encoder refused the image.
    """
    return _Search(raster, name, target, keep, until_s).run()


class _Search:
    def __init__(self, raster: Raster, name: FormatName, target: float, keep: int, until_s: float) -> None:
        self._raster = raster
        self._target = math.log(target)
        self._keep = keep
        self._until_s = until_s
        self._encode_s = 0.0
        self._plan = find_plan(name, raster.size_px)
        probe_px, verify_px = self._plan.sizes(raster.size_px)
        self._sample = Sample(raster, probe_px=probe_px, verify_px=verify_px)

    def run(self) -> Found:
        waiting = list(self._plan.drawings if self._sample.is_drawing else self._plan.photographs)
        trials = self._choose(waiting)
        best, chosen = None, trials
        while True:
            self._refine(trials)
            is_last = not waiting or self._is_late()
            is_stuck = trials.is_stuck_above(self._target + _TO_BE_CORRECTED)
            has_missed = best is None or self._error(best) > _TO_BE_CORRECTED
            if is_last and is_stuck and has_missed and (lossless := self._encode_lossless()) is not None:
                # It would follow anyway, after an encode that is known to miss.
                return lossless
            if is_last or not is_stuck:
                made = self._settle(trials)
                if best is None or made.log_distance < best.log_distance:
                    best, chosen = made, trials
                if is_last or self._error(best) <= _TO_BE_CORRECTED:
                    break
            trials = self._start(waiting.pop(0))
        if (lossless := self._try_lossless(chosen, best)) is not None:
            return lossless
        begun = time.perf_counter()
        data = chosen.means.finish(best.data, self._raster, self._keep)
        distance = math.exp(best.log_distance)
        spent_s = self._encode_s + time.perf_counter() - begun
        return Found(data, best.quality, distance if distance > LEAST_DISTANCE else 0.0, spent_s, chosen.means.name)

    def _start(self, means: Means) -> Trials:
        trials = Trials(means, self._sample, self._keep)
        trials.probe(round(means.curve.quality(self._target)))
        return trials

    def _choose(self, waiting: list[Means]) -> Trials:
        """Probe the first means, and the next one too if that finds the image hard; take those probed from `waiting`.

        What finer chroma does better at the same place of the curve is taken for a floor that coarse chroma puts under
        the distance. The norm adds cubes: that much less is left to the quality.
        """
        coarse = self._start(waiting.pop(0))
        shown = coarse.probes[0]
        hard = shown.log_distance - coarse.means.curve.log_distance(shown.quality) > _HARD
        if not waiting or not hard or self._is_late():
            return coarse
        fine = self._start(waiting[0])
        rival = fine.probes[0]
        floor = max(0.0, math.exp(3 * shown.log_distance) - math.exp(3 * rival.log_distance))
        left = math.exp(3 * self._target) - floor
        # Bytes are as the reciprocal of the distance that is left to the quality.
        if left > 0 and len(shown.data) * math.exp(self._target) <= len(rival.data) * left ** (1 / 3):
            return coarse
        waiting.pop(0)
        return fine

    def _refine(self, trials: Trials) -> None:
        """Probe until another probe would tell no more than is known."""
        near = _CLOSE_ENOUGH if trials.are_final else self._near_enough()
        while len(trials.probes) < _MOST_PROBES and not self._is_late():
            wanted = trials.solve(self._target)
            if abs(self._error(trials.nearest(self._target))) < near:
                break
            if any(probe.quality == wanted for probe in trials.probes):
                break
            trials.probe(wanted)

    def _near_enough(self) -> float:
        sample_px, whole_px = self._sample.raster.size_px, self._raster.size_px
        return _NEAR_ENOUGH if sample_px * _CHEAP_PROBE > whole_px else _NEAR_WHERE_CHEAP

    def _settle(self, trials: Trials) -> Probe:
        """Encode the whole picture, and again where that turns out to be off."""
        stuck = trials.is_stuck_above(self._target + _TO_BE_CORRECTED)
        made = [self._make(trials, trials.cheapest_of_the_best() if stuck else trials.solve(self._target))]
        while len(made) <= _MOST_CORRECTIONS and not stuck and self._has_time_for_another():
            if min(abs(self._error(probe)) for probe in made) <= _TO_BE_CORRECTED or self._is_in_vain(made):
                break
            quality = self._correct(trials, made)
            if any(probe.quality == quality for probe in made):
                break
            made.append(self._make(trials, quality))
        return min(made, key=lambda probe: abs(self._error(probe)))

    def _is_in_vain(self, made: list[Probe]) -> bool:
        """Whether the last correction changed next to nothing: the distance has another reason than the quality."""
        errors = [self._error(probe) for probe in made[-2:]]
        return len(errors) > 1 and errors[0] > 0 and errors[1] > _IN_VAIN * errors[0]

    def _correct(self, trials: Trials, made: list[Probe]) -> int:
        """Return the next quality to encode the whole picture at: by the secant through two encodes, if there are."""
        last = made[-1]
        if len(made) > 1:
            slope = trials.slope_between(last, made[-2])
        else:
            # Far off, the sample has misled, and its slope with it.
            slope = trials.slope(self._target) if abs(self._error(last)) < _MISLED else 1.0
        return trials.step(last, self._target, slope)

    def _make(self, trials: Trials, quality: int) -> Probe:
        """Encode the whole picture and measure it, if no probe has done so already."""
        if trials.are_final:
            for probe in trials.probes:
                if probe.quality == quality:
                    return probe
        begun = time.perf_counter()
        corners = self._sample.verified_corners
        if corners is not None and trials.means.encode_with_excerpt is not None:
            data, excerpt = trials.means.encode_with_excerpt(self._raster, quality, corners)
            self._encode_s = time.perf_counter() - begun
            return weigh(quality, self._sample.verify_excerpt(decode(excerpt)), data)
        data = trials.means.encode(self._raster, quality, self._keep)
        self._encode_s = time.perf_counter() - begun
        return weigh(quality, self._sample.verify(decode(data)), data)

    def _try_lossless(self, trials: Trials, best: Probe) -> Found | None:
        """Encode without loss where the target was missed, or a drawing promises to be smaller so."""
        if self._error(best) > _TO_BE_CORRECTED:
            return self._encode_lossless()
        encode = self._plan.lossless
        if encode is None or not self._sample.is_drawing or not self._has_time_for_another():
            return None
        lossy = len(trials.nearest(self._target).data)
        if len(encode(self._sample.raster, 0, 0)) > _LOSSLESS_PROMISE * lossy:
            return None
        found = self._encode_lossless()
        return found if found is not None and len(found.data) <= len(best.data) else None

    def _encode_lossless(self) -> Found | None:
        if self._plan.lossless is None or not self._has_time_for_another():
            return None
        begun = time.perf_counter()
        data = self._plan.lossless(self._raster, LOSSLESS_EFFORT, self._keep)
        return Found(data, 100, 0.0, time.perf_counter() - begun, "lossless")

    def _error(self, probe: Probe) -> float:
        return probe.log_distance - self._target

    def _is_late(self) -> bool:
        return time.perf_counter() > self._until_s

    def _has_time_for_another(self) -> bool:
        return time.perf_counter() + self._encode_s < self._until_s
