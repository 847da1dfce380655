"""Writes what runs found as one page with charts beside it."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from perf.load import charts
from perf.load.page import render
from perf.load.result import Result

PAGE: Final = "load.md"
_CHARTS: Final[tuple[tuple[str, str, Callable[[Sequence[Result], Path], bool]], ...]] = (
    ("throughput", "Accepted and refused over offered requests", charts.draw_throughput),
    ("latency", "Latency percentiles of the accepted requests", charts.draw_latency),
    ("timelines", "Answers of each second around a flood or a storm", charts.draw_timelines),
    ("stages", "Where the time of an unloaded request goes", charts.draw_stages),
    ("bytes", "Bytes of pictures and results", charts.draw_bytes),
)


def publish(results: Sequence[Result], folder: Path) -> list[Path]:
    """Write the page and its charts into `folder`; all that was written, the page first."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = {title: folder / f"load-{name}.svg" for name, title, _ in _CHARTS}
    drawn = [title for _, title, draw in _CHARTS if draw(results, paths[title])]
    pictures = [f"![{title}]({paths[title].name})" for title in drawn]
    page = folder / PAGE
    page.write_text("\n\n".join(["# Under load", *(render(one) for one in results), "## Charts", *pictures]) + "\n")
    return [page, *(paths[title] for title in drawn)]
