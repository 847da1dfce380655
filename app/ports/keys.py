"""API keys: what a key is, and where keys are kept."""

from typing import Final, Literal, Protocol

import msgspec

Plan = Literal["free", "paid", "custom"]

#: Compressions a minute of the plans that fix them; `custom` brings its own number.
PER_MINUTE: Final[dict[Plan, int]] = {"free": 20, "paid": 100}
#: Two, so that a key can be replaced without a gap: make the new one, move over, revoke the old one.
LIVE_KEYS_PER_ACCOUNT: Final = 2


class ApiKey(msgspec.Struct, frozen=True):
    """What is kept of a key; never the key itself.

    Attributes
    ----------
    id
        Public id, fit for logs; also the rate limiter's name for the key.
    prefix
        The first characters of the key, to recognise it by in a list.
    per_minute
        Compressions a minute that its plan allows.
    created, last_used, revoked
        Unix seconds; None: not yet. `last_used` is right to a minute.
    """

    id: str
    account: str
    prefix: str
    plan: Plan
    per_minute: int
    created: float
    last_used: float | None = None
    revoked: float | None = None


class NewKey(msgspec.Struct, frozen=True):
    """A key just made: the only time that the key and its account's webhook secret are seen together."""

    key: str
    webhook_secret: str
    record: ApiKey


class KeysUnavailable(Exception):
    """The place where keys are kept does not answer, and this key was not seen lately."""


class Keys(Protocol):
    """Where keys are kept. Every method may raise KeysUnavailable."""

    async def find(self, key: str) -> ApiKey | None:
        """Return the live key's record; None for unknown, malformed or revoked ones.

        A key that was seen live within the last minutes is still found while the place does not answer.
        """
        ...

    async def create(self, *, account: str, plan: Plan, per_minute: int | None = None) -> NewKey:
        """Make a key for `account`.

        Raises ValueError where the account has two live keys already, or where `per_minute` does not fit the plan:
        `custom` needs a number of 1 or more, the others take none.
        """
        ...

    async def list(self, account: str | None = None) -> list[ApiKey]:
        """All keys, newest first, revoked ones included, of one account or of everybody."""
        ...

    async def revoke(self, key_id: str) -> ApiKey | None:
        """End a key everywhere within a second; None for an unknown id. Revoking twice keeps the first time."""
        ...

    async def rotate(self, key_id: str) -> NewKey | None:
        """Make another key on the same account and plan; None for an unknown id.

        The old key stays live until it is revoked. Raises ValueError where `key_id` is revoked, or where the account
        has two live keys already: no key ends that nobody asked to end, so one of the two is revoked first.
        """
        ...

    async def webhook_secret(self, account: str) -> str | None:
        """Return what the account's webhooks are signed with; None where no key was ever made for it."""
        ...
