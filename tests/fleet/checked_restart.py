"""`make fleet`: an upgrade behind a balancer that nobody tells, and that finds out by /health/ready."""

from tests.fleet.rolling import restart_in_turn, running_release


def test_a_rolling_restart_behind_health_checks_fails_no_request_and_loses_no_job() -> None:
    with running_release() as release:
        restart_in_turn(release, "checking")
