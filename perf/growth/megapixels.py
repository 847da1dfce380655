"""CPU a megapixel from small pictures to large ones, through the service, at fixed qualities and smart."""

import math
import random
from collections.abc import Sequence
from typing import Final

from perf.bare import photograph
from perf.growth.result import Curve, Finding, Growth, Point
from perf.running import NO_REUSE, RunningService

SIZES_MP: Final = (0.1, 0.3, 1.0, 3.0, 10.0, 24.0, 40.0)
FIXED: Final = {"jpeg": "75", "webp": "75", "avif": "60"}
#: Every size is answered at once, so that one process tree does all of it; what jobs are given, it is given.
SETTINGS: Final = NO_REUSE | {
    "SYNC_MAX_BYTES": "26214400",
    "ENCODE_DEADLINE_S": "240",
    "SMART_SEARCH_S": "30",
    "WAIT_TIMEOUT_S": "240",
}
#: A turn sends about so many megapixels, within bounds: enough that the clock's steps and idle ticks do not count.
_TURN_MP: Final = 4.0
_MOST_REQUESTS: Final = 40
_MOST_APART: Final = 1.2


def measure(rounds: int, sizes_mp: Sequence[float] = SIZES_MP, formats: Sequence[str] = tuple(FIXED)) -> Growth:
    """Send drawn photographs of equal detail of all sizes to all formats, in another order each round."""
    pictures = {size_mp: photograph(*find_sides(size_mp)) for size_mp in sizes_mp}
    works = {
        f"{name} {mode}": {"format": name} | ({} if mode == "smart" else {"quality": FIXED[name]})
        for name in formats
        for mode in ("fixed", "smart")
    }
    found: dict[tuple[str, float], list[float]] = {(title, size): [] for title in works for size in sizes_mp}
    order = random.Random(1)  # noqa: S311 - it has to be repeatable
    with RunningService(SETTINGS) as service:
        for fields in works.values():
            service.compress_many(pictures[min(sizes_mp)], fields, requests=4, clients=2)
        for _ in range(rounds):
            for title, size_mp in order.sample(list(found), len(found)):
                clients = 2 if size_mp <= 1 else 1
                requests = clients * count_requests(size_mp, clients)
                begun_s = service.cpu_s()
                service.compress_many(pictures[size_mp], works[title], requests=requests, clients=clients)
                spent_ms = 1e3 * (service.cpu_s() - begun_s)
                width, height = find_sides(size_mp)
                found[title, size_mp].append(spent_ms / requests / (width * height / 1e6))
    curves = [Curve(title, [Point.of(size_mp, found[title, size_mp]) for size_mp in sizes_mp]) for title in works]
    return Growth.now(
        "megapixels",
        at="megapixels",
        value="CPU ms a megapixel, whole process tree",
        curves=curves,
        findings=[find_range(curve, from_mp) for curve in curves for from_mp in (min(sizes_mp), 1.0)],
        notes=[
            *(f"{curve.title}: about {find_fixed_ms(curve):.1f} ms a request whatever its size" for curve in curves),
            f"{rounds} rounds; drawn photographs of equal detail, as JPEG",
        ],
    )


def find_sides(megapixels: float) -> tuple[int, int]:
    """Return width and height of a picture of 3:2."""
    height = math.sqrt(megapixels * 1e6 / 1.5)
    return round(1.5 * height), round(height)


def count_requests(size_mp: float, clients: int) -> int:
    """Return how many requests of a size each client sends in a turn."""
    return max(1, min(_MOST_REQUESTS, round(_TURN_MP / size_mp / clients)))


def find_fixed_ms(curve: Curve) -> float:
    """Return the CPU of a request without its pixels: where the line through the two smallest sizes begins."""
    if len(curve.points) < 2:
        return 0.0
    (small, small_ms), (next_one, next_ms) = ((point.at, point.at * point.value) for point in curve.points[:2])
    return small_ms - small * (next_ms - small_ms) / (next_one - small)


def find_range(curve: Curve, from_mp: float) -> Finding:
    """Return the dearest megapixel over the cheapest, of the pictures of that size and over."""
    values = [point.value for point in curve.points if point.at >= from_mp]
    text = f"{curve.title}: the dearest over the cheapest megapixel, from {from_mp:g} MP on"
    return Finding(text, round(max(values) / min(values), 3), _MOST_APART)
