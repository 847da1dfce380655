"""The courier: what is due is sent and recorded, whatever fails around it.

Webhooks are kept in memory here, in the way that the port describes, because storage is not the point: the tests of
Redis' own have it. Receivers are real servers.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import pytest
import trustme
from standardwebhooks.webhooks import Webhook

from app.adapters.otel_tracer import OtelTracer
from app.adapters.prometheus_meter import PrometheusMeter
from app.ports.deliveries import Delivery
from app.ports.jobs import Failure, Job, JobsUnavailable, Outcome
from app.ports.keys import KeysUnavailable
from app.service.courier import LEASE_S, Courier
from app.service.webhook import WebhookSender
from pixels.options import Options
from tests.app.loopback import (
    PUBLIC,
    Handler,
    Names,
    Request,
    Web,
    answer,
    client_side,
    outbound,
    run,
    server_side,
    serving,
    stall,
)
from tests.otlp_receiver import OtlpReceiver

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # noqa: S105 - of a published example
AUTHORITY = trustme.CA()


class Clock:
    """Unix seconds, which a test may move on."""

    def __init__(self) -> None:
        self.ahead_s = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead_s


class Kept:
    """`Deliveries` in memory. `fails` is raised by every call while it is set."""

    def __init__(self, clock: Clock) -> None:
        self.all: dict[str, Delivery] = {}
        self.fails: Exception | None = None
        self.recorded: list[Delivery] = []
        self._clock = clock
        self._leased_until: dict[str, float] = {}

    async def due(self, *, most: int, lease_s: float) -> list[Delivery]:
        await self._answer()
        now = self._clock()
        found = [
            delivery
            for delivery in self.all.values()
            if delivery.state == "waiting" and max(delivery.next_at, self._leased_until.get(delivery.id, 0)) <= now
        ][:most]
        self._leased_until |= {delivery.id: now + lease_s for delivery in found}
        return found

    async def record(self, delivery: Delivery) -> None:
        await self._answer()
        self.recorded.append(delivery)
        self.all[delivery.id] = delivery
        self._leased_until.pop(delivery.id, None)

    async def _answer(self) -> None:
        await asyncio.sleep(0)
        if self.fails:
            raise self.fails


class Secrets:
    """The one method of `Keys` that is used. `fails` is raised while it is set."""

    def __init__(self) -> None:
        self.fails: Exception | None = None

    async def webhook_secret(self, account: str) -> str | None:
        if self.fails:
            raise self.fails
        return None if account == "nobody" else SECRET


class Round(NamedTuple):
    """A courier on its round, and what is around it."""

    courier: "asyncio.Task[None]"
    kept: Kept
    secrets: Secrets
    clock: Clock
    web: Web

    def add(
        self,
        name: str,
        *,
        account: str = "ada",
        path: str = "hook",
        end: Outcome | Failure | None = None,
        traceparent: str = "",
    ) -> None:
        """Make a webhook due."""
        end = end or Outcome(size=340_000, format="webp", width=1920, height=1080, quality=77)
        is_complete = isinstance(end, Outcome)
        job = Job(
            id=f"job-{name}",
            account=account,
            lane="paid",
            options=Options(),
            original_size=1_200_000,
            created=1_736_865_000.0,
            webhook_url=f"https://pub.test:{self.web.port}/{path}",
            traceparent=traceparent,
            state="complete" if is_complete else "failed",
            finished=1_736_865_000.0,
            expires=1_736_951_400.0,
            outcome=end if is_complete else None,
            failure=None if is_complete else end,
        )
        self.kept.all[name] = Delivery(id=name, job=job, created=self.clock())

    async def until(self, *, recorded: int) -> None:
        """Wait for so many records."""
        async with asyncio.timeout(40):
            while len(self.kept.recorded) < recorded:
                await asyncio.sleep(0.005)


@asynccontextmanager
async def on_a_round(handler: Handler | bytes, **options: Any) -> AsyncIterator[Round]:
    clock, secrets = Clock(), Secrets()
    kept = Kept(clock)
    async with (
        serving(handler, tls=server_side(AUTHORITY, "pub.test")) as web,
        outbound(Names({"pub.test": PUBLIC}), port=web.port, tls=client_side(AUTHORITY)) as client,
    ):
        courier = Courier(
            kept,
            secrets,
            WebhookSender(client),
            public_url="https://images.test",
            **{"poll_s": 0.01, "drain_s": 0.2, "clock": clock} | options,
        )
        task = asyncio.create_task(courier.run())
        try:
            yield Round(task, kept, secrets, clock, web)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def test_a_webhook_that_is_due_arrives_signed_with_the_job_as_status_tells_it() -> None:
    async def scenario() -> None:
        async with on_a_round(answer("200 OK")) as tour:
            tour.add("msg_1")
            await tour.until(recorded=1)
            [got] = tour.web.requests
            assert Webhook(SECRET).verify(got.body, dict(got.headers)) == {
                "id": "job-msg_1",
                "status": "complete",
                "download_url": "https://images.test/api/v1/download/job-msg_1",
                "original_size": 1_200_000,
                "compressed_size": 340_000,
                "savings_percent": 72,
                "format": "webp",
                "dimensions": {"width": 1920, "height": 1080},
                "expires_at": "2025-01-15T14:30:00Z",
            }
            assert (tour.kept.all["msg_1"].state, tour.kept.all["msg_1"].attempts) == ("delivered", 1)

    run(scenario())


def test_a_failed_job_is_told_too() -> None:
    async def scenario() -> None:
        async with on_a_round(answer("200 OK")) as tour:
            tour.add("msg_1", end=Failure("decode_failed", "The image is broken."))
            await tour.until(recorded=1)
            [got] = tour.web.requests
            assert json.loads(got.body) == {
                "id": "job-msg_1",
                "status": "failed",
                "error": {"code": "decode_failed", "message": "The image is broken."},
            }

    run(scenario())


def test_what_does_not_arrive_comes_again_in_its_time_with_the_same_id_and_body() -> None:
    async def refuse_once(request: Request, writer: asyncio.StreamWriter) -> None:
        seen.append(request)
        writer.write(answer("503 Busy" if len(seen) == 1 else "200 OK"))

    async def scenario() -> None:
        async with on_a_round(refuse_once) as tour:
            tour.add("msg_1")
            await tour.until(recorded=1)
            waiting = tour.kept.all["msg_1"]
            assert (waiting.state, waiting.attempts) == ("waiting", 1)
            assert waiting.last_result == "The receiver answered with status 503."
            await asyncio.sleep(0.05)
            assert len(seen) == 1
            tour.clock.ahead_s = 10
            await tour.until(recorded=2)
            assert tour.kept.all["msg_1"].state == "delivered"

    seen: list[Request] = []
    run(scenario())
    first, second = seen
    assert first.body == second.body
    assert first.headers["webhook-id"] == second.headers["webhook-id"] == "msg_1"


def test_an_account_without_a_secret_gets_nothing() -> None:
    async def scenario() -> None:
        async with on_a_round(answer("200 OK")) as tour:
            tour.add("msg_1", account="nobody")
            await tour.until(recorded=1)
            assert tour.kept.all["msg_1"].state == "failed"
            assert tour.web.connections == 0

    run(scenario())


# What fails around it.


def test_while_secrets_are_away_no_attempt_is_counted_and_the_lease_brings_it_back() -> None:
    async def scenario() -> None:
        async with on_a_round(answer("200 OK")) as tour:
            tour.secrets.fails = KeysUnavailable()
            tour.add("msg_1")
            await asyncio.sleep(0.05)
            assert tour.kept.recorded == []
            tour.secrets.fails = None
            tour.clock.ahead_s = LEASE_S + 1
            await tour.until(recorded=1)
            assert tour.kept.all["msg_1"].attempts == 1

    run(scenario())


@pytest.mark.parametrize("failure", [JobsUnavailable(), RuntimeError("unforeseen")])
def test_it_goes_on_once_the_queue_is_back(failure: Exception) -> None:
    async def scenario() -> None:
        async with on_a_round(answer("200 OK")) as tour:
            tour.kept.fails = failure
            tour.add("msg_1")
            await asyncio.sleep(0.05)
            tour.kept.fails = None
            await tour.until(recorded=1)

    run(scenario())


def test_an_unforeseen_error_is_an_attempt_so_that_it_does_not_repeat_for_ever() -> None:
    async def scenario() -> None:
        async with on_a_round(answer("200 OK")) as tour:
            tour.secrets.fails = RuntimeError("unforeseen")
            tour.add("msg_1")
            await tour.until(recorded=1)
            assert tour.kept.all["msg_1"].attempts == 1
            assert tour.kept.all["msg_1"].last_result == "An error on our side."

    run(scenario())


def test_what_arrived_and_could_not_be_recorded_is_sent_again_with_the_same_id() -> None:
    async def lose_the_queue(_: Request, writer: asyncio.StreamWriter) -> None:
        tour.kept.fails = None if len(tour.web.requests) > 1 else JobsUnavailable()
        writer.write(answer("200 OK"))

    async def scenario() -> None:
        nonlocal tour
        async with on_a_round(lose_the_queue) as tour:
            tour.add("msg_1")
            while not tour.kept.fails:
                await asyncio.sleep(0.005)
            await asyncio.sleep(0.05)
            tour.kept.fails = None
            tour.clock.ahead_s = LEASE_S + 1
            await tour.until(recorded=1)
            assert [request.headers["webhook-id"] for request in tour.web.requests] == ["msg_1", "msg_1"]

    tour: Any = None
    run(scenario())


# Stopping.


def test_an_attempt_under_way_is_finished_and_recorded_when_it_is_told_to_stop() -> None:
    async def take_a_moment(_: Request, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.1)
        writer.write(answer("200 OK"))

    async def scenario() -> None:
        async with on_a_round(take_a_moment, drain_s=5) as tour:
            tour.add("msg_1")
            while not tour.web.requests:
                await asyncio.sleep(0.005)
            tour.courier.cancel()
            with pytest.raises(asyncio.CancelledError):
                await tour.courier
            assert tour.kept.all["msg_1"].state == "delivered"

    run(scenario())


def test_an_attempt_that_takes_too_long_is_cut_off_and_left_to_its_lease() -> None:
    async def scenario() -> None:
        async with on_a_round(stall, drain_s=0.1) as tour:
            tour.add("msg_1")
            while not tour.web.requests:
                await asyncio.sleep(0.005)
            tour.courier.cancel()
            with pytest.raises(asyncio.CancelledError):
                await tour.courier
            await tour.web.hung_up.wait()
            assert tour.kept.recorded == []
            assert await tour.kept.due(most=1, lease_s=1) == []
            tour.clock.ahead_s = LEASE_S + 1
            assert len(await tour.kept.due(most=1, lease_s=1)) == 1

    run(scenario())


# Many at once.


def test_no_more_attempts_are_under_way_than_places_and_all_arrive_once() -> None:
    under_way = most = 0

    async def count(_: Request, writer: asyncio.StreamWriter) -> None:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0.02 * (len(tour.web.requests) % 8))
        under_way -= 1
        writer.write(answer("200 OK"))

    async def scenario() -> None:
        nonlocal tour
        async with on_a_round(count, places=8) as tour:
            for number in range(24):
                tour.add(f"msg_{number}", account=f"account-{number}")
            await tour.until(recorded=24)
            assert sorted(request.headers["webhook-id"] for request in tour.web.requests) == sorted(tour.kept.all)

    tour: Any = None
    run(scenario())
    assert 1 < most <= 8


def test_a_receiver_that_is_slow_holds_up_its_own_account_only() -> None:
    async def stall_on_some(request: Request, writer: asyncio.StreamWriter) -> None:
        if request.target == "/slow":
            await stall()
        writer.write(answer("200 OK"))

    async def scenario() -> None:
        async with on_a_round(stall_on_some, places=8) as tour:
            for number in range(50):
                tour.add(f"slow_{number}", account="slow", path="slow")
            for number in range(20):
                tour.add(f"fast_{number}", account=f"account-{number}")
            async with asyncio.timeout(40):
                while any(tour.kept.all[f"fast_{number}"].state == "waiting" for number in range(20)):
                    await asyncio.sleep(0.01)
            assert sum(request.target == "/slow" for request in tour.web.requests) == 2
            put_off = [delivery for delivery in tour.kept.recorded if delivery.id.startswith("slow")]
            assert put_off
            assert all(delivery.attempts == 0 and delivery.state == "waiting" for delivery in put_off)

    run(scenario())


def test_two_couriers_share_the_work_and_send_nothing_twice() -> None:
    async def scenario() -> None:
        async with on_a_round(answer("200 OK")) as tour:
            async with outbound(Names({"pub.test": PUBLIC}), port=tour.web.port, tls=client_side(AUTHORITY)) as client:
                other = Courier(
                    tour.kept,
                    tour.secrets,
                    WebhookSender(client),
                    public_url="https://images.test",
                    poll_s=0.01,
                    clock=tour.clock,
                )
                task = asyncio.create_task(other.run())
                for number in range(24):
                    tour.add(f"msg_{number}", account=f"account-{number}")
                await tour.until(recorded=24)
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
            assert len(tour.web.requests) == 24

    run(scenario())


def test_an_attempt_is_a_part_of_the_requests_trace_and_counted_and_no_receiver_is_told_of_it() -> None:
    async def scenario(tracer: OtelTracer, meter: PrometheusMeter) -> None:
        async with on_a_round(answer("200 OK"), tracer=tracer, meter=meter) as tour:
            tour.add("msg_1", traceparent=f"00-{trace_id}-{span_id}-01")
            await tour.until(recorded=1)
            [got] = tour.web.requests
            assert not {"traceparent", "tracestate", "baggage"} & {name.lower() for name in got.headers}

    trace_id, span_id, meter = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", PrometheusMeter()
    with OtlpReceiver() as receiver:
        tracer = OtelTracer(receiver.url, "worker")
        run(scenario(tracer, meter))
        tracer.close()
        [span] = receiver.trace(trace_id, bool)
    assert (span.name, span.parent_id) == ("webhook", span_id)
    assert span.attributes == {"compressorize.outcome": "delivered"}
    assert meter.registry.get_sample_value("compressorize_webhook_attempts_total", {"outcome": "delivered"}) == 1
