"""`Idempotency-Key`: the first request with a key does the work, and the others get what came of it."""

from typing import Final, Literal, Protocol

import msgspec

#: How long a key is remembered, counted from when its request was answered.
REMEMBER_S: Final = 24 * 3600
#: A request under way tells this often that it is; three times missed, and another may take its key over.
RENEW_S: Final = 10.0


class Entry(msgspec.Struct, frozen=True):
    """What is known of a key.

    Attributes
    ----------
    state
        ``mine``: the caller has the key from now on. ``under_way``: another request has. ``done``: one was answered.
    fingerprint
        What the request asked for; empty while that has not arrived.
    job_id
        The job that was made, when done.
    """

    state: Literal["mine", "under_way", "done"]
    fingerprint: str = ""
    job_id: str = ""


class Idempotency(Protocol):
    """Remembers keys by account. Every method may raise JobsUnavailable."""

    async def claim(self, account: str, key: str, token: str) -> Entry:
        """Take the key for the request `token` where nobody has it; else tell what is known of it."""
        ...

    async def renew(self, account: str, key: str, token: str, fingerprint: str = "") -> None:
        """Hold a key that is taken; write what its request asks for once that is known."""
        ...

    async def settle(self, account: str, key: str, token: str, fingerprint: str, job_id: str) -> None:
        """Write what came of the request. Nothing where the key has gone to another."""
        ...

    async def release(self, account: str, key: str, token: str) -> None:
        """Forget a key whose request came to nothing. Nothing where it has gone to another."""
        ...
