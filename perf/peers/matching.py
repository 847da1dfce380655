"""Finds the quality at which an encoder's result is as far from its source as another's."""

import math
from collections.abc import Callable
from functools import cache
from typing import Final, NamedTuple

from perf.peers.peer import Format, Picture
from perf.quality.judge import Judge, Ruler, pass_verdict

#: thumbor takes a WebP of quality 100 for lossless.
_QUALITIES: Final = (1, 99)
#: Less is a result that is as good as its source, to which nothing can be matched.
LEAST_DISTANCE: Final = 0.05


class Matched(NamedTuple):
    """A result; the distance is the judge's."""

    quality: int | None
    data: bytes
    distance: float


def bracket(measure: Callable[[int], float], wanted: float, low: int, high: int) -> tuple[int, int]:
    """Halve the range of qualities until two neighbours are left, with `wanted` between their distances.

    `measure` falls with quality. Where it does not come down to `wanted`, these are the two highest; where it is below
    from the start, the two lowest.
    """
    while high - low > 1:
        middle = (low + high) // 2
        if measure(middle) > wanted:
            low = middle
        else:
            high = middle
    return low, high


def match(
    picture: Picture, target: Format, encode: Callable[[int], bytes], wanted: Matched, judge: Judge
) -> Matched | None:
    """Return the result of `encode` whose distance is nearest to that of `wanted`, of all whole qualities.

    Halving is by our metric, which takes a fifteenth of the time of libjxl's program; between the two neighbours that
    it ends at, the judge decides.

    Returns
    -------
    Matched or None
        None where `wanted` is the source itself.

    Raises
    ------
    RuntimeError
        `encode` came to nothing.
    """
    if wanted.distance < LEAST_DISTANCE:
        return None
    ruler = Ruler(picture.image, target)
    remembered = cache(encode)
    pair = bracket(lambda quality: ruler.measure(remembered(quality)), ruler.measure(wanted.data), *_QUALITIES)
    found = [
        Matched(quality, remembered(quality), pass_verdict(judge, picture.image, remembered(quality), target))
        for quality in pair
    ]
    return min(found, key=lambda one: abs(math.log(max(one.distance, 1e-3) / wanted.distance)))
