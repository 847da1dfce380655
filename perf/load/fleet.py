"""The processes that generate load: apart from the one that measures the service, and each measured itself."""

import asyncio
import os
import resource
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import ExitStack, suppress
from multiprocessing import get_context
from types import TracebackType
from typing import Final, NamedTuple, Self

import msgspec
import uvloop

from perf.load.bodies import Uploads
from perf.load.client import Client, Request
from perf.load.filling import fill
from perf.load.loops import Closed, Load, Loop, schedule
from perf.load.pictures import Picture
from perf.load.samples import Samples
from perf.load.visits import Visits

#: What a process needs to build its bodies before the phase begins.
_LEAD_S: Final = 0.2
#: Before everything that has not been given a priority; root may.
_PRIORITY: Final = -10
#: What each process sends from: set once, because pictures are large.
_pictures: list[Picture] = []


class Stream(msgspec.Struct, frozen=True, kw_only=True):
    """One account's requests in a phase.

    Attributes
    ----------
    key
        The API key; empty where URLs are signed instead.
    seed
        Streams of the same seed and pictures that ask for the same do it in the same order.
    processes
        How many processes send it.
    """

    name: str
    key: str
    asks: Uploads | Visits
    load: Load
    seed: str
    processes: int = 1


class Task(NamedTuple):
    """One process' share of a stream."""

    stream: Stream
    share: int
    url: str
    begin_at: float
    duration_s: float
    timeout_s: float
    poll_s: float


class Sent(NamedTuple):
    """What one process saw, and what it cost.

    Attributes
    ----------
    busy_share
        Of one core: at 1 the generator had no time left.
    """

    samples: Samples
    cpu_s: float
    busy_share: float


class Sending(NamedTuple):
    """What all processes saw in one phase, by the name of the stream; `begun_at` is on the monotonic clock."""

    begun_at: float
    sent: dict[str, list[Sent]]


class Fleet:
    """As many processes as the widest phase wants, each with all the pictures."""

    def __init__(self, url: str, pictures: Sequence[Picture], *, size: int, timeout_s: float, poll_s: float) -> None:
        self._url, self._pictures, self._size = url, list(pictures), size
        self._timeout_s, self._poll_s = timeout_s, poll_s

    def __enter__(self) -> Self:
        """Start them."""
        context = get_context("spawn")
        with ExitStack() as stack:
            self._processes = [
                stack.enter_context(ProcessPoolExecutor(1, context, initializer=_hold, initargs=(self._pictures,)))
                for _ in range(self._size)
            ]
            for ready in [process.submit(time.monotonic) for process in self._processes]:
                ready.result()
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End them."""
        self._stack.close()

    def run(self, streams: Sequence[Stream], *, duration_s: float) -> Sending:
        """Send all streams at the same time; what each one's processes saw.

        Raises
        ------
        ValueError
            There are fewer processes than the streams want.
        """
        begin_at = time.monotonic() + _LEAD_S
        idle = iter(self._processes)
        under_way: dict[str, list[Future[Sent]]] = {stream.name: [] for stream in streams}
        for stream in streams:
            for share in range(stream.processes):
                task = Task(stream, share, self._url, begin_at, duration_s, self._timeout_s, self._poll_s)
                process = next(idle, None)
                if process is None:
                    raise ValueError("more processes are wanted than there are")
                under_way[stream.name].append(process.submit(_send, task))
        return Sending(begin_at, {name: [each.result() for each in futures] for name, futures in under_way.items()})

    def fill(self, visits: Visits) -> None:
        """Have the service make and keep all that `visits` may ask for.

        Raises
        ------
        Unfilled
            It does not.
        """
        self._processes[0].submit(_fill, visits, self._url, self._timeout_s).result()


def _hold(pictures: list[Picture]) -> None:
    _pictures.extend(pictures)
    # An open loop wants as many connections as there are requests under way.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    # On the service's own machine the schedule has to hold while the service takes all there is.
    with suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, _PRIORITY)


def _send(task: Task) -> Sent:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_send_share(task))


async def _send_share(task: Task) -> Sent:
    stream = task.stream
    requests: Iterator[Request] = stream.asks.prepare(_pictures, f"{stream.seed} {task.share}")
    async with Client(task.url, stream.key, timeout_s=task.timeout_s, poll_s=task.poll_s) as client:
        loop = Loop(client, lambda: next(requests), begin_at=task.begin_at, duration_s=task.duration_s)
        cpu_s, begun_at = time.process_time(), time.monotonic()
        if isinstance(stream.load, Closed):
            clients = len(range(task.share, stream.load.clients, stream.processes))
            await loop.run_closed(clients)
        else:
            await loop.run_open(
                schedule(
                    stream.load,
                    duration_s=task.duration_s,
                    seed=stream.seed,
                    share=task.share,
                    shares=stream.processes,
                )
            )
        cpu_s = time.process_time() - cpu_s
        return Sent(loop.samples, cpu_s, cpu_s / max(task.duration_s, time.monotonic() - begun_at))


def _fill(visits: Visits, url: str, timeout_s: float) -> None:
    async def ask() -> None:
        async with Client(url, "", timeout_s=timeout_s, poll_s=timeout_s) as client:
            await fill(client, visits.list_all(_pictures))

    asyncio.run(ask())
