"""GETs of pictures by signed URLs, as browsers and the caches before them send them."""

import random
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Final, Literal, NamedTuple

import msgspec

from perf.cdn_customer import CdnCustomer
from perf.load.browsers import SHARES
from perf.load.mixes import JOB_BYTES, Mix
from perf.load.pictures import Picture

#: Whole; only if it is another than the client has; or its first bytes.
Manner = Literal["whole", "changed", "begin"]
_BEGIN: Final = "bytes=0-1023"
#: Heights of boxes that bind no picture which is not far taller than wide.
_FREE_HEIGHTS_PX: Final = range(6_000, 65_536)


class CdnMix(Mix, frozen=True, kw_only=True):
    """Pictures, and options of which each URL has one set.

    Attributes
    ----------
    options
        Sets without `h`.
    changed_share
        This share of requests is of clients that have the picture and ask whether it has changed.
    begin_share
        This share wants the first bytes only.
    """

    options: tuple[str, ...]
    changed_share: float = 0.0
    begin_share: float = 0.0


class Link:
    """One URL as one kind of browser asks for it; `etag` is what its last answer had."""

    def __init__(self, path: str, accept: str, picture_bytes: int) -> None:
        self.path, self.accept, self.picture_bytes = path, accept, picture_bytes
        self.etag = ""


class Visit(NamedTuple):
    """One GET."""

    link: Link
    manner: Manner = "whole"

    @property
    def picture_bytes(self) -> int:
        """Of the source."""
        return self.link.picture_bytes

    def headers(self) -> dict[str, str]:
        """Return what is sent; who has no picture yet asks for the whole of it."""
        headers = {"Accept": self.link.accept}
        if self.manner == "changed" and self.link.etag:
            headers["If-None-Match"] = self.link.etag
        elif self.manner == "begin":
            headers["Range"] = _BEGIN
        return headers


class Visits(msgspec.Struct, frozen=True):
    """What a stream of GETs asks for.

    Attributes
    ----------
    is_unique
        No URL comes twice: each has a height of its own, of which there are 59,536 and whose work is the same.
    """

    mix: CdnMix
    customer: CdnCustomer
    is_unique: bool

    def prepare(self, pictures: Sequence[Picture], seed: str) -> Iterator[Visit]:
        """Return requests without end: for the same seed the same, but for the heights.

        The popularity of URLs follows Zipf's law: of all, the second is asked for half as often as the first.
        """
        kinds = self._rank(pictures)
        shares = list(accumulate(1 / rank for rank in range(1, len(kinds) + 1)))
        links: dict[tuple[int, str, str], Link] = {}
        dice = random.Random(seed)  # noqa: S311 - it has to be repeatable
        heights = _draw_heights()
        changed, begin = self.mix.changed_share, self.mix.begin_share
        manners: dict[Manner, float] = {"changed": changed, "begin": begin, "whole": 1 - changed - begin}

        def draw() -> Visit:
            [(place, options)] = dice.choices(kinds, cum_weights=shares)
            [accept] = dice.choices(tuple(SHARES), tuple(SHARES.values()))
            [manner] = dice.choices(tuple(manners), tuple(manners.values()))
            if self.is_unique:
                return Visit(self._link(pictures, place, f"{options},h:{next(heights)}", accept), manner)
            name = place, options, accept
            if name not in links:
                links[name] = self._link(pictures, *name)
            return Visit(links[name], manner)

        return iter(draw, None)

    def list_all(self, pictures: Sequence[Picture]) -> list[Visit]:
        """Return each URL that is not unique, as each kind of browser asks for it."""
        ranked = self._rank(pictures)
        return [Visit(self._link(pictures, *kind, accept)) for kind in ranked for accept in SHARES]

    def _rank(self, pictures: Sequence[Picture]) -> list[tuple[int, str]]:
        """Return pictures and options in order of popularity: the same in all processes."""
        kinds = [(place, options) for place in self.mix.choose(pictures) for options in self.mix.options]
        random.Random("popularity").shuffle(kinds)  # noqa: S311 - it has to be repeatable
        return kinds

    def _link(self, pictures: Sequence[Picture], place: int, options: str, accept: str) -> Link:
        return Link(self.customer.sign(options, place), accept, len(pictures[place].data))


def _draw_heights() -> Iterator[int]:
    """Yield each height in turn, from one on that no other run is likely to begin with."""
    at = random.SystemRandom().randrange(len(_FREE_HEIGHTS_PX))
    while True:
        yield _FREE_HEIGHTS_PX[at % len(_FREE_HEIGHTS_PX)]
        at += 1


_OPTIONS: Final = ("f:auto,q:60,w:160", "f:auto,q:60,w:480", "f:auto,w:320", "f:jpeg,q:75,w:800")
#: A few photographs, so that all their variants are made in a minute.
_MOST_PICTURES: Final = 12

_HITS: Final = CdnMix(
    about="kept variants of a dozen pictures by signed URLs, some of them popular, for browsers new and old",
    min_megapixels=0.25,
    max_megapixels=4.0,
    max_bytes=JOB_BYTES,
    formats=("jpeg", "png"),
    most_pictures=_MOST_PICTURES,
    options=_OPTIONS,
    changed_share=0.2,
    begin_share=0.02,
    is_reused=True,
)
_MISSES: Final = msgspec.structs.replace(
    _HITS,
    about="signed URLs of the same dozen pictures that nobody has asked for before",
    changed_share=0.0,
    begin_share=0.0,
    is_reused=False,
)
CDN_MIXES: Final = {"cdn-hits": _HITS, "cdn-misses": _MISSES}
