"""The works, and who enters for each."""

from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

from perf.peers.bare_libvips import BareLibvips
from perf.peers.ours import Ours, OursByDefault, OursSmall
from perf.peers.peer import Format, Peer, Task
from perf.peers.pictures import Size
from perf.peers.sharp import Sharp

Means = Literal["fixed", "smart", "mozjpeg"]


class Work(NamedTuple):
    """One kind of work.

    Attributes
    ----------
    name
        As in `--only`.
    quality
        The same number for everybody; None: ours, smart sets the distance, and the others' qualities are matched to it.
    box
        See `Task.box`.
    only_ours
        Nobody else enters but the bound.
    """

    name: str
    title: str
    format: Format
    size: Size = "web"
    quality: int | None = None
    box: int | None = None
    only_ours: bool = False

    @property
    def group(self) -> str:
        """What `--only` takes to choose it."""
        return self.name.partition("-")[0]


WORKS: Final = (
    Work("plain", "JPEG 1000x667 at quality 75, the same number for all", "jpeg", quality=75),
    Work("jpeg", "JPEG 1000x667 at equal butteraugli", "jpeg"),
    Work("webp", "WebP 1000x667 at equal butteraugli", "webp"),
    Work("avif", "AVIF 1000x667 at equal butteraugli", "avif"),
    Work("smart-jpeg", "Smart against fixed quality: JPEG 2000x1334", "jpeg", "big", only_ours=True),
    Work("smart-webp", "Smart against fixed quality: WebP 2000x1334", "webp", "big", only_ours=True),
    Work("smart-avif", "Smart against fixed quality: AVIF 2000x1334", "avif", "big", only_ours=True),
    Work("thumb", "JPEG 2000x1334 into 320x320 at quality 80", "jpeg", "big", quality=80, box=320),
)
GROUPS: Final = tuple(dict.fromkeys(work.group for work in WORKS))


class Contestant(NamedTuple):
    """A peer with one way to encode."""

    title: str
    peer: Peer
    means: Means = "fixed"

    def task(self, work: Work, quality: int | None) -> Task:
        """Return what to ask it for."""
        return Task(work.format, None if self.means == "smart" else quality, work.box, self.means == "mozjpeg")

    @property
    def encoder(self) -> tuple[str, Means]:
        """Contestants with the same make the same bytes at the same quality."""
        return self.peer.encoder, self.means


def enter(work: Work, peers: Sequence[Peer]) -> list[Contestant]:
    """Return who takes part in `work`, of the peers that run; ours comes first."""
    found = []
    for peer in peers:
        if isinstance(peer, OursByDefault):
            if work.quality is not None:
                found.append(Contestant(peer.title, peer))
        elif isinstance(peer, OursSmall):
            if work.quality is None and work.format == "jpeg":
                found.append(Contestant(peer.title, peer))
        elif isinstance(peer, Ours):
            found += _enter_ours(work, peer)
        elif not work.only_ours:
            found.append(Contestant(peer.title, peer))
            if isinstance(peer, Sharp) and work.format == "jpeg":
                found.append(Contestant("sharp, mozjpeg: true", peer, "mozjpeg"))
        elif isinstance(peer, BareLibvips):
            found.append(Contestant(peer.title, peer))
    return found


def _enter_ours(work: Work, ours: Ours) -> list[Contestant]:
    if work.quality is not None:
        return [Contestant(ours.title, ours)]
    return [Contestant("ours, smart", ours, "smart"), Contestant("ours, fixed quality", ours)]
