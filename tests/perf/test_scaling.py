"""The simulated autoscaler decides as Kubernetes' documentation says, and is told what the manifests say."""

import pytest

from perf.scaling.autoscaler import SYNC_S, Autoscaler, Behavior, Policy, Rules, Spec
from perf.scaling.manifests import MANIFESTS, UnreadableManifest, read_spec

AT_ONCE = Behavior(Rules((Policy("Percent", 1000, 15),), 0), Rules((Policy("Percent", 100, 15),), 0))


def decide_at(autoscaler, current, metrics, *, every_s=SYNC_S, start_s=0.0):
    """The numbers of pods that follow from one metric after the other."""
    numbers = []
    for place, metric in enumerate(metrics):
        current = autoscaler.decide(start_s + place * every_s, current, metric)
        numbers.append(current)
    return numbers


@pytest.mark.parametrize(
    ("current", "average", "target", "wanted"),
    [
        # "If the current metric value is 200m and the desired value is 100m, the number of replicas will be doubled,
        # since 200.0 / 100.0 = 2.0. If the current value is instead 50m, [it is halved]"
        (4, 200, 100, 8),
        (4, 50, 100, 2),
        # "The control plane skips any scaling action if the ratio is sufficiently close to 1.0 (0.1 by default)"
        (10, 109, 100, 10),
        (10, 91, 100, 10),
        (10, 112, 100, 12),
        # ceil, not round
        (1, 410, 100, 5),
    ],
)
def test_the_ratio_of_metric_and_target_decides(current, average, target, wanted):
    assert Autoscaler(Spec(1, 100, target, AT_ONCE)).decide(0, current, current * average) == wanted


def test_the_number_stays_between_least_and_most():
    autoscaler = Autoscaler(Spec(2, 20, 4, AT_ONCE))
    assert decide_at(autoscaler, 2, [0, 1000, 0]) == [2, 20, 2]


def test_the_larger_of_two_policies_takes_down_as_the_example_says():
    """80 to 10 by 10 % or 4 pods a minute: 8, then 8 of 72 (7.2 rounded up); 4 at a time below 40."""
    rules = Rules((Policy("Pods", 4, 60), Policy("Percent", 10, 60)), 0)
    autoscaler = Autoscaler(Spec(1, 100, 1, Behavior(scale_down=rules)))
    numbers = [72, 64, 57, 51, 45, 40, 36, 32, 28, 24, 20, 16, 12, 10, 10]
    assert decide_at(autoscaler, 80, [10] * 15, every_s=61) == numbers


def test_the_smaller_of_two_policies_is_taken_where_it_is_asked_for():
    rules = Rules((Policy("Pods", 4, 60), Policy("Percent", 10, 60)), 0, "Min")
    assert Autoscaler(Spec(1, 100, 1, Behavior(scale_down=rules))).decide(0, 80, 10) == 76


def test_a_direction_can_be_disabled():
    rules = Rules((Policy("Pods", 4, 60),), 0, "Disabled")
    assert Autoscaler(Spec(1, 100, 1, Behavior(scale_down=rules))).decide(0, 80, 10) == 80


def test_the_default_doubles_or_adds_four_pods_each_quarter_minute():
    assert decide_at(Autoscaler(Spec(1, 100, 1)), 1, [100] * 5) == [5, 10, 20, 40, 80]


def test_within_a_period_a_policy_allows_its_change_once():
    rules = Rules((Policy("Percent", 100, 30),), 0)
    autoscaler = Autoscaler(Spec(1, 100, 1, Behavior(scale_up=rules)))
    assert decide_at(autoscaler, 2, [100] * 6) == [4, 4, 8, 8, 16, 16]


def test_the_window_of_the_way_down_keeps_to_the_highest_recommendation():
    """By default all desired states of the past 5 minutes count."""
    autoscaler = Autoscaler(Spec(1, 100, 1))
    assert autoscaler.decide(0, 10, 10) == 10
    assert autoscaler.decide(150, 10, 5) == 10
    assert autoscaler.decide(299, 10, 2) == 10
    assert autoscaler.decide(301, 10, 2) == 5
    assert autoscaler.decide(449, 5, 2) == 5
    assert autoscaler.decide(451, 5, 2) == 2


def test_the_window_of_the_way_up_keeps_to_the_lowest_recommendation():
    rules = Rules((Policy("Percent", 1000, 15),), 60)
    autoscaler = Autoscaler(Spec(1, 100, 1, Behavior(scale_up=rules)))
    assert decide_at(autoscaler, 2, [2, 20, 20, 20, 20, 20]) == [2, 2, 2, 2, 20, 20]


def test_both_manifests_tell_the_same():
    specs = [read_spec(path) for path in MANIFESTS.values()]
    assert specs[0] == specs[1]
    assert (specs[0].least, specs[0].most, specs[0].target) == (2, 20, 4)
    assert specs[0].behavior.scale_down.stabilization_window_seconds == 300
    assert specs[0].behavior.scale_up.policies == (Policy("Percent", 100, 30),)


def test_what_is_not_simulated_is_refused(tmp_path):
    text = MANIFESTS["hpa"].read_text().replace("AverageValue", "Value")
    (tmp_path / "other.yaml").write_text(text)
    with pytest.raises(UnreadableManifest, match="Value"):
        read_spec(tmp_path / "other.yaml")
