"""Ratios of what was measured in the same round, or of the same picture, and their spread."""

import statistics
from collections.abc import Sequence
from typing import NamedTuple


class Spread(NamedTuple):
    """The median and the quartiles of some numbers."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{_round(self.median)} ({_round(self.low)}-{_round(self.high)})"


def _round(number: float) -> str:
    return f"{number:.2f}" if number < 10 else f"{number:.1f}"


def find_spread(numbers: Sequence[float]) -> Spread:
    """Return median and quartiles; those of a single number are itself.

    Raises
    ------
    ValueError
        There are no numbers.
    """
    if not numbers:
        raise ValueError("a spread of nothing")
    if len(numbers) == 1:
        return Spread(numbers[0], numbers[0], numbers[0])
    low, median, high = statistics.quantiles(numbers, n=4, method="inclusive")
    return Spread(median, low, high)


def find_ratio(ours: Sequence[float], theirs: Sequence[float]) -> Spread:
    """Return the spread of ours / theirs, pair by pair.

    Raises
    ------
    ValueError
        The two are not equally long, or empty.
    """
    return find_spread([one / other for one, other in zip(ours, theirs, strict=True)])
