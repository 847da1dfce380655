"""The variants that one process has answered of late, so that a hit asks neither Redis nor the store."""

from collections import OrderedDict
from typing import Final

from app.ports.variants import Purge, Variant
from app.service.cdn.freshness import SourceFreshness, read_freshness
from app.service.cdn.lifetimes import shorten

#: One that takes more than this share of the room would push too many others out.
_MOST_SHARE: Final = 8
#: What an entry takes beside its bytes.
_ENTRY_BYTES: Final = 4096
_CACHE_CONTROL: Final = "cache-control"
_OF_BODY: Final = frozenset({b"content-type", b"x-content-type-options", b"accept-ranges"})

Headers = list[tuple[bytes, bytes]]


class Held:
    """A variant with its bytes, and with its headers as they are sent."""

    __slots__ = ("_freshness", "_headers", "_second", "data", "variant")

    def __init__(self, variant: Variant, data: bytes) -> None:
        self.variant = variant
        self.data = data
        self._freshness: SourceFreshness | None = None
        self._headers: tuple[Headers, Headers] = [], []
        self._second: int | None = None

    def headers(self, now: float) -> Headers:
        """Those of the whole answer at `now`, in Unix seconds."""
        return self._encoded(now)[0]

    def bare_headers(self, now: float) -> Headers:
        """Those of a 304: without what tells of a body."""
        return self._encoded(now)[1]

    def _encoded(self, now: float) -> tuple[Headers, Headers]:
        # Once a second: only what is left of its time changes.
        second = int(now - self.variant.made)
        if self._second != second:
            self._second = second
            told = dict(self.variant.headers)
            if _CACHE_CONTROL in told:
                told[_CACHE_CONTROL] = self._what_is_left(told[_CACHE_CONTROL], now)
            headers = [(name.encode(), value.encode()) for name, value in told.items()]
            self._headers = headers, [pair for pair in headers if pair[0] not in _OF_BODY]
        return self._headers

    def _what_is_left(self, said: str, now: float) -> str:
        if self._freshness is None:
            self._freshness = read_freshness(dict(self.variant.source_headers), self.variant.made)
        return shorten(said, self._freshness, said_at=self.variant.made, now=now)


class Memory:
    """Holds variants up to `max_bytes`; the one that was not used for longest goes first. For one event loop.

    Attributes
    ----------
    epoch
        Counts what was dropped by purges. What was looked up in an earlier one may be stale, and is not taken.
    used
        Keys that were answered from here since somebody last emptied it.
    """

    def __init__(self, max_bytes: int) -> None:
        self.epoch = 0
        self.used: set[str] = set()
        self._max_bytes = max_bytes
        self._bytes = 0
        self._held: OrderedDict[str, Held] = OrderedDict()

    def find(self, key: str) -> Held | None:
        """Return a variant, fresh or not."""
        held = self._held.get(key)
        if held is not None:
            self._held.move_to_end(key)
            self.used.add(key)
        return held

    def put(self, held: Held, *, epoch: int) -> None:
        """Hold a variant that was looked up, or kept, in `epoch`."""
        self._drop(held.variant.key)
        if epoch != self.epoch or held.variant.size > self._max_bytes // _MOST_SHARE:
            return
        self._held[held.variant.key] = held
        self._bytes += held.variant.size + _ENTRY_BYTES
        while self._bytes > self._max_bytes:
            self._drop(next(iter(self._held)))

    def drop_unfinished(self, key: str) -> None:
        """Drop what is no final answer, because there is something newer."""
        held = self._held.get(key)
        if held is not None and held.variant.kind != "final":
            self._drop(key)

    def purge(self, purge: Purge) -> None:
        """Drop what a purge covers."""
        self.epoch += 1
        for key in [
            key
            for key, held in self._held.items()
            if purge.covers(held.variant.account, held.variant.source, held.variant.tags)
        ]:
            self._drop(key)

    def clear(self) -> None:
        """Drop everything."""
        self.epoch += 1
        self._held.clear()
        self._bytes = 0

    def _drop(self, key: str) -> None:
        dropped = self._held.pop(key, None)
        if dropped is not None:
            self._bytes -= dropped.variant.size + _ENTRY_BYTES
