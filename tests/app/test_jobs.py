"""The queue: no job is lost or ended twice, whoever dies; the lanes are fair; the depth is exact."""

import asyncio
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
import redis

from app.adapters import redis_jobs
from app.adapters.embedded import EmbeddedValkey
from app.adapters.redis_jobs import RedisJobs
from app.ports.jobs import KEEP_ORDER_S, MOST_DELIVERIES, Claim, Failure, Jobs, JobsUnavailable, LaneState
from tests.app.queues import NOWHERE, OUTCOME, claim_next, make_job, queueing, run, sending
from tests.conftest import SERVERS, find_program

#: A test can wait for its end, and no machine stands still for so long between a claim and the next step.
LEASE_S = 1.0
#: Another process: claims one job, says so, and does nothing more.
CLAIMER = """
import asyncio, sys
from tests.app.queues import queueing

async def main():
    async with queueing(sys.argv[1]) as jobs:
        claim = await jobs.claim("claimer", wait_s=30)
        print(claim.job.id, flush=True)
        sys.stdin.readline()

asyncio.run(main())
"""
#: Makes every sync of a file take 0.25 s: Valkey holds its writes back meanwhile.
SLOW_SYNC = """
#include <unistd.h>
int fdatasync(int file) { (void)file; return usleep(250000); }
"""


