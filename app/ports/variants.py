"""Variants: what the CDN route has made of sources, by what was asked for, until it is purged or pushed out."""

from typing import Final, Literal, NamedTuple, Protocol

import msgspec

#: ``final`` is the best there is, ``interim`` the best that was ready in time. ``original`` is the source as it came,
#: which could not be compressed. ``failure`` has no bytes: the source could not be had.
Kind = Literal["final", "interim", "original", "failure"]
#: What a purge goes by: one source, all sources that begin alike, or all that carry a tag.
PurgeBy = Literal["url", "prefix", "tag"]
#: A leader tells this often that it is alive; after three times missed, another may lead.
LEAD_EVERY_S: Final = 1.0
#: A blob that the index has let go of is left to those who are reading it for so long.
GRACE_S: Final = 60.0


class Variant(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One answer, as it is kept.

    Attributes
    ----------
    key
        Names it: the same for the same account, source, options, negotiated formats and version of the encoders.
    source
        The source as purges name it: its URL, or ``own:`` and a key.
    fresh_until, stale_until, usable_until
        Unix seconds: until when it is answered without a look at the source, while the source is being asked again,
        and where the source cannot be had.
    blob
        Name of its bytes; empty where there are none.
    etag
        A strong entity tag, its quotes included.
    headers
        Of the answer, besides those that are made for each request.
    tags
        What it can be purged by.
    source_digest
        SHA-256 of the source's bytes.
    source_headers
        Those of the source's answer that tell how long it is good, and by what it can be asked whether it has changed.
    failure
        Code and sentence, of a failure.
    job
        Of an interim answer, the job that makes the better one; empty where the process does that which answered.
    """

    key: str
    account: str
    source: str
    kind: Kind
    made: float
    fresh_until: float
    stale_until: float
    usable_until: float
    blob: str = ""
    size: int = 0
    etag: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    tags: tuple[str, ...] = ()
    source_digest: str = ""
    source_headers: tuple[tuple[str, str], ...] = ()
    failure: tuple[str, str] = ("", "")
    job: str = ""


class Purge(NamedTuple):
    """What an account wants gone."""

    account: str
    by: PurgeBy
    value: str

    def covers(self, account: str, source: str, tags: tuple[str, ...]) -> bool:
        """Tell whether a variant goes."""
        if account != self.account:
            return False
        match self.by:
            case "url":
                return source == self.value
            case "prefix":
                return source.startswith(self.value)
            case "tag":
                return self.value in tags


class Found(NamedTuple):
    """What the index has under a key, and the place in the log of purges when it was asked."""

    variant: Variant | None
    since: str


class News(NamedTuple):
    """What has happened: purges, and keys under which something was kept or given up; `place` is where to go on."""

    purges: list[Purge]
    ended: list[str]
    place: tuple[str, str]


class VariantsUnavailable(Exception):
    """The index does not answer."""


class Variants(Protocol):
    """The index of variants, which all processes share. Every method may raise VariantsUnavailable."""

    async def find(self, key: str) -> Found:
        """Look a variant up, which counts as a use of it."""
        ...

    async def touch(self, keys: list[str]) -> None:
        """Count uses of variants that were answered from a process's own memory."""
        ...

    async def reserve(self, blob: str, *, for_s: float) -> None:
        """Promise that a blob about to be written is removed after `for_s` seconds, unless `keep` takes it over."""
        ...

    async def keep(self, variant: Variant, *, since: str) -> bool:
        """Keep a variant in place of what is under its key; beyond the bound, push out what was not used for longest.

        Where it keeps the blob of what it replaces, that stays. False, and nothing is changed, where it has been purged
        after `since`, or its blob's promise is over.
        """
        ...

    async def purge(self, purge: Purge) -> int:
        """Remove what a purge covers, also what is under way and not kept yet; return how many were kept."""
        ...

    async def lead(self, key: str, owner: str) -> tuple[bool, Found]:
        """Take the lead in making a variant, or keep it: to be called again every `LEAD_EVERY_S` seconds.

        False where another has it. What there is then is told too: who led before may have ended a moment ago.
        """
        ...

    async def resign(self, key: str, owner: str) -> None:
        """Give up the lead, and wake those who wait."""
        ...

    async def place(self) -> tuple[str, str]:
        """Tell where news begin from now on."""
        ...

    async def news(self, place: tuple[str, str]) -> News | None:
        """Wait for what happens after `place`, half a second at most; None where so much did that not all is known."""
        ...

    async def expired(self, *, most: int) -> list[str]:
        """Return blobs that are to be removed now, leased to the caller for a minute."""
        ...

    async def forget(self, blob: str) -> None:
        """Forget a blob that has been removed."""
        ...
