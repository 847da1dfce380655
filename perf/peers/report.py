"""Renders results as the page perf/PEERS.md."""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from perf.peers.peer import CLIENTS, Peer
from perf.peers.ratios import Spread, find_ratio
from perf.peers.result import WorkResult
from perf.peers.rounds import Row
from perf.peers.works import WORKS

_HEAD: Final = f"""# Beside other servers

Made by `make peers` (`python -m perf.peers --publish`). All servers run at the same time, in each round every one has a
turn while the others idle, the order of turns rotates from round to round, and all get the same pictures, an equal
number of times. {CLIENTS} clients on connections that are kept alive, each of which sends its next request when the one
before is answered; they run on the same cores, and take about as much from everybody's images/s.

- **images/s**: median of the rounds. **CPU ms**: of the server's whole process tree, an image; the clients' own is left
  out. **kB**: mean over the pictures. **distance**: butteraugli 3-norm, geometric mean over the pictures.
- **ours / it**: median of the ratio with its quartiles, for images/s and CPU over the rounds (pair by pair), for kB
  and distance over the pictures. Ours is better where that of images/s is above 1 and the others are below.
- **At equal butteraugli**, ours first compresses each picture in smart (3-norm 1.2). For each other encoder and each
  picture, whole qualities are then halved, on that encoder's own output and through its own server, until two
  neighbours lie around that distance; the one that the judge finds nearer is used. So the others get for nothing what
  smart has to search for while the clock runs: *ours, fixed quality* is what the same service does when it, too, is
  told the quality.
- Nobody answers from a cache: keeping and reusing results is off in ours, but for *default settings*.
"""
_BASES: Final = ("ours", "ours, smart", "ours, fixed quality", "ours, JPEG_ENCODER=small")
_JUDGES: Final = {"libjxl": "libjxl's `butteraugli_main`", "ours": "our own metric (libjxl's program is not installed)"}


def render(results: Mapping[str, WorkResult], peers: Sequence[Peer]) -> str:
    """Return the page of all works in `results`; `peers` are all that there could be."""
    lines = [_HEAD, "## Who", "", *_list_peers(results, peers)]
    for work in WORKS:
        if result := results.get(work.name):
            lines += ["", f"## {work.title}", "", *_render_work(result)]
    return "\n".join(lines) + "\n"


def _list_peers(results: Mapping[str, WorkResult], peers: Sequence[Peer]) -> Iterator[str]:
    yield "| peer | versions | how it is run |"
    yield "| --- | --- | --- |"
    latest = max(results.values(), key=lambda result: result.date, default=None)
    for peer in peers:
        if latest and peer.title in latest.missing:
            versions = f"**missing**: {latest.missing[peer.title]}"
        else:
            versions = latest.peers.get(peer.title, "") if latest else ""
        yield f"| {peer.title} | {versions} | {peer.setup} |"


def _render_work(result: WorkResult) -> Iterator[str]:
    found = result.found
    rounds = max((len(row.cpu_ms) for row in found.rows), default=0)
    yield (
        f"{result.date}, commit {result.commit}, {result.machine}, Python {result.python}; load average before: "
        f"{result.load}. {rounds} rounds. Distance by {_JUDGES[result.judge]}. "
        f"Pictures: {', '.join(name.removesuffix('.jpg') for name in found.pictures)}."
    )
    # A matched work has rows that others can be held against: smart, and its distance at a quality that is known.
    for base in [row for row in found.rows if row.title in _BASES]:
        yield from ("", f"Ours: *{base.title}*.", "", *_tabulate(base, found.rows))
    notes = [*found.notes, *(f"{peer} is missing: {reason}." for peer, reason in result.missing.items())]
    if notes:
        yield from ("", *(f"- {note}" for note in notes))


def _tabulate(base: Row, rows: Sequence[Row]) -> Iterator[str]:
    yield "| | images/s | ours / it | CPU ms | ours / it | kB | ours / it | distance | ours / it | quality |"
    yield "| --- |" + " --- |" * 9
    for row in rows:
        cells = [
            f"{statistics.median(row.images_per_s):.1f}",
            _compare(base, row, base.images_per_s, row.images_per_s),
            f"{statistics.median(row.cpu_ms):.1f}",
            _compare(base, row, base.cpu_ms, row.cpu_ms),
            f"{statistics.mean(row.bytes) / 1e3:.1f}",
            _compare(base, row, base.bytes, row.bytes),
            f"{statistics.geometric_mean(row.distances):.3f}" if row.distances else "",
            _compare(base, row, base.distances, row.distances),
            _range(row.qualities),
        ]
        yield f"| {row.title} | {' | '.join(cells)} |"


def _compare(base: Row, row: Row, ours: Sequence[float], theirs: Sequence[float]) -> str:
    if not theirs:
        return ""
    ratio: Spread = find_ratio(ours, theirs)
    return "1" if row is base else str(ratio)


def _range(qualities: Sequence[int | None]) -> str:
    known = [quality for quality in qualities if quality is not None]
    if not known:
        return "smart"
    return str(known[0]) if min(known) == max(known) else f"{min(known)}-{max(known)}"
