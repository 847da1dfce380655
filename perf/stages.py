"""Where the time of a request goes: `python -m perf.stages` (`make stages`).

One client sends requests of each kind in turn to a service of its own, so that none waits for another. The stages are
those that the service names in `Server-Timing`; what else the client waits for is told as ``http``: reading and writing
the sockets, routing, keys and limits, and whatever has no stage of its own.

Of each kind the middle half by duration is averaged: means of the same requests add up, and what the machine did
meanwhile is left out.
"""

import argparse
import platform
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from http.client import HTTPConnection
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from perf.bare import photograph
from perf.machine import describe_commit, describe_machine, find_versions
from perf.running import FORM_TYPE, RunningService, wrap_in_form
from perf.server_timing import REST, Split, name_stages, read_stages

_RESULTS: Final = Path(__file__).with_name("results")
_PACKAGES: Final = ("litestar", "granian", "pyvips-binary", "uvloop")
#: The first rounds find caches cold and connections new.
_WARM_UP_ROUNDS: Final = 2


class Kind(NamedTuple):
    """What is asked: a drawn photograph's width and height, and the fields of the form."""

    size: tuple[int, int]
    fields: Mapping[str, str]


KINDS: Final = {
    "JPEG q75": Kind((1000, 667), {"quality": "75"}),
    "JPEG smart": Kind((1000, 667), {}),
    "WebP q75": Kind((1000, 667), {"quality": "75", "format": "webp"}),
    "WebP smart": Kind((1000, 667), {"format": "webp"}),
    "AVIF q60": Kind((1000, 667), {"quality": "60", "format": "avif"}),
    "AVIF smart": Kind((1000, 667), {"format": "avif"}),
    "thumbnail of 6 MP": Kind((3000, 2000), {"quality": "75", "max_width": "320"}),
}


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of work.

    Attributes
    ----------
    low_ms, high_ms
        The quartiles of what the client waited; `total_ms` is the mean between them.
    stages_ms
        Means of the same requests, in the order in which the service names them.
    """

    title: str
    requests: int
    total_ms: float
    low_ms: float
    high_ms: float
    stages_ms: dict[str, float]

    def split(self) -> Split:
        """Return what is drawn of it."""
        return Split(self.title, self.total_ms, self.stages_ms)


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """All kinds, and where and with what they were measured."""

    date: str
    commit: str
    machine: str
    versions: dict[str, str]
    rows: list[Row]


class _Asked(NamedTuple):
    total_ms: float
    stages_ms: dict[str, float]


def measure(port: int, key: str, rounds: int, kinds: Mapping[str, Kind] = KINDS) -> Profile:
    """Ask a service on this machine for every kind once in each of so many rounds, at least four.

    Raises
    ------
    RuntimeError
        An answer was not 200.
    """
    bodies = {}
    for title, kind in kinds.items():
        before, after = wrap_in_form(kind.fields)
        bodies[title] = before + photograph(*kind.size) + after
    asked: dict[str, list[_Asked]] = {title: [] for title in kinds}
    link = HTTPConnection("127.0.0.1", port)
    headers = {"Authorization": f"Bearer {key}", "Content-Type": FORM_TYPE}
    for number in range(rounds + _WARM_UP_ROUNDS):
        for title, body in bodies.items():
            one = _ask(link, body, headers)
            if number >= _WARM_UP_ROUNDS:
                asked[title].append(one)
    link.close()
    return Profile(
        date=datetime.now(UTC).date().isoformat(),
        commit=describe_commit(),
        machine=describe_machine(),
        versions={"Python": platform.python_version(), **find_versions(_PACKAGES)},
        rows=[_average(title, found) for title, found in asked.items()],
    )


def _ask(link: HTTPConnection, body: bytes, headers: Mapping[str, str]) -> _Asked:
    begun_s = time.perf_counter()
    link.request("POST", "/api/v1/compress", body, dict(headers))
    answer = link.getresponse()
    answer.read()
    total_ms = 1e3 * (time.perf_counter() - begun_s)
    if answer.status != 200:
        raise RuntimeError(f"the service answered {answer.status}")
    return _Asked(total_ms, read_stages(answer.headers.get("Server-Timing", "")))


def _average(title: str, asked: Sequence[_Asked]) -> Row:
    low_ms, _, high_ms = statistics.quantiles((one.total_ms for one in asked), n=4)
    middle = [one for one in asked if low_ms <= one.total_ms <= high_ms]
    stages = dict.fromkeys(stage for one in middle for stage in one.stages_ms)
    return Row(
        title=title,
        requests=len(asked),
        total_ms=_mean([one.total_ms for one in middle]),
        low_ms=round(low_ms, 2),
        high_ms=round(high_ms, 2),
        stages_ms={stage: _mean([one.stages_ms.get(stage, 0.0) for one in middle]) for stage in stages},
    )


def _mean(values: Sequence[float]) -> float:
    return round(statistics.fmean(values), 3)


def render(profile: Profile) -> str:
    """Return a table in Markdown, in milliseconds."""
    return "\n".join(_render(profile))


def _render(profile: Profile) -> Iterator[str]:
    versions = ", ".join(f"{name} {version}" for name, version in profile.versions.items())
    yield f"{profile.date}, commit {profile.commit}, {profile.machine}, {versions}."
    yield ""
    splits = [row.split() for row in profile.rows]
    stages = name_stages(splits)
    yield f"| work | ms | quartiles | {' | '.join(stages)} | {REST} |"
    yield f"|{' --- |' * (len(stages) + 4)}"
    for row, split in zip(profile.rows, splits, strict=True):
        told = [f"{split.stages_ms.get(stage, 0):.1f}" for stage in stages]
        spread = f"{row.low_ms:.1f}-{row.high_ms:.1f}"
        yield f"| {row.title} | {row.total_ms:.1f} | {spread} | {' | '.join(told)} | {split.rest_ms:.1f} |"


def publish(profile: Profile, folder: Path) -> list[Path]:
    """Write the figures and their chart into `folder`; both paths."""
    # Here and not above: only this wants matplotlib.
    from perf.drawing import draw_splits

    folder.mkdir(parents=True, exist_ok=True)
    figures, chart = folder / "stages.json", folder / "stages.svg"
    draw_splits([row.split() for row in profile.rows], chart)
    figures.write_bytes(msgspec.json.format(msgspec.json.encode(profile), indent=1) + b"\n")
    return [figures, chart]


def main() -> None:
    """Print the table, and publish it if asked to."""
    parser = argparse.ArgumentParser(prog="python -m perf.stages", description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=40, metavar="N", help="requests of each kind (%(default)s)")
    parser.add_argument("--publish", action="store_true", help="write perf/results/stages.json and .svg")
    arguments = parser.parse_args()
    if arguments.rounds < 4:
        parser.error("--rounds is at least 4: there are quartiles")
    with RunningService() as service:
        profile = measure(service.port, service.key, arguments.rounds)
    print(render(profile))  # noqa: T201 - a command's answer
    if arguments.publish:
        publish(profile, _RESULTS)


if __name__ == "__main__":
    main()
