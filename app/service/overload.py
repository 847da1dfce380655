"""Tells bursts, for which there is a waiting room, from overload, in which waiting gets nobody more done."""

import math
from collections import Counter, deque
from typing import Final, NamedTuple

#: The time in which refusals are counted, or that of two mean jobs where that is longer.
_WINDOW_S: Final = 1.0
#: However many are refused, the whole room is tried again after so many windows.
_MOST_WINDOWS: Final = 10


class _Refusal(NamedTuple):
    account: str
    at_s: float


class Overload:
    """Whether more comes than can ever be done.

    It is while more were refused within a window than the whole room holds: had they been let in, it would be full all
    the same. But those few who come again at once, and again, count as many. So it ends after ten windows in any case,
    and begins anew only where somebody finds the whole room full.

    Parameters
    ----------
    places
        Of the whole room.
    """

    def __init__(self, places: int) -> None:
        #: The last, one more than the whole room holds.
        self._refusals: deque[_Refusal] = deque(maxlen=places + 1)
        self._window_s = _WINDOW_S
        self._ends_at = -math.inf

    def is_on(self, now: float) -> bool:
        """Whether it lasts."""
        return now < self._ends_at and self._are_many(now)

    def is_one_to_blame(self) -> bool:
        """Whether most of the last refusals were one account's."""
        counts = Counter(refusal.account for refusal in self._refusals).most_common(1)
        return bool(counts) and 2 * counts[0][1] > len(self._refusals)

    def note_refusal(self, account: str, now: float, mean_s: float) -> bool:
        """Note that one of an account's was refused; return whether overload begins with that.

        Parameters
        ----------
        mean_s
            How long a job takes.
        """
        was_on = self.is_on(now)
        self._refusals.append(_Refusal(account, now))
        self._window_s = max(_WINDOW_S, 2 * mean_s)
        if was_on or not self._are_many(now):
            return False
        if now >= self._ends_at:
            self._ends_at = now + _MOST_WINDOWS * self._window_s
        return True

    def _are_many(self, now: float) -> bool:
        return len(self._refusals) == self._refusals.maxlen and now - self._refusals[0].at_s < self._window_s
