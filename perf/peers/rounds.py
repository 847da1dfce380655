"""Does one work: settles what each contestant is asked for, and lets them take turns."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final, NamedTuple, TypeVar

import msgspec

from perf.peers.matching import LEAST_DISTANCE, Matched, match
from perf.peers.peer import WORKERS, Picture, Turn
from perf.peers.works import Contestant, Work
from perf.quality.judge import Judge, pass_verdict
from pixels.sniff import sniff

Made = TypeVar("Made")
#: The most passes through the pictures in one turn.
_MAX_PASSES: Final = 32
#: A work whose turns are long, because a pass is, has fewer rounds.
_MIN_ROUNDS: Final = 3
_MAX_WORK_S: Final = 90.0
_NOT_MATCHED: Final = 1.05


class Row(msgspec.Struct, frozen=True):
    """What one contestant did.

    Attributes
    ----------
    images_per_s, cpu_ms
        Of each round.
    bytes, distances, qualities
        Of each picture. Distances are empty where the result has another size than the source; a quality is None where
        ours chose it.
    """

    title: str
    images_per_s: list[float]
    cpu_ms: list[float]
    bytes: list[int]
    distances: list[float]
    qualities: list[int | None]


class Found(msgspec.Struct, frozen=True):
    """What came out of one work; who came to nothing, and why, is in `notes`."""

    pictures: list[str]
    rows: list[Row]
    notes: list[str]


class _Entry(NamedTuple):
    contestant: Contestant
    #: By the name of the picture.
    results: dict[str, Matched]


def do_work(
    work: Work,
    contestants: Sequence[Contestant],
    pictures: Sequence[Picture],
    judge: Judge,
    *,
    rounds: int,
    turn_s: float,
) -> Found:
    """Do `work` in at most `rounds` rounds, in each of which every contestant has a turn of about `turn_s` seconds.

    A turn is one or more passes through all the pictures. The order of turns rotates from round to round.
    """
    notes: list[str] = []
    entries = _settle(work, contestants, pictures, judge, notes)
    pictures = [picture for picture in pictures if all(picture.name in entry.results for entry in entries)]
    if not pictures:
        return Found([], [], notes)
    turns: dict[str, list[Turn]] = {entry.contestant.title: [] for entry in entries}

    def take_turn(entry: _Entry, passes: int) -> Turn | None:
        tasks = [
            (picture, entry.contestant.task(work, entry.results[picture.name].quality))
            for _ in range(passes)
            for picture in pictures
        ]
        return _attempt(lambda: entry.contestant.peer.work(tasks), entry.contestant, notes)

    passes, round_s = {}, 0.0
    for entry in entries:
        # The first pass warms up; the second tells how long one takes.
        turn = take_turn(entry, 1) and take_turn(entry, 1)
        if turn:
            count = max(1, min(_MAX_PASSES, round(turn_s / turn.wall_s)))
            passes[entry.contestant.title] = count
            round_s += count * turn.wall_s
    running = [entry for entry in entries if entry.contestant.title in passes]
    if round_s:
        rounds = min(rounds, max(_MIN_ROUNDS, int(_MAX_WORK_S / round_s)))
    for number in range(rounds):
        start = number % max(1, len(running))
        for entry in [*running[start:], *running[:start]]:
            turn = take_turn(entry, passes[entry.contestant.title])
            if turn:
                turns[entry.contestant.title].append(turn)
    # Who missed a turn cannot be paired with the others round by round.
    whole = [entry for entry in running if len(turns[entry.contestant.title]) == rounds]
    rows = [_sum_up(entry, turns[entry.contestant.title], pictures, with_distance=not work.box) for entry in whole]
    return Found([picture.name for picture in pictures], rows, list(dict.fromkeys(notes)))


def _settle(
    work: Work, contestants: Sequence[Contestant], pictures: Sequence[Picture], judge: Judge, notes: list[str]
) -> list[_Entry]:
    """Find the quality and the result of each picture for each contestant."""
    settled: dict[tuple[str, str], dict[str, Matched]] = {}
    targets: dict[str, Matched] = {}
    entries = []
    for contestant in contestants:
        results = settled.get(contestant.encoder)
        if results is None:
            results = _attempt(partial(_settle_all, work, contestant, pictures, targets, judge), contestant, notes)
        if results is None:
            continue
        settled[contestant.encoder] = results
        if contestant.means == "smart":
            targets = results
            notes += [f"{name}: ours returned the source, which cannot be matched." for name in _find_kept(results)]
        elif targets:
            notes += _find_unmatched(contestant, results, targets)
        entries.append(_Entry(contestant, results))
    return entries


def _settle_all(
    work: Work, contestant: Contestant, pictures: Sequence[Picture], targets: dict[str, Matched], judge: Judge
) -> dict[str, Matched]:
    with ThreadPoolExecutor(WORKERS) as pool:
        found = pool.map(lambda one: _settle_one(work, contestant, one, targets.get(one.name), judge), pictures)
        return {picture.name: one for picture, one in zip(pictures, found, strict=True) if one}


def _settle_one(
    work: Work, contestant: Contestant, picture: Picture, target: Matched | None, judge: Judge
) -> Matched | None:
    def encode(quality: int | None) -> bytes:
        data = contestant.peer.fetch(picture, contestant.task(work, quality))
        kind = sniff(data)
        if kind is None or kind.format != work.format:
            raise RuntimeError(f"made no {work.format.upper()}")
        return data

    if work.quality is None and contestant.means != "smart":
        if target is None:
            raise RuntimeError("ours made nothing that it could be matched to")
        return match(picture, work.format, encode, target, judge)
    data = encode(work.quality)
    distance = 0.0 if work.box else pass_verdict(judge, picture.image, data, work.format)
    return Matched(work.quality, data, distance)


def _attempt(do: Callable[[], Made], contestant: Contestant, notes: list[str]) -> Made | None:
    try:
        return do()
    except RuntimeError as error:
        notes.append(f"{contestant.title}: {error}.")
        return None


def _find_kept(results: dict[str, Matched]) -> list[str]:
    return [name for name, one in results.items() if one.distance < LEAST_DISTANCE]


def _find_unmatched(contestant: Contestant, results: dict[str, Matched], targets: dict[str, Matched]) -> list[str]:
    off = {name: one.distance / targets[name].distance for name, one in results.items()}
    return [
        f"{contestant.title} does not come nearer than {ratio:.2f} times the distance on {name}."
        for name, ratio in off.items()
        if not 1 / _NOT_MATCHED < ratio < _NOT_MATCHED
    ]


def _sum_up(entry: _Entry, turns: Sequence[Turn], pictures: Sequence[Picture], *, with_distance: bool) -> Row:
    results = [entry.results[picture.name] for picture in pictures]
    return Row(
        entry.contestant.title,
        [round(turn.images_per_s, 2) for turn in turns],
        [round(turn.cpu_ms, 2) for turn in turns],
        [len(one.data) for one in results],
        [round(one.distance, 4) for one in results] if with_distance else [],
        [one.quality for one in results],
    )
