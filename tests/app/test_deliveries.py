"""Webhooks: each job that asked has one, under one id, until it arrived or was given up."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
import redis

from app.adapters.embedded import EmbeddedValkey
from app.adapters.redis_deliveries import RedisDeliveries
from app.adapters.redis_jobs import RedisJobs
from app.ports.deliveries import Delivery
from app.ports.jobs import Failure, JobsUnavailable
from tests.app.queues import NOWHERE, OUTCOME, claim_next, make_job, queueing, run, sending

HOOK = "https://example.com/hook"


async def end_jobs(jobs: RedisJobs, *ids: str, account: str = "acme") -> None:
    """Take jobs that ask for a webhook through the queue."""
    for job_id in ids:
        await jobs.submit(make_job(job_id, account=account, webhook_url=HOOK))
        claim = await claim_next(jobs)
        assert await jobs.finish(claim, OUTCOME, took_s=1)


async def take_due(deliveries: RedisDeliveries) -> Delivery:
    """Take the one webhook that is due; the scenario's own guard ends a wait in vain."""
    while not (due := await deliveries.due(most=10, lease_s=60)):
        await asyncio.sleep(0.01)
    (delivery,) = due
    return delivery


def attempt(delivery: Delivery, state: str, result: str, *, in_s: float = 0) -> Delivery:
    return msgspec.structs.replace(
        delivery, attempts=delivery.attempts + 1, state=state, next_at=time.time() + in_s, last_result=result
    )


def test_a_job_that_ends_makes_its_webhook_due_with_all_there_is_to_tell(redis_address: str) -> None:
    async def scenario() -> None:
        async with queueing(redis_address) as jobs, sending(redis_address) as deliveries:
            await jobs.submit(make_job("silent"))
            await jobs.submit(make_job("job", webhook_url=HOOK))
            await jobs.submit(make_job("broken", webhook_url=HOOK))
            for end in (OUTCOME, OUTCOME, Failure("decode_failed", "The file is broken.")):
                claim = await claim_next(jobs)
                await jobs.finish(claim, end, took_s=1)
            due = await deliveries.due(most=10, lease_s=60)
            assert {delivery.id: delivery.job for delivery in due} == {
                f"msg_{job_id}": await jobs.find(job_id) for job_id in ("job", "broken")
            }
            (delivery,) = [delivery for delivery in due if delivery.job_id == "job"]
            assert (delivery.account, delivery.url, delivery.attempts, delivery.state) == ("acme", HOOK, 0, "waiting")
            assert delivery.created == delivery.job.finished

    run(scenario())


def test_what_is_due_is_one_senders_until_the_lease_ends(redis_address: str) -> None:
    async def scenario() -> None:
        async with queueing(redis_address) as jobs, sending(redis_address) as deliveries:
            await end_jobs(jobs, "1", "2", "3")
            taken = await asyncio.gather(*[deliveries.due(most=2, lease_s=1) for _ in range(4)])
            assert sorted(delivery.job_id for some in taken for delivery in some) == ["1", "2", "3"]
            assert max(map(len, taken)) == 2
            again: set[str] = set()
            while len(again) < 3:
                again |= {delivery.job_id for delivery in await deliveries.due(most=3, lease_s=60)}

    run(scenario())


def test_an_attempt_that_failed_is_followed_by_another_when_it_said(redis_address: str) -> None:
    async def scenario() -> None:
        async with queueing(redis_address) as jobs, sending(redis_address) as deliveries:
            await end_jobs(jobs, "job")
            first = await take_due(deliveries)
            await deliveries.record(attempt(first, "waiting", "503", in_s=1))
            assert await deliveries.due(most=10, lease_s=60) == []
            second = await take_due(deliveries)
            assert (second.id, second.attempts, second.last_result) == (first.id, 1, "503")
            assert second.next_at <= time.time() + 0.01
            await deliveries.record(attempt(second, "waiting", "timeout", in_s=3600))
            assert await deliveries.due(most=10, lease_s=60) == []

    run(scenario())


@pytest.mark.parametrize("state", ["delivered", "failed"])
def test_what_has_arrived_or_been_given_up_is_not_due_again_and_stays_on_the_list(
    redis_address: str, state: str
) -> None:
    async def scenario() -> None:
        async with queueing(redis_address) as jobs, sending(redis_address) as deliveries:
            await end_jobs(jobs, "job")
            delivery = await take_due(deliveries)
            await deliveries.record(attempt(delivery, state, "told"))
            with redis.Redis.from_url(redis_address) as client:
                assert client.zcard("{cz}:deliveries:due") == 0
            (listed,) = await deliveries.list()
            assert (listed.state, listed.attempts, listed.last_result) == (state, 1, "told")

    run(scenario())


def test_what_was_delivered_stays_so_though_an_attempt_that_outlived_its_lease_fails(redis_address: str) -> None:
    async def scenario() -> None:
        async with queueing(redis_address) as jobs, sending(redis_address) as deliveries:
            await end_jobs(jobs, "job")
            delivery = await take_due(deliveries)
            await deliveries.record(attempt(delivery, "delivered", "200"))
            await deliveries.record(attempt(delivery, "waiting", "timeout"))
            (listed,) = await deliveries.list()
            assert (listed.state, listed.last_result) == ("delivered", "200")
            assert await deliveries.due(most=10, lease_s=60) == []

    run(scenario())