@pytest.fixture(autouse=True)
def _ask_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let short leases end soon."""
    monkeypatch.setattr(redis_jobs, "_POLL_S", 0.02)


async def claim_ids(jobs: Jobs, number: int) -> list[str]:
    """Claim so many jobs; return their ids."""
    return [(await claim_next(jobs)).job.id for _ in range(number)]


def test_a_job_is_claimed_finished_and_found_with_its_outcome(redis_address: str) -> None:
    async def scenario() -> None:
        async with queueing(redis_address) as jobs, queueing(redis_address) as elsewhere:
            job = make_job(source_parts=3)
            assert await jobs.submit(job) > 0
            assert await elsewhere.find("job") == job
            claim = await claim_next(elsewhere)
            assert (claim.job, claim.delivery) == (job, 1)
            before = time.time()
            assert await elsewhere.finish(claim, OUTCOME, took_s=1)
            found = await jobs.find("job")
            assert found is not None
            assert (found.state, found.outcome, found.failure) == ("complete", OUTCOME, None)
            assert found.finished is not None
            assert before - 0.01 <= found.finished <= time.time() + 0.01
            assert found.expires == found.finished + 24 * 3600
            assert await jobs.claim("worker", wait_s=0) is None

    run(scenario())


def test_a_failure_is_kept_like_an_outcome(redis_address: str) -> None:
    async def scenario() -> None:
        async with queueing(redis_address) as jobs:
            await jobs.submit(make_job())
            failure = Failure("decode_failed", "The file is broken.")
            assert await jobs.finish(await claim_next(jobs), failure, took_s=1)
            found = await jobs.find("job")
            assert found is not None
            assert (found.state, found.outcome, found.failure) == ("failed", None, failure)

    run(scenario())


def test_the_same_id_fifty_times_at_once_is_one_job(redis_address: str) -> None:
    async def scenario() -> None:
        async with queueing(redis_address) as jobs:
            await asyncio.gather(*[jobs.submit(make_job()) for _ in range(50)])
            assert await jobs.depth() == {"paid": 1, "free": 0}
            claim = await claim_next(jobs)
            await jobs.submit(make_job())
            assert await jobs.claim("worker", wait_s=0) is None
            await jobs.finish(claim, OUTCOME, took_s=1)
            assert await jobs.submit(make_job()) == 0
            assert await jobs.depth() == {"paid": 0, "free": 0}

    run(scenario())


def test_the_depth_is_exact_whatever_happens(redis_address: str) -> None:
    """Random steps beside a model that only counts."""

    async def scenario() -> None:
        dice = random.Random(4)  # noqa: S311  repeatable, no secret
        unfinished = Counter({"paid": 0, "free": 0})
        claims: list[Claim] = []
        async with queueing(redis_address, most_of_account=3) as jobs:
            for number in range(300):
                step = dice.random()
                if step < 0.4:
                    job = make_job(f"{number}", account=dice.choice("abc"), lane=dice.choice(["paid", "free"]))
                    await jobs.submit(job)
                    unfinished[job.lane] += 1
                elif step < 0.65:
                    claim = await jobs.claim("worker", wait_s=0)
                    claims += [claim] if claim else []
                elif claims:
                    claim = claims.pop(dice.randrange(len(claims)))
                    if step < 0.9:
                        assert await jobs.finish(claim, OUTCOME, took_s=1)
                        unfinished[claim.job.lane] -= 1
                    else:
                        await jobs.hand_back(claim)
                assert await jobs.depth() == unfinished
            for claim in claims:
                await jobs.hand_back(claim)
            for _ in range(unfinished.total()):
                assert await jobs.finish(await claim_next(jobs), OUTCOME, took_s=1)
            assert await jobs.depth() == {"paid": 0, "free": 0}
            with redis.Redis.from_url(redis_address) as client:
                load = client.hgetall("{cz}:jobs:load")
                assert {int(number) for name, number in load.items() if b":" in name} == {0}
                assert client.keys("{cz}:jobs:load:*") == []

    run(scenario())


def test_paid_goes_first_and_every_fifth_job_is_free(redis_address: str) -> None:
    async def scenario() -> None:
        async with queueing(redis_address) as jobs:
            for number in range(12):
                await jobs.submit(make_job(f"p{number}", lane="paid"))
                await jobs.submit(make_job(f"f{number}", lane="free"))
            claimed = await claim_ids(jobs, 24)
            assert "".join(job_id[0] for job_id in claimed) == "ppppfppppfppppfffffffffff"[:24]
            for letter in "pf":
                assert [job_id for job_id in claimed if job_id[0] == letter] == [f"{letter}{n}" for n in range(12)]

    run(scenario())


def test_free_is_served_at_once_while_paid_is_idle(redis_address: str) -> None:
    async def scenario() -> None:
        async with queueing(redis_address) as jobs:
            for number in range(3):
                await jobs.submit(make_job(f"{number}", lane="free"))
            assert await claim_ids(jobs, 3) == ["0", "1", "2"]

    run(scenario())


def test_an_account_at_its_cap_waits_in_order_and_nobody_waits_for_it(redis_address: str) -> None:
    async def scenario() -> None:
        async with queueing(redis_address, most_of_account=2) as jobs:
            for number in range(5):
                await jobs.submit(make_job(f"heavy{number}", account="heavy"))
            for number in range(2):
                await jobs.submit(make_job(f"light{number}", account="light"))
            claims = [await claim_next(jobs) for _ in range(4)]
            assert [claim.job.id for claim in claims] == ["heavy0", "heavy1", "light0", "light1"]
            assert await jobs.claim("worker", wait_s=0) is None
            assert await jobs.depth() == {"paid": 7, "free": 0}
            # One ends, one comes in; a failure counts like an outcome.
            for ended, admitted in ((1, "heavy2"), (0, "heavy3")):
                await jobs.finish(claims[ended], Failure("decode_failed", ""), took_s=1)
                assert await claim_ids(jobs, 1) == [admitted]
                assert await jobs.claim("worker", wait_s=0) is None
            # To hand one back lets no other in.
            await jobs.hand_back(claims[2])
            assert await claim_ids(jobs, 1) == ["light0"]

    run(scenario())


def test_an_accounts_own_jobs_do_not_wait_for_its_orders(redis_address: str) -> None:
    """However many of these there are; and orders are held to the same cap among themselves."""

    async def scenario() -> None:
        async with queueing(redis_address, most_of_account=1) as jobs:
            for number in range(3):
                await jobs.submit(make_job(f"order{number}", lane="free", order=b"variant"))
            await jobs.submit(make_job("paid"))
            lanes = await jobs.lanes()
            assert (lanes["paid"].held, lanes["free"].held) == (0, 2)
            ended = []
            for _ in range(4):
                claim = await claim_next(jobs)
                assert await jobs.finish(claim, OUTCOME, took_s=1)
                ended.append(claim.job.id)
            assert ended == ["paid", "order0", "order1", "order2"]
            assert await jobs.depth() == {"paid": 0, "free": 0}

    run(scenario())


def test_the_record_of_an_order_goes_soon(redis_address: str) -> None:
    async def scenario() -> None:
        async with queueing(redis_address) as jobs:
            await jobs.submit(make_job(lane="free", order=b"variant"))
            assert await jobs.finish(await claim_next(jobs), OUTCOME, took_s=1)
            job = await jobs.find("job")
            assert job is not None
            assert job.finished is not None
            assert job.expires == pytest.approx(job.finished + KEEP_ORDER_S)

    run(scenario())


def test_the_cap_of_a_worker_that_died_is_free_again_once_its_job_has_ended(redis_address: str) -> None:
    async def scenario() -> None:
        async with queueing(redis_address, most_of_account=1, lease_s=LEASE_S) as jobs:
            await jobs.submit(make_job("first"))
            await jobs.submit(make_job("second"))
            abandoned = await claim_next(jobs)
            again = await claim_next(jobs)
            assert (again.job.id, again.delivery) == ("first", 2)
            await jobs.finish(again, OUTCOME, took_s=1)
            assert not await jobs.finish(abandoned, OUTCOME, took_s=1)
            assert await claim_ids(jobs, 1) == ["second"]
            assert await jobs.claim("worker", wait_s=0) is None

    run(scenario())


def test_a_zombie_ends_extends_and_hands_back_nothing(redis_address: str) -> None:
    async def scenario() -> None:
        async with queueing(redis_address, lease_s=LEASE_S) as jobs:
            await jobs.submit(make_job(webhook_url="https://example.com/hook"))
            zombie = await claim_next(jobs)
            heir = await claim_next(jobs)
            assert heir.delivery == 2
            assert not await jobs.extend(zombie)
            assert not await jobs.finish(zombie, Failure("compression_failed", "zombie"), took_s=1)
            await jobs.hand_back(zombie)
            found = await jobs.find("job")
            assert found is not None
            assert found.state == "processing"
            assert await jobs.extend(heir)
            assert await jobs.finish(heir, OUTCOME, took_s=1)
            assert not await jobs.finish(zombie, Failure("compression_failed", "zombie"), took_s=1)
            found = await jobs.find("job")
            assert found is not None
            assert found.outcome == OUTCOME

    run(scenario())


def test_to_finish_again_is_told_true_and_changes_nothing(redis_address: str) -> None:
    """The answer to the first call may have been lost."""

    async def scenario() -> None:
        async with queueing(redis_address) as jobs, sending(redis_address) as deliveries:
            await jobs.submit(make_job(webhook_url="https://example.com/hook"))
            claim = await claim_next(jobs)
            assert await jobs.finish(claim, OUTCOME, took_s=1)
            found = await jobs.find("job")
            assert await jobs.finish(claim, Failure("compression_failed", "again"), took_s=1)
            assert await jobs.find("job") == found
            assert await jobs.extend(claim)
            await jobs.hand_back(claim)
            assert await jobs.claim("worker", wait_s=0) is None
            assert len(await deliveries.list()) == 1

    run(scenario())


def test_a_claim_that_is_extended_is_nobody_elses_and_stays_its_first_delivery(redis_address: str) -> None:
    async def scenario() -> None:
        async with queueing(redis_address, lease_s=2) as jobs, queueing(redis_address, lease_s=2) as others:
            await jobs.submit(make_job())
            claim = await claim_next(jobs)
            stealing = asyncio.create_task(claim_next(others))
            for _ in range(22):
                await asyncio.sleep(0.1)
                assert await jobs.extend(claim)
            assert not stealing.done()
            with redis.Redis.from_url(redis_address) as client:
                (pending,) = client.xpending_range("{cz}:jobs:paid", "workers", "-", "+", 2)
                assert pending["times_delivered"] == 1
            stealing.cancel()

    run(scenario())


def test_a_job_handed_back_is_at_once_anothers_and_has_lost_no_delivery(redis_address: str) -> None:
    async def scenario() -> None:
        async with queueing(redis_address) as jobs, queueing(redis_address) as others:
            await jobs.submit(make_job())
            for _ in range(2 * MOST_DELIVERIES):
                claim = await claim_next(jobs)
                assert claim.delivery == 1
                await jobs.hand_back(claim)
                assert not await jobs.extend(claim)
            heir = await claim_next(others)
            assert not await jobs.finish(claim, OUTCOME, took_s=1)
            assert await others.finish(heir, OUTCOME, took_s=1)

    run(scenario())


def test_a_job_whose_workers_die_three_times_fails_and_blocks_nobody(redis_address: str) -> None:
    async def scenario() -> None:
        async with (
            queueing(redis_address, lease_s=LEASE_S, most_of_account=1) as jobs,
            sending(redis_address) as deliveries,
        ):
            await jobs.submit(make_job("poison", webhook_url="https://example.com/hook"))
            await jobs.submit(make_job("next"))
            for delivery in range(1, MOST_DELIVERIES + 1):
                claim = await claim_next(jobs)
                assert (claim.job.id, claim.delivery) == ("poison", delivery)
            after = await claim_next(jobs)
            assert after.job.id == "next"
            found = await jobs.find("poison")
            assert found is not None
            assert found.failure is not None
            assert (found.state, found.failure.code) == ("failed", "compression_failed")
            assert jobs.poisoned == 1
            assert [delivery.job for delivery in await deliveries.due(most=10, lease_s=60)] == [found]
            assert not await jobs.finish(claim, OUTCOME, took_s=1)
            assert await jobs.depth() == {"paid": 1, "free": 0}

    run(scenario())


@pytest.mark.usefixtures("valkey")
def test_workers_that_forget_a_third_of_their_claims_end_every_job_once(short_folder: Path) -> None:
    address = f"unix://{short_folder / 's'}"
    ids = [f"job{number}" for number in range(200)]
    ended: Counter[str] = Counter()
    forgotten: list[Claim] = []

    async def work(name: int) -> None:
        dice = random.Random(name)  # noqa: S311  repeatable, no secret
        async with queueing(address, lease_s=LEASE_S, most_of_account=20) as jobs:
            while ended.total() < len(ids):
                claim = await jobs.claim(f"worker{name}", wait_s=0.1)
                if claim is None:
                    continue
                if claim.delivery < MOST_DELIVERIES and dice.random() < 0.3:
                    forgotten.append(claim)
                elif dice.random() < 0.1:
                    await jobs.hand_back(claim)
                elif await jobs.finish(claim, OUTCOME, took_s=0.1):
                    ended[claim.job.id] += 1

    async def scenario() -> None:
        async with queueing(address, most_of_account=20) as jobs:
            await asyncio.gather(
                *[
                    jobs.submit(make_job(job_id, account=job_id[-1], lane="free" if job_id[-1] in "02" else "paid"))
                    for job_id in ids
                ]
            )
            await asyncio.gather(*map(work, range(6)))
            assert len(forgotten) > 30
            assert ended == Counter(ids)
            assert not any([await jobs.finish(claim, OUTCOME, took_s=0.1) for claim in forgotten])
            assert await jobs.depth() == {"paid": 0, "free": 0}

    run(scenario())


@pytest.mark.usefixtures("valkey")
def test_kill_9_of_a_worker_gives_its_job_to_another(short_folder: Path) -> None:
    async def scenario() -> None:
        address = f"unix://{short_folder / 's'}"
        async with queueing(address, lease_s=LEASE_S) as jobs:
            await jobs.submit(make_job())
            worker = subprocess.Popen(  # noqa: ASYNC220  nothing else is under way
                [sys.executable, "-c", CLAIMER, address], stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
            try:
                assert await asyncio.to_thread(worker.stdout.readline) == b"job\n"
            finally:
                worker.kill()
                worker.communicate()
            again = await claim_next(jobs)
            assert (again.job.id, again.delivery) == ("job", 2)

    run(scenario())


def test_a_claim_waits_for_a_job_to_come(redis_address: str) -> None:
    async def scenario() -> None:
        async with queueing(redis_address) as jobs:
            waiting = asyncio.create_task(claim_next(jobs))
            await asyncio.sleep(0.1)
            assert not waiting.done()
            await jobs.submit(make_job())
            assert (await waiting).job.id == "job"

    run(scenario())


def test_a_claim_that_is_cancelled_takes_nothing(redis_address: str) -> None:
    async def scenario() -> None:
        async with queueing(redis_address) as jobs:
            await jobs.submit(make_job())
            taken = 0
            for turns in range(40):
                claiming = asyncio.create_task(jobs.claim("worker", wait_s=0))
                for _ in range(turns):
                    await asyncio.sleep(0)
                claiming.cancel()
                with suppress(asyncio.CancelledError):
                    if claim := await claiming:
                        taken += 1
                        await jobs.hand_back(claim)
                with redis.Redis.from_url(redis_address) as client:
                    pending = client.xpending_range("{cz}:jobs:paid", "workers", "-", "+", 1, idle=1000)
                    assert len(pending) == client.xpending("{cz}:jobs:paid", "workers")["pending"]
            assert taken < 40
            assert (await claim_next(jobs)).delivery == 1

    run(scenario())


def test_an_outage_of_redis_is_not_the_death_of_all_workers(valkey: EmbeddedValkey, short_folder: Path) -> None:
    async def scenario() -> None:
        address = f"unix://{short_folder / 's'}"
        async with queueing(address, lease_s=1) as jobs, queueing(address, lease_s=1) as others:
            await jobs.submit(make_job())
            claim = await claim_next(jobs)
            stealing = asyncio.create_task(claim_next(others))
            for _ in range(8):
                await asyncio.sleep(0.1)
                await jobs.extend(claim)
            os.kill(valkey.pid, signal.SIGSTOP)
            await asyncio.sleep(1.5)
            os.kill(valkey.pid, signal.SIGCONT)
            # The other worker's question waits at the socket; it and the next come before this worker speaks.
            await asyncio.sleep(0.1)
            assert await jobs.extend(claim)
            assert not stealing.done()
            await jobs.hand_back(claim)
            assert (await stealing).delivery == 1

    run(scenario())


def test_a_record_that_is_gone_does_not_stop_its_lane(redis_address: str) -> None:
    async def scenario() -> None:
        async with queueing(redis_address, most_of_account=2) as jobs:
            for number in range(5):
                await jobs.submit(make_job(f"{number}"))
            with redis.Redis.from_url(redis_address) as client:
                client.delete("{cz}:job:0", "{cz}:job:3")
            assert await claim_ids(jobs, 2) == ["1", "2"]
            assert await jobs.claim("worker", wait_s=0) is None
            assert await jobs.depth() == {"paid": 4, "free": 0}

    run(scenario())


def test_all_names_are_in_one_hash_slot(redis_address: str) -> None:
    async def scenario() -> None:
        async with queueing(redis_address, most_of_account=1) as jobs:
            await jobs.announce("worker", slots=2)
            await jobs.reserve("reserved", for_s=60)
            for number in range(3):
                await jobs.submit(make_job(f"{number}", webhook_url="https://example.com", content_key="{x}"))
            await jobs.finish(await claim_next(jobs), OUTCOME, took_s=1)
        with redis.Redis.from_url(redis_address) as client:
            names = client.keys()
            assert len(names) > 10
            assert [name for name in names if not name.startswith(b"{cz}:")] == []

    run(scenario())


@pytest.mark.parametrize("server", SERVERS)
def test_kill_9_of_the_server_keeps_lanes_claims_and_what_is_held(server: str, short_folder: Path) -> None:
    address = f"unix://{short_folder / 's'}"

    async def before() -> list[Claim]:
        async with queueing(address, most_of_account=2) as jobs:
            for number in range(5):
                await jobs.submit(make_job(f"{number}", account=f"{number // 4}"))
            claims = [await claim_next(jobs) for _ in range(3)]
            await jobs.hand_back(claims.pop())
            assert await jobs.finish(claims[0], OUTCOME, took_s=1)
            return claims

    async def after(claims: list[Claim]) -> None:
        async with queueing(address, most_of_account=2) as jobs:
            assert await jobs.depth() == {"paid": 4, "free": 0}
            found = await jobs.find("0")
            assert found is not None
            assert found.state == "complete"
            assert await jobs.finish(claims[0], OUTCOME, took_s=1)
            assert await jobs.finish(claims[1], OUTCOME, took_s=1)
            last = [await claim_next(jobs) for _ in range(3)]
            assert [(claim.job.id, claim.delivery) for claim in last] == [("4", 1), ("2", 1), ("3", 1)]

    with EmbeddedValkey(short_folder, short_folder / "s", server=find_program(server)) as running:
        claims = asyncio.run(before())
        kill(running)
        running.start()
        run(after(claims))


def kill(server: EmbeddedValkey) -> None:
    pid = server.pid
    os.kill(pid, signal.SIGKILL)
    # Gone, but left to its launcher to reap.
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)


@pytest.fixture
def slow_sync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let servers that are started now sync slowly."""
    compiler = shutil.which("cc")
    if compiler is None or sys.platform != "linux":
        pytest.skip("needs a C compiler and Linux")
    library = tmp_path / "slow_sync.so"
    (tmp_path / "slow_sync.c").write_text(SLOW_SYNC)
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, tmp_path / "slow_sync.c"], check=True)
    monkeypatch.setenv("LD_PRELOAD", str(library))


