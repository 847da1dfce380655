"""Costs are told in calibrations, compared as ratios with their spread, and another revision is measured as it was."""

import subprocess
import sys

import pytest

from perf.bench import pace
from perf.bench.compare import compare, render
from perf.bench.record import Cost, Record, make_record, merge, read, write
from perf.bench.suites import ROOT, Tree, UnknownRevision, check_out

has_history = pytest.mark.skipif(
    subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True).returncode != 0,
    reason="this is no checkout of git",
)


class Benchmark:
    """pytest-benchmark's fixture, without its clock."""

    def __init__(self):
        self.extra_info = {}

    def pedantic(self, target, *, setup, teardown, rounds):
        for _ in range(rounds):
            setup()
            target()
            teardown()


class Steps:
    """A calibration, a work and their clock: each is as long as it is told to be."""

    def __init__(self):
        self.now_s = 0.0
        self.speed = 1.0
        self.prepared = 0

    def run(self):
        """Calibrate on a machine that gets slower and slower."""
        self.speed *= 1.1
        self.now_s += 0.01 * self.speed

    def work(self):
        self.now_s += 0.03 * self.speed

    def prepare(self):
        self.prepared += 1
        self.now_s += 7


@pytest.fixture
def steps(monkeypatch):
    made = Steps()
    monkeypatch.setattr(pace.time, "process_time", lambda: made.now_s)
    monkeypatch.setattr(pace.time, "perf_counter", lambda: made.now_s)
    return made


def make_cost(name, cost, low, high):
    return Cost(name=name, cpu_ms=1.0, cost=cost, low=low, high=high)


def make_run(*costs, **changes):
    fields = {"date": "2026-01-02", "commit": "abc", "machine": "m", "versions": {}, "runs": 1, "calibration_ms": 3.0}
    return Record(costs=list(costs), **fields | changes)


def test_a_machine_that_slows_down_changes_no_cost(steps):
    benchmark = Benchmark()
    measure = pace.Pace(benchmark, steps, budget_s=1e-9)
    measure(steps.work, operations=2, clock=lambda: steps.now_s)
    # Half of three calibrations; each is between two, of which one is a tenth slower.
    assert benchmark.extra_info["cost"] == pytest.approx(1.5 / 1.05, rel=1e-6)
    assert benchmark.extra_info["high"] - benchmark.extra_info["low"] < 1e-6


def test_what_prepares_a_work_is_not_counted(steps):
    benchmark = Benchmark()
    pace.Pace(benchmark, steps, budget_s=1e-9)(steps.work, prepare=steps.prepare, clock=lambda: steps.now_s)
    assert benchmark.extra_info["cost"] == pytest.approx(3 / 1.05, rel=1e-6)
    assert steps.prepared > 9


@pytest.mark.parametrize(
    ("new", "verdict"),
    [((2.0, 1.9, 2.1), "slower"), ((0.5, 0.4, 0.6), "faster"), ((1.1, 1.0, 1.3), ""), ((0.9, 0.8, 1.0), "")],
)
def test_a_change_is_flagged_where_the_quartiles_do_not_meet(new, verdict):
    old = make_cost("jpeg: draft", 1.0, 0.95, 1.05)
    change = compare(old, make_cost("jpeg: draft", *new))
    assert change.ratio == pytest.approx(new[0])
    assert change.verdict == verdict
    assert ("**" in render(make_run(make_cost("a", *new)), make_run(make_cost("a", 1.0, 0.95, 1.05)))) == bool(verdict)


def test_what_only_one_side_has_is_told():
    new = make_run(make_cost("new one", 1, 1, 1), missing={"parser: fields": "ImportError"})
    old = make_run(make_cost("old one", 1, 1, 1), machine="another")
    page = render(new, old)
    assert "| new one | 1 | 1 | 1-1 |  |  | new |" in page
    assert "parser: fields gave no figure: ImportError" in page
    assert "different machines" in page
    assert "0 slower, 0 faster, of 0" in page


def test_several_runs_are_one_with_the_widest_spread(tmp_path):
    runs = [make_run(make_cost("a", cost, cost - 0.1, cost + 0.2)) for cost in (1.0, 1.5, 1.1)]
    runs[0] = make_run(*runs[0].costs, missing={"b": "why", "a": "once"})
    merged = merge(runs)
    assert merged.costs == [make_cost("a", 1.1, 0.9, 1.7)]
    assert (merged.runs, merged.missing) == (3, {"b": "why"})
    write(merged, tmp_path / "results" / "bench.json")
    assert read(tmp_path / "results" / "bench.json") == merged


def test_a_record_has_our_figures_and_no_host():
    info = {"cpu_ms": 1.23456, "cost": 0.5, "low": 0.4, "high": 0.6, "calibration_ms": 3.0}
    report = {
        "machine_info": {"node": "secret-host"},
        "benchmarks": [
            {"fullname": "perf/bench/test_jpeg.py::test_draft[420]", "extra_info": info},
            {"fullname": "perf/bench/test_jpeg.py::test_other", "extra_info": {}},
        ],
    }
    record = make_record(report, {})
    assert record.costs == [Cost(name="jpeg: draft[420]", cpu_ms=1.235, cost=0.5, low=0.4, high=0.6)]
    assert "secret-host" not in repr(record)


@has_history
def test_another_revision_runs_its_own_code_with_our_benchmarks_and_is_removed():
    with check_out("HEAD") as tree:
        where = "import app, perf, pixels; print(app.__file__, pixels.__file__, perf.__file__)"
        done = subprocess.run(
            [sys.executable, "-c", where], env=tree.environment(), cwd=tree.root, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.count(str(tree.root)) == 3
        assert (tree.root / "perf/bench/pace.py").read_bytes() == (ROOT / "perf/bench/pace.py").read_bytes()
    assert not tree.root.exists()
    listed = subprocess.run(["git", "worktree", "list"], cwd=ROOT, capture_output=True, text=True).stdout
    assert str(tree.root) not in listed


@has_history
def test_a_revision_that_is_not_there_is_an_error_of_one_line():
    with pytest.raises(UnknownRevision, match="Needed a single revision"), check_out("no-such-branch"):
        pass


def test_the_suites_run_and_what_cannot_run_is_told(monkeypatch):
    monkeypatch.setenv("BENCH_S", "0.01")
    record = Tree().run(["-k", "fields and ours"])
    [cost] = record.costs
    assert cost.name == "parser: fields[ours]"
    assert cost.low <= cost.cost <= cost.high
    assert record.calibration_ms > 0
