"""Webhooks to be sent: kept until they arrive or are given up."""

from typing import Final, Literal, Protocol

import msgspec

from app.ports.jobs import Job

DeliveryState = Literal["waiting", "delivered", "failed"]
#: How long a webhook is kept, counted from when it was first due or last replayed.
KEEP_DELIVERY_S: Final = 7 * 24 * 3600


class Delivery(msgspec.Struct, frozen=True, omit_defaults=True):
    """One webhook.

    Attributes
    ----------
    id
        `webhook-id` of every attempt: the receiver knows a repetition by it. A job has one, whatever becomes of it.
    job
        As it ended, so that every attempt tells the same, also one after the job has expired.
    created, next_at
        Unix seconds: when the job ended; of the next attempt, while it is waiting.
    attempts
        How many have been made.
    last_result
        What the last attempt came to, for `compressorize webhooks list`.
    """

    id: str
    job: Job
    created: float
    attempts: int = 0
    state: DeliveryState = "waiting"
    next_at: float = 0.0
    last_result: str = ""

    @property
    def job_id(self) -> str:
        """The job that it tells of."""
        return self.job.id

    @property
    def account(self) -> str:
        """Whose secret signs it."""
        return self.job.account

    @property
    def url(self) -> str:
        """Where it goes."""
        return self.job.webhook_url


class Deliveries(Protocol):
    """Webhooks to be sent. `Jobs.finish` adds them. Every method may raise JobsUnavailable."""

    async def due(self, *, most: int, lease_s: float) -> list[Delivery]:
        """Return webhooks whose time has come; each is the caller's for `lease_s` seconds, then due again."""
        ...

    async def record(self, delivery: Delivery) -> None:
        """Write what an attempt came to; `state` and `next_at` tell whether there will be another.

        One that has been delivered stays so: an attempt that outlived its lease and failed changes nothing.
        """
        ...

    async def list(self, *, account: str | None = None, state: DeliveryState | None = None) -> list[Delivery]:
        """All that are kept (those of the last 7 days), newest first."""
        ...

    async def replay(self, delivery_id: str) -> Delivery | None:
        """Make one due now with its schedule begun anew, and the same id; None for an unknown id."""
        ...
