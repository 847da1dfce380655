"""Turns what a run found into Markdown."""

from collections.abc import Iterable, Iterator
from typing import Final

from perf.load.result import Finding, Latency, PhaseResult, Result, StreamResult

_HEAD: Final = (
    *("phase", "load", "offered/s", "accepted/s", "p50 ms", "p90 ms", "p99 ms", "p99.9 ms", "max ms"),
    *("refused, p99", "answers", "CPU ms each", "peak RSS MB"),
)
_MB: Final = 1e6


def render(result: Result) -> str:
    """Return one run in Markdown, without charts."""
    return "\n".join(
        [
            f"## {result.scenario}: {result.mix_about}",
            "",
            *_introduce(result),
            "",
            *_table(_HEAD, (_cells(phase, one) for phase in result.phases for one in phase.streams)),
            "",
            *_conclude(result.findings),
            *_doubt(result.phases),
        ]
    ).rstrip()


def _introduce(result: Result) -> Iterator[str]:
    machine, settings = result.machine, result.settings
    versions = ", ".join(f"{name} {version}" for name, version in result.versions.items())
    service = "started for the run on the same machine" if result.is_own_service else "at a given address"
    yield (
        f"{result.date}, commit {result.commit}, service {result.service_version} {service}. Load from "
        f"{machine.processors}, {machine.memory_bytes / 2**30:.1f} GiB, Linux {machine.kernel}; "
        f"{versions}."
    )
    unique = "no two requests alike" if settings["is_unique"] == "True" else "equal requests"
    yield (
        f"{result.pictures} {result.picture_source} pictures of {result.picture_bytes_mean / 1e3:.0f} kB on average, "
        f"{unique}, seed {settings['seed']}, {settings['duration_s']} s a phase after {settings['warm_up_s']} s."
    )


def _cells(phase: PhaseResult, stream: StreamResult) -> tuple[str, ...]:
    name = phase.name if len(phase.streams) == 1 else f"{phase.name}: {stream.name}"
    cost = ("", "")
    if phase.service is not None and stream is phase.streams[0]:
        each = phase.service.cpu_ms_per_accepted
        cost = ("" if each is None else f"{each:.1f}", f"{phase.service.peak_rss_bytes / _MB:.0f}")
    refused = "" if stream.refused is None else f"{stream.refused.p99_ms:.0f} ms"
    answers = ", ".join(f"{label}: {count}" for label, count in stream.counts.items())
    return (
        *(name + (" **(not valid)**" if phase.doubts else ""), stream.load),
        *(f"{stream.offered_per_s:.1f}", f"{stream.accepted_per_s:.1f}", *_latency_cells(stream.accepted)),
        *(refused, answers, *cost),
    )


def _latency_cells(latency: Latency | None) -> tuple[str, ...]:
    if latency is None:
        return ("",) * 5
    return tuple(
        f"{value:.1f}" for value in (latency.p50_ms, latency.p90_ms, latency.p99_ms, latency.p999_ms, latency.max_ms)
    )


def _conclude(findings: Iterable[Finding]) -> Iterator[str]:
    for finding in findings:
        value = "not measured" if finding.value is None else f"{finding.value:.4g} {finding.unit}".rstrip()
        bound = ""
        if finding.holds is not None:
            bound = f" (at most {finding.bound or 0:g}: {'holds' if finding.holds else '**does not hold**'})"
        yield f"- {finding.text}: {value}{bound}"


def _doubt(phases: Iterable[PhaseResult]) -> Iterator[str]:
    for phase in phases:
        yield (
            f"- generator in {phase.name}: {phase.generator_cpu_s:.2f} s of CPU, busiest process "
            f"{phase.generator_busy_share:.0%}; lag p99 {max(one.lag_p99_ms for one in phase.streams):.1f} ms"
            + ("" if phase.others_cores is None else f"; other programs {phase.others_cores:.2f} cores")
        )
        yield from (f"- **{phase.name} is not valid**: {doubt}" for doubt in phase.doubts)


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    for cells in (head, ("---",) * len(head), *rows):
        yield f"| {' | '.join(cells)} |"
