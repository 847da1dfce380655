"""What a run found, as it is kept in JSON: figures only, no address, key, host name or path."""

import os
import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

from perf.machine import describe_machine, find_versions

_PACKAGES: Final = ("compressorize", "litestar", "granian", "pyvips-binary", "aiohttp", "uvloop")


class Latency(msgspec.Struct, frozen=True, kw_only=True):
    """Milliseconds that requests took, from when they were due.

    Attributes
    ----------
    histogram
        Upper bounds of the buckets, each 5 % above the one before, and the requests in each; empty ones are left out.
    """

    count: int
    mean_ms: float
    p50_ms: float
    p90_ms: float
    p99_ms: float
    p999_ms: float
    max_ms: float
    histogram: list[tuple[float, int]]


class StreamResult(msgspec.Struct, frozen=True, kw_only=True):
    """One account's requests in one phase.

    Attributes
    ----------
    offered_per_s
        Requests that were due in a second of the phase.
    accepted_per_s
        Requests whose result had come before the phase ended, a second of it.
    counts
        How often each status came, or what went wrong.
    accepted
        To the last byte of the result.
    refused, rejected
        To the headers of the answer.
    lag_p99_ms
        99 % of the requests were started this soon after they were due.
    stages_ms
        Means of `Server-Timing` over the accepted.
    cache, variants
        How often each `X-Cache` and each `X-Variant` was seen in what was accepted.
    timeline
        For each second of the phase: results, refusals and other answers that came in it.
    """

    name: str
    load: str
    offered_per_s: float
    accepted_per_s: float
    counts: dict[str, int]
    accepted: Latency | None
    refused: Latency | None
    rejected: Latency | None
    lag_p99_ms: float
    picture_bytes: int
    result_bytes: int
    cache: dict[str, int]
    stages_ms: dict[str, float]
    timeline: list[tuple[int, int, int]]
    variants: dict[str, int] = {}


class Cost(msgspec.Struct, frozen=True, kw_only=True):
    """What the service's process tree took during a phase."""

    cpu_s: float
    cpu_ms_per_accepted: float | None
    peak_rss_bytes: int


class PhaseResult(msgspec.Struct, frozen=True, kw_only=True):
    """One phase.

    Attributes
    ----------
    service
        None where the service's processes are not known.
    generator_cpu_s
        Of all processes that made the load.
    generator_busy_share
        Of one core, by the busiest of them.
    others_cores
        Cores that neither the service nor what made the load had, on average; None where the service's are not known.
    doubts
        Why the figures are not the service's; none: the phase is valid.
    """

    name: str
    duration_s: float
    streams: list[StreamResult]
    service: Cost | None
    generator_cpu_s: float
    generator_busy_share: float
    doubts: list[str]
    others_cores: float | None = None


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """A figure that the scenario is about; `holds` is None where there is no bound."""

    text: str
    value: float | None
    unit: str
    bound: float | None = None
    holds: bool | None = None


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """Where the load was generated; and the service too, where it is the harness' own."""

    processors: str
    memory_bytes: int
    kernel: str


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """A run of a scenario.

    Attributes
    ----------
    is_own_service
        The harness started it, on this machine and from this commit.
    service_version
        As its OpenAPI document tells.
    pictures, picture_bytes_mean
        How many pictures there were to choose from, and their size.
    """

    scenario: str
    mix: str
    mix_about: str
    date: str
    commit: str
    machine: Machine
    versions: dict[str, str]
    is_own_service: bool
    service_version: str
    settings: dict[str, str]
    pictures: int
    picture_source: str
    picture_bytes_mean: float
    phases: list[PhaseResult]
    findings: list[Finding]


def write(result: Result, path: Path) -> None:
    """Write all of it as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(result), indent=1) + b"\n")


def read(path: Path) -> Result:
    """Read what `write` wrote.

    Raises
    ------
    msgspec.ValidationError
        It is no result of this harness.
    """
    return msgspec.json.decode(path.read_bytes(), type=Result)


def look_at_machine() -> Machine:
    """Return what can be compared of this machine, without its name."""
    memory_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return Machine(processors=describe_machine(), memory_bytes=memory_bytes, kernel=platform.release())


def list_versions() -> dict[str, str]:
    """Return the versions of what makes the load and, for an own service, serves it."""
    return {"Python": platform.python_version(), **find_versions(_PACKAGES)}


def today() -> str:
    """Return the date, in UTC."""
    return datetime.now(UTC).date().isoformat()
