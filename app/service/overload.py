"""Tells bursts, for which there is a waiting room, from overload, in which waiting gets nobody more done."""

import math
from collections import Counter, deque
from typing import Final, NamedTuple

#: The time in which refusals are counted, or that of two mean jobs where that is longer.
_WINDOW_S: Final = 1.0
#: However long overload lasts, the whole room is tried again after so many windows: within 5 s of a flood's end.
_MOST_WINDOWS: Final = 4


class _Refusal(NamedTuple):
    account: str
    at_s: float


class Overload:
    """Whether more comes than can ever be done.

    It begins when more were refused in one window than the whole room holds: had they been let in, it would be full all
    the same. It ends by itself after a window, and begins again, for twice as long, if the whole room then overflows at
    once. So it ends however impatient those are who were refused, as soon as the room has places for them.

    Parameters
    ----------
    places
        Of the whole room.
    """

    def __init__(self, places: int) -> None:
        #: The last, one more than the whole room holds.
        self._refusals: deque[_Refusal] = deque(maxlen=places + 1)
        self._most = places + 1
        self._ends_at = -math.inf
        self._lasts_s = 0.0

    def is_on(self, now: float) -> bool:
        """Whether it lasts."""
        return now < self._ends_at

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
        self._refusals.append(_Refusal(account, now))
        if self.is_on(now):
            return False
        window_s = max(_WINDOW_S, 2 * mean_s)
        if now < self._ends_at + window_s:
            # Half of them are enough to know that it is not over.
            begins = 2 * sum(refusal.at_s >= self._ends_at for refusal in self._refusals) >= self._most
            lasts_s = min(2 * self._lasts_s, _MOST_WINDOWS * window_s)
        else:
            begins = len(self._refusals) == self._most and now - self._refusals[0].at_s < window_s
            lasts_s = window_s
        if begins:
            self._lasts_s, self._ends_at = lasts_s, now + lasts_s
        return begins
