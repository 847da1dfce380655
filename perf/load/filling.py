"""Fills a CDN origin before its hits are measured."""

import asyncio
from collections.abc import Iterable
from typing import Final

from perf.load.client import Client
from perf.load.samples import judge
from perf.load.visits import Visit

#: More would be answered with what there is in time, and be asked for again.
_AT_A_TIME: Final = 4
_ASK_AGAIN_S: Final = 0.2
_MOST_S: Final = 600.0


class Unfilled(Exception):
    """The service does not answer with a picture, or not with its final variant in ten minutes."""


async def fill(client: Client, visits: Iterable[Visit]) -> None:
    """Ask for each until its answer is final.

    Raises
    ------
    Unfilled
        See there.
    """
    waiting, problems = iter(visits), list[str]()

    async def ask_on() -> None:
        for visit in waiting:
            while not problems and (outcome := await client.send(visit)).variant != "final":
                if judge(outcome.label) in {"rejected", "failed"}:
                    problems.append(f"a picture is answered with {outcome.label}")
                await asyncio.sleep(_ASK_AGAIN_S)

    try:
        async with asyncio.timeout(_MOST_S), asyncio.TaskGroup() as group:
            for _ in range(_AT_A_TIME):
                group.create_task(ask_on())
    except TimeoutError:
        problems.append(f"the pictures are not all made in {_MOST_S:.0f} s")
    if problems:
        raise Unfilled(f"The service cannot be asked for what it keeps: {problems[0]}.")
