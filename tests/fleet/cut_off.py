"""`make fleet`: a host that is cut off, and does not know whether it or the others are gone."""

from collections import Counter

from tests.fleet.hosts import Fleet, Host, submit_slow
from tests.whole.jobs import SMALL, is_soon, wait_for_end
from tests.whole.service import Api


def ended_at(host: Host) -> Counter[str]:
    """The jobs that a host's worker has brought to an end, by its own account."""
    return Counter(line["job"] for line in host.worker.events("job ended"))


def test_a_host_that_is_cut_off_costs_nothing_that_was_acknowledged(fleet: Fleet, clients: list[Api]) -> None:
    """Its jobs are done by the other; when it is back, it neither doubles them nor needs to be started again."""
    here, there = clients
    jobs = submit_slow(here, 4)
    assert is_soon(lambda: all(host.has_claimed(fleet, jobs) for host in fleet.hosts)), "both take jobs of one queue"
    with fleet.hosts[0].unplugged():
        assert there.compress(SMALL, quality="51").status_code == 200
        assert {wait_for_end(there, job)["status"] for job in jobs} == {"complete"}
    assert is_soon(lambda: here.get("/health/ready").status_code == 200)
    before = ended_at(fleet.hosts[0])

    def ends_another() -> bool:
        [job] = submit_slow(here, 1)
        assert wait_for_end(here, job)["status"] == "complete"
        return ended_at(fleet.hosts[0]) != before

    assert is_soon(ends_another, 60), "its worker is not back"
    assert max((ended_at(fleet.hosts[0]) + ended_at(fleet.hosts[1])).values()) == 1, "a job was ended twice"
