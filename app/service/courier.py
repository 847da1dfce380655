"""Delivers webhooks whose time has come."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from typing import Final

import msgspec
import orjson
import structlog

from app.ports.deliveries import Deliveries, Delivery, DeliveryState
from app.ports.jobs import JobsUnavailable
from app.ports.keys import Keys, KeysUnavailable
from app.ports.meter import UNCOUNTED, Attempt, Meter
from app.ports.tracer import UNTRACED, Tracer
from app.service.job_reply import describe
from app.service.webhook import TIMEOUT_S, Result, WebhookSender, next_attempt

_log = structlog.get_logger(__name__)

#: Attempts under way at once.
PLACES: Final = 128
#: How often it looks for webhooks that are due.
POLL_S: Final = 0.5
#: How long attempts under way may go on once it is told to stop.
DRAIN_S: Final = 5.0
#: Well over what an attempt takes with its look-ups before and its record after.
LEASE_S: Final = 4 * TIMEOUT_S
_ATTEMPTS: Final[dict[DeliveryState, Attempt]] = {"delivered": "delivered", "waiting": "retry", "failed": "failed"}
#: When a webhook whose account has no place left is looked at again.
_ACCOUNT_BUSY_S: Final = 5.0


class Courier:
    """Takes webhooks that are due, sends them and records what came of it; any number of processes run one each.

    A webhook is delivered at least once: where the record could not be written after an answer, it is sent again, with
    the same id.

    Parameters
    ----------
    public_url
        What download links begin with, without a slash at the end.
    places
        Attempts under way at once; one account gets a quarter of them, so that a receiver that is slow to answer holds
        up nobody else's webhooks.
    """

    def __init__(
        self,
        deliveries: Deliveries,
        keys: Keys,
        sender: WebhookSender,
        *,
        public_url: str,
        places: int = PLACES,
        poll_s: float = POLL_S,
        drain_s: float = DRAIN_S,
        clock: Callable[[], float] = time.time,
        meter: Meter = UNCOUNTED,
        tracer: Tracer = UNTRACED,
    ) -> None:
        self._meter, self._tracer = meter, tracer
        self._deliveries = deliveries
        self._keys = keys
        self._sender = sender
        self._public_url = public_url
        self._places = places
        self._places_per_account = max(1, places // 4)
        self._poll_s = poll_s
        self._drain_s = drain_s
        self._clock = clock
        self._under_way: dict[asyncio.Task[None], Delivery] = {}
        self._is_failing = False

    async def run(self) -> None:
        """Deliver until cancelled; attempts under way then get `drain_s` seconds, and what is cut off is due again."""
        try:
            while True:
                if not await self._take():
                    await asyncio.sleep(self._poll_s)
                if len(self._under_way) >= self._places:
                    await asyncio.wait(self._under_way, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await self._drain()

    async def _take(self) -> bool:
        """Begin with what is due, as far as there are places; tell whether there may be more."""
        free = self._places - len(self._under_way)
        try:
            due = await self._deliveries.due(most=free, lease_s=LEASE_S)
            for delivery in due:
                under_way = self._under_way.values()
                if delivery.id in {one.id for one in under_way}:
                    # Redis' clock was set forward, and with it the end of the lease.
                    continue
                if Counter(one.account for one in under_way)[delivery.account] < self._places_per_account:
                    task = asyncio.create_task(self._deliver(delivery))
                    self._under_way[task] = delivery
                    task.add_done_callback(self._under_way.pop)
                else:
                    later = self._clock() + _ACCOUNT_BUSY_S
                    await self._deliveries.record(msgspec.structs.replace(delivery, next_at=later))
        except Exception as error:
            # What was taken already is due again when its lease ends. An outage is told once.
            if not self._is_failing:
                _log.warning("webhooks_not_taken", exc_info=error)
            self._is_failing = True
            return False
        self._is_failing = False
        return len(due) == free

    async def _deliver(self, delivery: Delivery) -> None:
        with self._tracer.span("webhook", kind="client", parent=delivery.job.traceparent) as span:
            after = await self._send_and_record(delivery)
            if after is not None:
                span.note("compressorize.outcome", _ATTEMPTS[after.state])

    async def _send_and_record(self, delivery: Delivery) -> Delivery | None:
        """Make one attempt; how the webhook stands then, or None where there was none."""
        begun = time.monotonic()
        try:
            after = await self._attempt(delivery)
        except (JobsUnavailable, KeysUnavailable):
            # No fault of the receiver's: no attempt is counted, and the end of the lease makes it due again.
            return None
        except Exception:
            _log.exception("webhook_broke", webhook=delivery.id)
            after = next_attempt(delivery, Result("An error on our side."), self._clock())
        self._meter.count_webhook(_ATTEMPTS[after.state], took_s=time.monotonic() - begun)
        try:
            await self._deliveries.record(after)
        except Exception:
            # It will be sent again, with the same id.
            _log.exception("webhook_not_recorded", webhook=delivery.id)
        else:
            _log.info(
                "webhook", webhook=after.id, attempts=after.attempts, state=after.state, last_result=after.last_result
            )
        return after

    async def _attempt(self, delivery: Delivery) -> Delivery:
        """Send a webhook and give it as it stands then."""
        secret = await self._keys.webhook_secret(delivery.account)
        if secret is None:
            return msgspec.structs.replace(delivery, state="failed", last_result="The account has no secret.")
        body = orjson.dumps(describe(delivery.job, f"{self._public_url}/api/v1/download/{delivery.job_id}"))
        result = await self._sender.send(delivery, body, secret)
        return next_attempt(delivery, result, self._clock())

    async def _drain(self) -> None:
        under_way = list(self._under_way)
        try:
            if under_way:
                await asyncio.wait(under_way, timeout=self._drain_s)
        finally:
            for task in under_way:
                task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)
