"""An upgrade under load, as Kubernetes does it: a pod is taken out of its Service, and then told to end."""

from tests.fleet.rolling import restart_in_turn, running_release


def test_a_rolling_restart_fails_no_request_and_loses_no_job() -> None:
    with running_release() as release:
        restart_in_turn(release, "told")
