"""Writes what a run found: rows as JSON, tables as Markdown, and two charts."""

import math
import statistics
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from perf.quality import charts
from perf.quality.accuracy import NEAR, Summary, pass_verdicts, summarise
from perf.quality.judge import JudgeName
from perf.quality.measure import BISECTION_STEPS, Row
from perf.quality.result import Result, write

_JUDGES: Final[dict[JudgeName, str]] = {
    "libjxl": "Judged by libjxl's own `butteraugli_main` on whole images.",
    "ours": "**Judged by our own metric**: libjxl's `butteraugli_main` was not asked.",
}


def publish(result: Result, folder: Path) -> None:
    """Write the rows, the page and the charts into `folder`."""
    results = folder / "results"
    write(result, results / "quality.json")
    charts.draw_distances(result.rows, result.settings.target, results / "quality.svg")
    drawn = charts.draw_encoders(results / "encoders.json", results / "encoders.svg")
    pictures = ["![Distance of each image, smart beside the best fixed quality](results/quality.svg)"]
    if drawn:
        pictures.append("![Bytes at equal distance for each encoder, relative to mozjpeg](results/encoders.svg)")
    (folder / "QUALITY.md").write_text("\n\n".join([render(result), *pictures]) + "\n")


def render(result: Result) -> str:
    """Return the page in Markdown, without the charts."""
    target = result.settings.target
    summaries = summarise(result.rows, target)
    return "\n".join(
        [
            "# How close smart comes",
            "",
            *_introduce(result),
            "",
            *_table(_SUMMARY_HEAD, (_summary_cells(summary) for summary in summaries)),
            "",
            *_explain(result),
            *_list_misses(result),
            *_list_skipped(result),
        ]
    ).rstrip()


_SUMMARY_HEAD: Final = (
    *("format", "method", "images", "within 10 %", "within 25 %", "centre", "log-sd"),
    *("highest", "lowest", "CPU / plain, > 2 MP", "added, < 1 MP"),
)


def _introduce(result: Result) -> Iterator[str]:
    settings = result.settings
    compared = {row.image for row in result.rows}
    versions = ", ".join(f"{name} {version}" for name, version in result.versions.items())
    yield _JUDGES[settings.judge]
    yield (
        f"Target: butteraugli 3-norm {settings.target:g}. Images: {len(compared)} of "
        f"{len(compared) + len(result.skipped)} in {', '.join(f'`{folder}`' for folder in result.folders)}, "
        f"up to {settings.max_megapixels:g} MP."
    )
    yield f"{result.date}, commit {result.commit}, {result.machine}; {versions}."


def _summary_cells(summary: Summary) -> tuple[str, ...]:
    def share(count: int) -> str:
        return f"{count} ({count / summary.images:.0%})"

    def extreme(row: Row) -> str:
        return f"{row.distance:.2f} {_short(row.image)}"

    cost = "" if summary.large_cost is None else f"{summary.large_cost:.2f}"
    added = "" if summary.small_added_ms is None else f"{summary.small_added_ms:.0f} ms"
    if summary.method == "fixed":
        cost, added = "1", "0"
    return (
        *(summary.format, summary.method, str(summary.images), share(summary.near), share(summary.far)),
        *(f"{summary.centre:.3f}", f"{summary.log_sd:.3f}"),
        *(extreme(summary.highest), extreme(summary.lowest), cost, added),
    )


def _explain(result: Result) -> Iterator[str]:
    verdicts = list(pass_verdicts(result.rows, result.settings.target).values())
    fixed = ", ".join(f"{name} {quality}" for name, quality in result.fixed_qualities.items())
    yield "- smart: `quality=smart`."
    yield f"- fixed: the quality nearest to the target over these very images: {fixed or 'not measured'}."
    yield (
        f"- bisection: {BISECTION_STEPS} encodes of the whole image, each decoded and scored whole by our metric; "
        "the nearest counts."
    )
    yield "- centre, log-sd: geometric mean of distance / target, standard deviation of its logarithm."
    yield (
        "- CPU / plain, added: medians, against one encode of the same source at the quality that smart chose, "
        f"timed in turn with smart; the least of {result.settings.rounds}."
    )
    yield (
        f"- Left out of the table: {verdicts.count('source kept')} where the source's own data returned because an "
        f"encode was hardly smaller; {verdicts.count('lossless')} without loss, because that took no more bytes than "
        f"bisection; {verdicts.count('unreachable')} out of reach (smart said so, and bisection did not reach the "
        "target either)."
    )
    smart = [row for row in result.rows if row.method == "smart" and not row.source_kept]
    # A lossless result has no distance to be wrong about.
    offsets = [math.log(row.claimed / row.distance) for row in smart if row.claimed and row.distance]
    if offsets:
        rms = math.sqrt(statistics.fmean(offset**2 for offset in offsets))
        yield f"- The distance that smart reports differs from the judge's by {rms:.1%} (RMS)."


def _list_misses(result: Result) -> Iterator[str]:
    target = result.settings.target
    verdicts = pass_verdicts(result.rows, target)
    by_method = {(row.method, row.image, row.format): row for row in result.rows}

    def cells(wanted: str) -> Iterator[tuple[str, ...]]:
        for (image, name), verdict in verdicts.items():
            if verdict != wanted:
                continue
            smart = by_method["smart", image, name]
            claimed = "" if smart.claimed is None else f"{smart.claimed:.2f}"
            others = (by_method.get((method, image, name)) for method in ("fixed", "bisection"))
            yield (
                *(name, image, f"{smart.megapixels:.2f}", str(smart.quality), f"{smart.distance:.2f}", claimed),
                *("" if other is None else f"{other.distance:.2f} (q{other.quality})" for other in others),
            )

    head = ("format", "image", "MP", "quality", "smart", "smart claimed", "fixed", "bisection")
    for title, wanted in ((f"Misses: off by more than {NEAR:.0%}", "miss"), ("Out of reach", "unreachable")):
        if rows := list(cells(wanted)):
            yield from ("", f"## {title}", "", *_table(head, rows))


def _list_skipped(result: Result) -> Iterator[str]:
    if result.skipped:
        yield from ("", "## Files not compared", "")
        yield from (f"- {name}: {reason}" for name, reason in sorted(result.skipped.items()))


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    for cells in (head, ("---",) * len(head), *rows):
        yield f"| {' | '.join(cells)} |"


def _short(name: str) -> str:
    return Path(name).stem
