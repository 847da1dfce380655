"""One run against one service: phases in order, each measured from both ends."""

import contextlib
from typing import Final, NamedTuple

import msgspec

from perf.load.bodies import Uploads
from perf.load.fleet import Fleet, Stream
from perf.load.loops import Arrivals, Closed, Load, Open
from perf.load.mixes import Mix, UploadMix
from perf.load.result import PhaseResult
from perf.load.samples import Samples
from perf.load.service import Target
from perf.load.summary import merge, summarise_phase
from perf.load.visits import CdnMix, Visits
from perf.processes import Watch, wait_until_idle

FIRST: Final = "requests"
OTHER: Final = "other account"
STORM: Final = "storm"
#: What a CDN origin goes on with behind its answers should have ended long before.
_MOST_SETTLE_S: Final = 120.0


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """How to ask.

    Attributes
    ----------
    rates
        What is offered in the open loops of a sweep: requests a second, or with an ``x`` behind it, times the capacity.
    factor
        How many times the capacity a flood is.
    clients
        How many a closed loop has at capacity.
    processes
        How many send the main stream.
    is_unique
        No two requests are alike.
    hits_per_s
        Requests beside a storm on a CDN origin.
    storm_urls, storm_clients
        The URLs in it, evenly over the phase; or, above 0, so many clients that each ask for one after another.
    """

    seed: int = 1
    duration_s: float = 10.0
    warm_up_s: float = 3.0
    clients: int = 8
    rates: tuple[str, ...] = ("0.5x", "0.8x", "1.2x")
    arrivals: Arrivals = "poisson"
    factor: float = 5.0
    processes: int = 1
    is_unique: bool = True
    hits_per_s: float = 100.0
    storm_urls: int = 1000
    storm_clients: int = 0


class Phase(NamedTuple):
    """A phase that is over: its figures, and what they were made of."""

    result: PhaseResult
    samples: dict[str, Samples]
    begun_at: float

    @property
    def accepted_per_s(self) -> float:
        """Of the main stream."""
        return self.result.streams[0].accepted_per_s


class Run:
    """Sends phases to one service and keeps what came of them; the warm-up is not kept.

    Attributes
    ----------
    phases
        The results so far.
    """

    def __init__(self, target: Target, fleet: Fleet, mix: Mix, settings: Settings) -> None:
        self._target, self._fleet, self._mix = target, fleet, mix
        self.settings = settings
        self.phases: list[PhaseResult] = []

    def stream(self, load: Load) -> Stream:
        """Return the main stream: of the account whose key was given first."""
        asks = self._ask(self._mix, is_unique=self.settings.is_unique)
        return self._stream(FIRST, self._target.key, asks, load, self.settings.processes)

    def other_stream(self, load: Load) -> Stream:
        """Return the stream of the other account, which asks from a process of its own."""
        asks = self._ask(self._mix, is_unique=self.settings.is_unique)
        return self._stream(OTHER, self._target.other_key, asks, load, 1)

    def storm(self) -> Stream:
        """Return a stream of URLs that nobody has asked for, from a process of its own."""
        clients, rate_per_s = self.settings.storm_clients, self.settings.storm_urls / self.settings.duration_s
        load = Closed(clients) if clients else Open(rate_per_s, "constant")
        return self._stream(STORM, "", self._ask(self._mix, is_unique=True), load, 1)

    def at_capacity(self) -> Stream:
        """Return the main stream from as many clients as keep the service busy."""
        return self.stream(Closed(self.settings.clients))

    def count_capacity(self, phase: Phase) -> float:
        """Return what a phase at capacity had accepted in a second, and one request at least."""
        return max(phase.accepted_per_s, 1 / self.settings.duration_s)

    def flood(self, at_capacity: Phase) -> Stream:
        """Return the main stream at several times what that phase had accepted, in an open loop."""
        return self.stream(Open(self.count_capacity(at_capacity) * self.settings.factor, self.settings.arrivals))

    def warm_up(self) -> None:
        """Keep the service busy for a while and forget it."""
        if self.settings.warm_up_s:
            self._fleet.run([self.at_capacity()], duration_s=self.settings.warm_up_s)

    @property
    def is_here(self) -> bool:
        """Whether the service's processes are on this machine, and known."""
        return self._target.pid is not None

    def fill(self) -> None:
        """Have the service make and keep all that the main stream asks for.

        Raises
        ------
        Unfilled
            It does not.
        """
        asks = self._ask(self._mix, is_unique=False)
        if isinstance(asks, Visits):
            self._fleet.fill(asks)

    def settle(self) -> float | None:
        """Wait until the service has ended what it does behind its answers, for two minutes at most.

        Returns
        -------
        When it had, on the monotonic clock; None where it has not, or where its processes are not known.
        """
        return wait_until_idle(self._target.pid, most_s=_MOST_SETTLE_S) if self._target.pid is not None else None

    def send(self, name: str, *streams: Stream) -> Phase:
        """Run one phase."""
        duration_s, pid = self.settings.duration_s, self._target.pid
        if isinstance(self._mix, CdnMix):
            # No phase pays for what the one before has left to do.
            self.settle()
        with contextlib.ExitStack() as stack:
            watch = stack.enter_context(Watch(pid)) if pid is not None else None
            begun_at, sent = self._fleet.run(streams, duration_s=duration_s)
        result = summarise_phase(name, streams, sent, duration_s=duration_s, watch=watch)
        self.phases.append(result)
        return Phase(result, {stream.name: merge(sent[stream.name]) for stream in streams}, begun_at)

    def _stream(self, name: str, key: str, asks: Uploads | Visits, load: Load, processes: int) -> Stream:
        if isinstance(load, Closed):
            processes = min(processes, load.clients)
        # The seed is the same in every phase: what is compared has asked the same.
        seed = f"{self.settings.seed} {name}"
        return Stream(name=name, key=key, asks=asks, load=load, seed=seed, processes=processes)

    def _ask(self, mix: Mix, *, is_unique: bool) -> Uploads | Visits:
        match mix:
            case CdnMix() if self._target.customer is not None:
                return Visits(mix, self._target.customer, is_unique)
            case UploadMix():
                return Uploads(mix, is_unique)
        raise ValueError("nobody signs the URLs that this mix asks for")


def read_rate(text: str, capacity_per_s: float) -> float:
    """Return requests a second; `text` is a number, or a number and ``x`` for times the capacity.

    Raises
    ------
    ValueError
        It is neither, or not above 0.
    """
    rate = float(text.removesuffix("x")) * (capacity_per_s if text.endswith("x") else 1)
    if rate <= 0:
        raise ValueError(f"{text} is no rate")
    return rate
