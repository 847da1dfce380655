"""Prints what the benchmarks found beyond pytest-benchmark's own columns of wall time."""

from typing import Any


def pytest_terminal_summary(terminalreporter: Any, config: Any) -> None:
    """List each benchmark's own figures."""
    for bench in config._benchmarksession.benchmarks:
        if "cost" in bench.extra_info:
            continue  # `perf.bench` makes its own table
        figures = ", ".join(f"{name} {value}" for name, value in bench.extra_info.items())
        terminalreporter.write_line(f"{bench.name}: {figures}")