@pytest.mark.usefixtures("slow_sync")
@pytest.mark.parametrize("step", ["submit", "finish"])
def test_kill_9_of_a_server_that_holds_writes_back_loses_nothing_acknowledged(short_folder: Path, step: str) -> None:
    address = f"unix://{short_folder / 's'}"

    async def step_while_it_holds_back(server: EmbeddedValkey) -> None:
        async with queueing(address) as jobs:
            await jobs.submit(make_job("finish"))
            claim = await claim_next(jobs)
            with redis.Redis(unix_socket_path=str(short_folder / "s")) as client:
                while not client.info("persistence")["aof_buffer_length"]:
                    client.set("something", "to hold back")
            if step == "submit":
                await jobs.submit(make_job("submit"))
            else:
                await jobs.finish(claim, OUTCOME, took_s=1)
            kill(server)

    async def look() -> None:
        async with queueing(address) as jobs:
            found = await jobs.find(step)
            assert found is not None
            assert found.state == {"submit": "processing", "finish": "complete"}[step]

    with EmbeddedValkey(short_folder, short_folder / "s") as server:
        run(step_while_it_holds_back(server))
        server.start()
        run(look())


@pytest.mark.usefixtures("slow_sync")
def test_a_write_that_stays_in_memory_is_not_acknowledged(short_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        async with queueing(f"unix://{short_folder / 's'}") as jobs:
            with redis.Redis(unix_socket_path=str(short_folder / "s")) as client:
                while not client.info("persistence")["aof_buffer_length"]:
                    client.set("something", "to hold back")
            with pytest.raises(JobsUnavailable, match="in its memory"):
                await jobs.submit(make_job())
            # The same id again, once the disk is back.
            monkeypatch.undo()
            await jobs.submit(make_job())
            assert await jobs.depth() == {"paid": 1, "free": 0}

    with EmbeddedValkey(short_folder, short_folder / "s"):
        monkeypatch.setattr(redis_jobs.wait_until_written, "__kwdefaults__", {"within_s": 0.05})
        run(scenario())


ASKING: list[Callable[[RedisJobs], object]] = [
    lambda jobs: jobs.reserve("job", for_s=1),
    lambda jobs: jobs.submit(make_job()),
    lambda jobs: jobs.keep([make_job(state="complete", finished=1.0, outcome=OUTCOME)]),
    lambda jobs: jobs.find("job"),
    lambda jobs: jobs.announce("worker", slots=1),
    lambda jobs: jobs.retire("worker"),
    lambda jobs: jobs.claim("worker", wait_s=30),
    lambda jobs: jobs.extend(Claim(make_job(), 1, 1)),
    lambda jobs: jobs.finish(Claim(make_job(), 1, 1), OUTCOME, took_s=1),
    lambda jobs: jobs.hand_back(Claim(make_job(), 1, 1)),
    lambda jobs: jobs.find_content("key"),
    lambda jobs: jobs.expired(most=1),
    lambda jobs: jobs.forget("job"),
    lambda jobs: jobs.depth(),
]


@pytest.mark.parametrize("ask", ASKING)
def test_while_redis_is_away_everything_is_unavailable_at_once(ask: Callable[[RedisJobs], object]) -> None:
    async def scenario() -> None:
        async with asyncio.timeout(20), queueing(NOWHERE) as jobs:
            for _ in range(10):
                with pytest.raises(JobsUnavailable):
                    await ask(jobs)

    asyncio.run(scenario())


def test_a_frozen_redis_is_left_alone_after_a_few_time_outs_and_used_again_after(
    valkey: EmbeddedValkey, short_folder: Path
) -> None:
    async def scenario() -> None:
        address = f"unix://{short_folder / 's'}"
        async with queueing(address, timeout_s=0.1) as jobs, queueing(address) as patient:
            await patient.depth()
            os.kill(valkey.pid, signal.SIGSTOP)
            refusals: Counter[str] = Counter()
            try:
                while refusals.total() < 30:
                    with pytest.raises(JobsUnavailable) as refusal:
                        await jobs.submit(make_job())
                    refusals[str(refusal.value)] += 1
            finally:
                os.kill(valkey.pid, signal.SIGCONT)
            assert refusals["Redis has failed a moment ago"] > refusals["Redis does not answer"] > 0
            while True:
                with suppress(JobsUnavailable):
                    await jobs.submit(make_job())
                    break
                await asyncio.sleep(0.01)
            assert await patient.depth() == {"paid": 1, "free": 0}

    run(scenario())


def test_a_redis_that_refuses_to_write_is_unavailable(valkey: EmbeddedValkey, short_folder: Path) -> None:
    async def scenario() -> None:
        with redis.Redis(unix_socket_path=str(short_folder / "s")) as client:
            client.config_set("maxmemory", 1)
        async with queueing(f"unix://{short_folder / 's'}") as jobs:
            with pytest.raises(JobsUnavailable):
                await jobs.submit(make_job())

    run(scenario())


def test_lanes_tell_what_waits_runs_and_is_held_and_for_how_long(redis_address: str) -> None:
    async def scenario() -> None:
        async with queueing(redis_address, most_of_account=3) as jobs:
            nothing = LaneState(depth=0, running=0, held=0, oldest_s=0.0)
            assert await jobs.lanes() == {"paid": nothing, "free": nothing}
            for number in range(5):
                await jobs.submit(make_job(f"job{number}"))
            await asyncio.sleep(0.3)
            await jobs.submit(make_job("other", account="other", lane="free"))
            claims = [await claim_next(jobs) for _ in range(3)]
            assert [claim.job.id for claim in claims] == ["job0", "job1", "job2"]
            lanes = await jobs.lanes()
            assert lanes["paid"] == LaneState(depth=3, running=3, held=2, oldest_s=0.0)
            assert (lanes["free"].depth, lanes["free"].running, lanes["free"].held) == (1, 0, 0)
            # What was handed back waits again, from when it came into the lane.
            await jobs.hand_back(claims[1])
            await jobs.finish(claims[0], OUTCOME, took_s=1)
            paid, free = (await jobs.lanes()).values()
            assert (paid.depth, paid.running, paid.held) == (3, 1, 1)
            assert paid.oldest_s >= free.oldest_s + 0.25
            assert await jobs.depth() == {"paid": paid.depth + paid.held, "free": free.depth}

    run(scenario())