@pytest.mark.parametrize("state", ["waiting", "delivered", "failed"])
def test_a_replay_is_due_now_with_its_schedule_begun_anew_under_the_same_id(redis_address: str, state: str) -> None:
    async def scenario() -> None:
        async with queueing(redis_address) as jobs, sending(redis_address) as deliveries:
            await end_jobs(jobs, "job")
            delivery = await take_due(deliveries)
            await deliveries.record(attempt(delivery, state, "told", in_s=3600))
            replayed = await deliveries.replay(delivery.id)
            assert replayed is not None
            assert (replayed.id, replayed.attempts, replayed.state) == (delivery.id, 0, "waiting")
            assert await take_due(deliveries) == replayed
            assert await deliveries.replay("msg_unknown") is None
            assert await deliveries.due(most=10, lease_s=60) == []

    run(scenario())


def test_a_list_tells_newest_first_of_an_account_or_a_state(redis_address: str) -> None:
    async def scenario() -> None:
        async with queueing(redis_address) as jobs, sending(redis_address) as deliveries:
            assert await deliveries.list() == []
            for job_id, account in (("1", "a"), ("2", "b"), ("3", "a")):
                await end_jobs(jobs, job_id, account=account)
                await asyncio.sleep(0.002)
            (first, *_) = await deliveries.due(most=1, lease_s=60)
            await deliveries.record(attempt(first, "delivered", "200"))

            async def ids(**filters: str) -> list[str]:
                return [delivery.job_id for delivery in await deliveries.list(**filters)]

            assert await ids() == ["3", "2", "1"]
            assert await ids(account="a") == ["3", "1"]
            assert await ids(state="delivered") == ["1"]
            assert await ids(account="a", state="waiting") == ["3"]
            assert await ids(account="nobody") == []

    run(scenario())


def test_a_webhook_is_kept_for_a_week_longer_than_its_job(redis_address: str) -> None:
    async def scenario() -> None:
        async with queueing(redis_address, keep_s=0.05) as jobs, sending(redis_address) as deliveries:
            await end_jobs(jobs, "job")
            with redis.Redis.from_url(redis_address) as client:
                assert 6.99 * 24 * 3600 < client.ttl("{cz}:delivery:msg_job") <= 7 * 24 * 3600
            while await jobs.find("job"):
                await asyncio.sleep(0.01)
            assert (await take_due(deliveries)).job.outcome == OUTCOME

    run(scenario())


def test_what_is_gone_leaves_nothing_behind(redis_address: str) -> None:
    async def scenario() -> None:
        async with queueing(redis_address) as jobs, sending(redis_address) as deliveries:
            await end_jobs(jobs, "old")
            with redis.Redis.from_url(redis_address) as client:
                client.delete("{cz}:delivery:msg_old")
                client.zadd("{cz}:deliveries", {"msg_old": time.time() * 1000})
                assert await deliveries.list() == []
                assert await deliveries.due(most=10, lease_s=0) == []
                assert client.zcard("{cz}:deliveries:due") == 0
                await end_jobs(jobs, "new")
                assert client.zrange("{cz}:deliveries", 0, -1) == [b"msg_new"]

    run(scenario())


def test_a_lists_length_is_no_matter(redis_address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.adapters.redis_deliveries._BATCH", 2)

    async def scenario() -> None:
        async with queueing(redis_address) as jobs, sending(redis_address) as deliveries:
            await end_jobs(jobs, "1", "2", "3", "4", "5")
            assert {delivery.job_id for delivery in await deliveries.list()} == {"1", "2", "3", "4", "5"}

    run(scenario())


def test_webhooks_outlive_kill_9_of_the_server(
    valkey: EmbeddedValkey, short_folder: Path, kill_valkey: Callable[[], None]
) -> None:
    address = f"unix://{short_folder / 's'}"

    async def before() -> None:
        async with queueing(address) as jobs, sending(address) as deliveries:
            await end_jobs(jobs, "arrived", "waiting")
            (arrived,) = await deliveries.due(most=1, lease_s=60)
            await deliveries.record(attempt(arrived, "delivered", "200"))

    async def after() -> None:
        async with sending(address) as deliveries:
            assert (await take_due(deliveries)).job_id == "waiting"

    run(before())
    kill_valkey()
    valkey.start()
    run(after())


@pytest.mark.parametrize(
    "ask",
    [
        lambda deliveries: deliveries.due(most=1, lease_s=1),
        lambda deliveries: deliveries.record(Delivery("msg_job", make_job(), 0.0)),
        lambda deliveries: deliveries.list(),
        lambda deliveries: deliveries.replay("msg_job"),
    ],
)
def test_while_redis_is_away_everything_is_unavailable_at_once(ask: Callable[[RedisDeliveries], object]) -> None:
    async def scenario() -> None:
        async with asyncio.timeout(20), sending(NOWHERE) as deliveries:
            for _ in range(10):
                with pytest.raises(JobsUnavailable):
                    await ask(deliveries)

    asyncio.run(scenario())
