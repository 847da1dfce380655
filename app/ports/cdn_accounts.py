"""Who may have the CDN origin serve what: the keys that URLs are signed with, and what each account allows."""

from typing import Final, Literal, Protocol

import msgspec

#: Two, so that a key can be replaced without a gap: sign with the new one, wait until caches and pages forget the old.
LIVE_SIGNING_KEYS: Final = 2
#: Each is compared with the source of each request.
MAX_ORIGINS: Final = 100


class SigningKey(msgspec.Struct, frozen=True):
    """What URLs of one account are signed with.

    Attributes
    ----------
    id
        Public: it stands in every URL.
    secret
        ASCII text. The key of the HMAC is its bytes as they are, so that no language has to decode anything.
    created, revoked
        Unix seconds; None: it is live.
    """

    id: str
    account: str
    secret: str
    created: float
    revoked: float | None = None


class AllowedOrigin(msgspec.Struct, frozen=True):
    """Where an account's sources may be fetched from; `source.parse_origin` reads one.

    Attributes
    ----------
    host
        ASCII in lower case; ``*.example.com`` stands for every name below ``example.com``, at any depth.
    path
        What the path of a source begins with; it begins and ends with ``/``.
    """

    scheme: Literal["http", "https"]
    host: str
    port: int
    path: str = "/"

    def spell(self) -> str:
        """Write it as `source.parse_origin` reads it."""
        port = "" if self.port == {"http": 80, "https": 443}[self.scheme] else f":{self.port}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}{port}{self.path.rstrip('/')}"


class CdnAccount(msgspec.Struct, frozen=True):
    """What an account allows; one that was never set up allows nothing.

    Attributes
    ----------
    client_hints
        Whether `Save-Data`, `Sec-CH-DPR` and `Sec-CH-Width` have a say.
    bucket_prefix
        What ``own:`` keys are put behind in the object store, without a slash at the end; None: there are none.
    """

    account: str
    origins: tuple[AllowedOrigin, ...] = ()
    client_hints: bool = False
    bucket_prefix: str | None = None


class CdnAccountsUnavailable(Exception):
    """The place where accounts are kept does not answer, and this one was not seen lately."""


class CdnAccounts(Protocol):
    """Where signing keys and accounts are kept. Every method may raise CdnAccountsUnavailable.

    An account is the same text as that of the API keys.
    """

    async def find_key(self, key_id: str) -> SigningKey | None:
        """Return the live key of this id, at most a second old; None for unknown, malformed and revoked ones.

        A key that was seen live within the last minutes is still found while the place does not answer.
        """
        ...

    async def find_account(self, account: str) -> CdnAccount:
        """Return what the account allows, at most a second old; while the place does not answer, as last seen."""
        ...

    async def create_key(self, account: str) -> SigningKey:
        """Make a key for `account`. Raises ValueError where it has `LIVE_SIGNING_KEYS` live ones already."""
        ...

    async def list_keys(self, account: str | None = None) -> list[SigningKey]:
        """All keys, newest first, revoked ones included, of one account or of everybody."""
        ...

    async def revoke_key(self, key_id: str) -> SigningKey | None:
        """End a key everywhere within a second; None for an unknown id. Revoking twice keeps the first time."""
        ...

    async def write_account(self, account: CdnAccount) -> None:
        """Keep what the account allows from now on; it holds everywhere within a second.

        Of two that write at once the last wins. Raises ValueError for more than `MAX_ORIGINS`, and for a prefix that
        is no blob's name.
        """
        ...

    async def list_accounts(self) -> list[CdnAccount]:
        """All accounts that were ever written, by name."""
        ...
