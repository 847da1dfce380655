"""The documented algorithm of the HorizontalPodAutoscaler (autoscaling/v2), for one External metric.

Kubernetes' pages "Horizontal Pod Autoscaling" and "HorizontalPodAutoscaler v2" tell it: the desired number is
``ceil(metric / target)``, unless that is within the tolerance of what there is; the stabilisation window of a direction
takes the most cautious of its recommendations; policies bound how much may change within their periods. Where the pages
leave it open (Percent rounds up on the way up and down on the way down; changes of both directions count in a period),
this does what the controller of Kubernetes 1.34 does.

KEDA makes such an autoscaler of a ScaledObject and is the source of its metric, which is asked for at each sync. Its
own ``pollingInterval`` and ``cooldownPeriod`` only decide between none and one, and the shipped ScaledObject never has
none.
"""

import math
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, Literal, NamedTuple

import msgspec

#: `--horizontal-pod-autoscaler-sync-period` and `--horizontal-pod-autoscaler-tolerance` of the controller manager.
SYNC_S: Final = 15.0
TOLERANCE: Final = 0.1
_MOST_PAST: Final = int(3600 / SYNC_S) + 1

Selection = Literal["Max", "Min", "Disabled"]


class Policy(msgspec.Struct, frozen=True, rename="camel"):
    """How much one direction may change the number of pods within a period."""

    type: Literal["Pods", "Percent"]
    value: int
    period_seconds: float


class Rules(msgspec.Struct, frozen=True, rename="camel"):
    """One direction's part of an autoscaler's `behavior`."""

    policies: tuple[Policy, ...]
    stabilization_window_seconds: float
    select_policy: Selection = "Max"


class Behavior(msgspec.Struct, frozen=True, rename="camel"):
    """Both directions; the defaults are those of Kubernetes."""

    scale_up: Rules = Rules((Policy("Percent", 100, 15), Policy("Pods", 4, 15)), 0)
    scale_down: Rules = Rules((Policy("Percent", 100, 15),), 300)


class Spec(msgspec.Struct, frozen=True):
    """What an autoscaler is told: `target` is the metric's value for each pod (AverageValue)."""

    least: int
    most: int
    target: float
    behavior: Behavior = Behavior()


class _Past(NamedTuple):
    at_s: float
    value: int


class Autoscaler:
    """Decides how many pods there shall be, once each sync period."""

    def __init__(self, spec: Spec) -> None:
        self._spec = spec
        # Neither is longer than an hour: the longest window and period there can be.
        self._recommendations: deque[_Past] = deque(maxlen=_MOST_PAST)
        #: Pods that were added and, as negative numbers, taken away.
        self._changes: deque[_Past] = deque(maxlen=_MOST_PAST)

    def decide(self, now_s: float, current: int, metric: float) -> int:
        """Return the number of pods there shall be from now on; it is taken to be put into effect.

        Parameters
        ----------
        now_s
            Seconds on any clock that only goes forward.
        current
            Pods that there shall be so far, ready or not; 1 or more.
        metric
            The value of the metric now, all pods together.
        """
        wanted = self._stabilise(now_s, current, self._recommend(current, metric))
        decided = self._hold_to_policies(now_s, current, wanted)
        if decided != current:
            self._changes.append(_Past(now_s, decided - current))
        return decided

    def _recommend(self, current: int, metric: float) -> int:
        is_near = abs(metric / (self._spec.target * current) - 1) <= TOLERANCE
        return current if is_near else math.ceil(metric / self._spec.target)

    def _stabilise(self, now_s: float, current: int, wanted: int) -> int:
        behavior = self._spec.behavior
        windows_s = [each.stabilization_window_seconds for each in (behavior.scale_up, behavior.scale_down)]
        up, down = (
            [wanted, *(past.value for past in self._recommendations if past.at_s > now_s - window_s)]
            for window_s in windows_s
        )
        self._recommendations.append(_Past(now_s, wanted))
        return min(max(current, min(up)), max(down))

    def _hold_to_policies(self, now_s: float, current: int, wanted: int) -> int:
        least, most = self._spec.least, self._spec.most
        if wanted > current:
            limit = self._limit(now_s, current, self._spec.behavior.scale_up, is_up=True)
            return max(least, min(wanted, most, max(limit, current)))
        if wanted < current:
            limit = self._limit(now_s, current, self._spec.behavior.scale_down, is_up=False)
            return min(most, max(wanted, least, min(limit, current)))
        return max(least, min(current, most))

    def _limit(self, now_s: float, current: int, rules: Rules, *, is_up: bool) -> int:
        if rules.select_policy == "Disabled":
            return current
        limits = [self._limit_of(now_s, current, policy, is_up=is_up) for policy in rules.policies]
        widest: Callable[[Sequence[int]], int] = max if is_up == (rules.select_policy == "Max") else min
        return widest(limits)

    def _limit_of(self, now_s: float, current: int, policy: Policy, *, is_up: bool) -> int:
        at_start = current - sum(past.value for past in self._changes if past.at_s > now_s - policy.period_seconds)
        sign = 1 if is_up else -1
        if policy.type == "Pods":
            return at_start + sign * policy.value
        limit = at_start * (1 + sign * policy.value / 100)
        return math.ceil(limit) if is_up else math.floor(limit)
