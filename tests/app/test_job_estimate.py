"""Estimates: right within a factor of 2 where the queue is loaded, and learnt from what jobs took."""

import asyncio
import heapq
import itertools
import random
from pathlib import Path
from typing import NamedTuple

import pytest

from app.adapters import redis_jobs
from app.adapters.redis_jobs import RedisJobs
from app.ports.jobs import Claim, Job, Lane
from pixels.formats import FormatName
from pixels.options import Options
from tests.app.queues import MIB, OUTCOME, claim_next, make_job, queueing, run

S_PER_MIB = {"jpeg": 0.4, "avif": 1.2}


@pytest.fixture(autouse=True)
def _be_patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no claim be too late: a busy machine must not change what is simulated."""
    monkeypatch.setattr(redis_jobs, "_PATIENCE_MS", 60_000)


class Arrival(NamedTuple):
    at_s: float
    account: str
    lane: Lane
    size_mib: float
    format: FormatName = "jpeg"


def arrive(
    jobs: int, *, accounts: int = 1, within_s: float = 0.0, lane: Lane = "paid", mib: tuple[float, float] = (5.0, 5.0)
) -> list[Arrival]:
    dice = random.Random(1)  # noqa: S311  repeatable, no secret
    return [
        Arrival(dice.uniform(0, within_s), f"account{number % accounts}", lane, dice.uniform(*mib))
        for number in range(jobs)
    ]


async def simulate(jobs: RedisJobs, arrivals: list[Arrival], *, slots: int, spread: float) -> list[float]:
    """Run workers on a clock of its own, every step of theirs through Redis; return estimate / truth.

    Each job takes what its bytes make expect, times a random factor that is e**`spread` at one standard deviation.
    Where there is one, jobs that hardly have to wait are left out: their ends are as uncertain as the factor.
    """
    await jobs.announce("worker", slots=slots)
    dice = random.Random(2)  # noqa: S311  repeatable, no secret
    order = itertools.count()
    to_come = sorted(arrivals)
    running: list[tuple[float, int, float, Claim]] = []
    estimates: dict[str, float] = {}
    came_s: dict[str, float] = {}
    ratios: list[float] = []
    while to_come or running:
        now_s = min([*(arrival.at_s for arrival in to_come[:1]), *(end[0] for end in running[:1])])
        if running and running[0][0] == now_s:
            _, _, cost_s, claim = heapq.heappop(running)
            assert await jobs.finish(claim, OUTCOME, took_s=cost_s)
            if not spread or estimates[claim.job.id] > 3 * expect_s(claim.job):
                ratios.append(estimates[claim.job.id] / (now_s - came_s[claim.job.id]))
        while to_come and to_come[0].at_s == now_s:
            arrival = to_come.pop(0)
            job = make_job(
                f"{next(order)}",
                account=arrival.account,
                lane=arrival.lane,
                original_size=int(arrival.size_mib * MIB),
                options=Options(format=arrival.format),
            )
            came_s[job.id] = now_s
            estimates[job.id] = await jobs.submit(job)
        while len(running) < slots and (claim := await jobs.claim("worker", wait_s=0)):
            cost_s = expect_s(claim.job) * dice.lognormvariate(-(spread**2) / 2, spread)
            heapq.heappush(running, (now_s + cost_s, next(order), cost_s, claim))
    return ratios


def expect_s(job: Job) -> float:
    """Return the seconds that a job takes, but for chance."""
    return job.original_size / MIB * S_PER_MIB[job.options.format]


@pytest.mark.parametrize("spread", [0.0, 0.5])
@pytest.mark.parametrize(
    ("arrivals", "slots"),
    [
        pytest.param(arrive(50), 2, id="one account has more than its cap, and few slots"),
        pytest.param(arrive(50), 10, id="one account has more than its cap, and slots enough"),
        pytest.param(arrive(80, accounts=20, mib=(2, 25)), 4, id="many accounts at once"),
        pytest.param(arrive(80, accounts=20, mib=(2, 10), within_s=32), 4, id="1.5 times what can be done"),
        pytest.param(
            arrive(60) + [arrival._replace(account="light") for arrival in arrive(30, within_s=40)],
            4,
            id="one account at once, then another by and by",
        ),
        pytest.param(arrive(80, accounts=20, lane="free"), 4, id="free alone"),
        pytest.param(
            [
                arrival
                for pair in zip(arrive(30, accounts=20), arrive(30, accounts=20), strict=True)
                for arrival in (pair[0], pair[1]._replace(format="avif"))
            ],
            4,
            id="fast and slow formats",
        ),
    ],
)
@pytest.mark.usefixtures("valkey")
def test_an_estimate_is_right_within_a_factor_of_2(
    short_folder: Path, arrivals: list[Arrival], slots: int, spread: float
) -> None:
    async def scenario() -> None:
        async with queueing(f"unix://{short_folder / 's'}", most_of_account=8) as jobs:
            ratios = await simulate(jobs, arrivals, slots=slots, spread=spread)
            assert len(ratios) > len(arrivals) / 2
            assert min(ratios) >= 0.5
            assert max(ratios) <= 2

    run(scenario())


def test_estimates_know_that_paid_goes_first_but_for_every_fifth(redis_address: str) -> None:
    async def scenario() -> None:
        async with queueing(redis_address) as jobs:
            await jobs.announce("worker", slots=1)
            size = {"original_size": 10 * MIB, "options": Options(format="jpeg")}
            own_s = await jobs.submit(make_job("running", **size))
            await claim_next(jobs)
            for number in range(20):
                await jobs.submit(make_job(f"p{number}", **size))
            # Half of the running one, 20 paid, itself.
            assert await jobs.submit(make_job("first", lane="free", **size)) == pytest.approx(own_s * (0.5 + 4 + 1))
            assert await jobs.submit(make_job("second", lane="free", **size)) == pytest.approx(own_s * (0.5 + 9 + 1))
            # 2 of free come between.
            assert await jobs.submit(make_job("paid", **size)) == pytest.approx(own_s * (0.5 + 20 + 2 + 1))

    run(scenario())


def test_what_jobs_took_is_learnt_for_each_kind_of_work(redis_address: str) -> None:
    async def scenario() -> None:
        async with queueing(redis_address) as jobs:
            smart, asked = Options(format="webp"), Options(format="webp", quality=80)

            async def end_one(options: Options, *, took_s: float) -> float:
                """Take a job through the empty queue; return its estimate."""
                estimate_s = await jobs.submit(make_job(f"{next(numbers)}", options=options))
                claim = await claim_next(jobs)
                await jobs.finish(claim, OUTCOME, took_s=took_s)
                return estimate_s

            numbers = itertools.count()
            at_first = await end_one(asked, took_s=0.001)
            for _ in range(50):
                await end_one(smart, took_s=70)
            assert await end_one(smart, took_s=70) == pytest.approx(70, rel=0.05)
            assert await end_one(asked, took_s=0.001) < at_first
            # The latest count most.
            for _ in range(50):
                await end_one(smart, took_s=20)
            assert await end_one(smart, took_s=20) == pytest.approx(20, rel=0.05)

    run(scenario())


def test_the_slots_of_workers_count_until_they_retire_or_fall_silent(
    redis_address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        async with queueing(redis_address, most_of_account=1000) as jobs:

            async def estimate() -> float:
                """Estimate one more job, in times of what it takes itself."""
                job = make_job(f"{next(numbers)}", account="other")
                return await jobs.submit(job) / own_s

            numbers = itertools.count()
            own_s = await jobs.submit(make_job("first"))
            for number in range(199):
                await jobs.submit(make_job(f"job{number}"))
            assert await estimate() == pytest.approx(1 + 200, rel=0.03)
            await jobs.announce("one", slots=3)
            await jobs.announce("one", slots=3)
            await jobs.announce("two", slots=1)
            assert await estimate() == pytest.approx(1 + 50, rel=0.03)
            await jobs.retire("one")
            monkeypatch.setattr(redis_jobs, "ANNOUNCE_S", 0.05)
            await jobs.announce("short", slots=9)
            assert await estimate() == pytest.approx(1 + 20, rel=0.03)
            await asyncio.sleep(0.2)
            assert await estimate() == pytest.approx(1 + 200, rel=0.03)

    run(scenario())
