"""The pool of encode processes: one job at a time each, killed at its deadline, replaced when it dies.

An AVIF or trellis encode cannot be cancelled inside a process, and a codec that crashes must cost one job, so
decoding and encoding run in processes of their own. They come from a fork server: forking a process in which
libvips has run hangs, and a new interpreter would import everything again.
"""

import asyncio
import signal
import time
from dataclasses import dataclass
from multiprocessing import forkserver, resource_tracker

import msgspec
import structlog

from app.errors import ServiceError, of_pixels
from app.ports.meter import UNCOUNTED, Meter, Stage
from app.ports.tracer import UNTRACED, Tracer
from app.service.buffers import SharedBuffer
from app.service.encode_link import CONTEXT, EncodeLink, EncodeProcessDied
from app.service.encode_protocol import Done, Failed, Lockdown, NeedsMemory, Setup
from app.service.memory import Loan, MemoryBudget
from app.service.slots import Slots
from pixels.options import Limits, Options

_log = structlog.get_logger(__name__)
#: Imported by the fork server, and with it libvips; by name, because this side must not import it.
_CHILD_MODULE = "app.service.encode_preload"
#: A process that dies before it was ever ready is started again after this pause, not in a tight loop.
_RESTART_PAUSE_S = 1.0
#: What a process may take without asking, at most: enough for photographs of 12 megapixels in most formats.
_MOST_SHARE_BYTES = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Encoded:
    """A result.

    Attributes
    ----------
    queue_ms
        How long it waited for memory and a slot.
    handover_ms
        How long the way to the encode process and back took, beside its work.
    """

    data: bytes
    facts: Done
    queue_ms: float
    handover_ms: float

    @property
    def stages_ms(self) -> dict[Stage, float]:
        """What each stage took, in their order; 0 where there was none."""
        facts = self.facts
        return {
            "queue": self.queue_ms,
            "handover": self.handover_ms,
            "decode": facts.decode_ms,
            "search": facts.search_ms,
            "encode": facts.encode_ms,
        }


class Encoders:
    """Runs jobs in encode processes, as many at a time as there are processes and as fit in memory.

    Parameters
    ----------
    memory_bytes
        The address space of one process.
    budget_bytes
        What all processes may take for pictures together, beside what they hold when they are idle; None for as much as
        their address spaces hold. At most half of it is shared out among them in advance, so that ordinary pictures
        need not ask.

    Attributes
    ----------
    alive
        The processes, ready or not.
    lockdown
        What keeps the newest ready process from everything but its work; None before the first is ready.
    memory
        What is left of the budget, for pictures that need more than a process's share.
    restarts
        How many have been replaced.
    """

    def __init__(
        self,
        *,
        processes: int,
        waiting_per_slot: int,
        wait_timeout_s: float,
        deadline_s: float,
        memory_bytes: int,
        budget_bytes: int | None = None,
        limits: Limits,
        meter: Meter = UNCOUNTED,
        tracer: Tracer = UNTRACED,
    ) -> None:
        self._meter, self._tracer = meter, tracer
        self._count = processes
        self.deadline_s = deadline_s
        self._setup = Setup(limits, memory_bytes)
        self.slots: Slots[EncodeLink] = Slots(
            count=processes, waiting_per_slot=waiting_per_slot, wait_timeout_s=wait_timeout_s
        )
        if budget_bytes is None:
            self._share_bytes, budget_bytes = memory_bytes, processes * memory_bytes
        else:
            self._share_bytes = min(_MOST_SHARE_BYTES, budget_bytes // (2 * processes))
        self.memory = MemoryBudget(
            budget_bytes - processes * self._share_bytes,
            room=processes * waiting_per_slot,
            wait_timeout_s=wait_timeout_s,
        )
        self._loans: dict[EncodeLink, Loan] = {}
        self.alive: set[EncodeLink] = set()
        self._first_ready = asyncio.Event()
        self._closed = False
        self.lockdown: Lockdown | None = None
        self.restarts = 0

    @property
    def ready(self) -> int:
        """Processes that can take or are working on a job."""
        return sum(one.is_ready for one in self.alive)

    @property
    def pids(self) -> list[int]:
        """The ids of the processes that are ready."""
        return [one.pid for one in self.alive if one.is_ready]

    async def start(self) -> None:
        """Start every process and wait until the first is ready."""
        CONTEXT.set_forkserver_preload([_CHILD_MODULE])
        # A SIGTERM or Ctrl-C goes to the whole group; the children inherit this mask, so that jobs under way
        # are finished and answered. They end when our end of their socket closes.
        # The resource tracker goes first: starting it unblocks both signals again.
        resource_tracker.ensure_running()
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
        try:
            forkserver.ensure_running()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        for _ in range(self._count):
            self._add()
        await self._first_ready.wait()

    async def encode(self, source: SharedBuffer, options: Options, *, account: str = "") -> Encoded:
        """Compress what is in `source`; accounts share the encode processes fairly.

        Raises
        ------
        ServiceError
            503 `overloaded`, an error of the picture, or 500 `compression_failed` when the encode took too
            long or its process died.
        """
        asked = time.perf_counter()
        encoded = await self._run(source, options, account, asked, None)
        if isinstance(encoded, NeedsMemory):
            # It waits without a slot: pictures that need less go on.
            loan = await self.memory.borrow(max(0, encoded.needed_bytes - self._share_bytes))
            encoded = await self._run(source, options, account, asked, loan)
        if isinstance(encoded, NeedsMemory):
            # It has what it asked for: its process runs somebody else's code.
            raise ServiceError("compression_failed", "Compression failed. Try again.")
        self._tell(source.size, encoded)
        return encoded

    def _tell(self, source_bytes: int, encoded: Encoded) -> None:
        facts, stages_ms = encoded.facts, encoded.stages_ms
        self._meter.count_encode(
            facts.format,
            stages_ms=stages_ms,
            source_bytes=source_bytes,
            result_bytes=facts.size,
            distance=facts.distance,
        )
        self._tracer.add_stages(stages_ms, facts.format)

    async def _run(
        self, source: SharedBuffer, options: Options, account: str, asked: float, loan: Loan | None
    ) -> Encoded | NeedsMemory:
        """Run a job in the next slot; `loan` goes back when the job has ended or its process is gone."""
        try:
            slot = await self.slots.acquire(account)
        except BaseException:
            if loan is not None:
                self.memory.give_back(loan)
            raise
        granted_bytes = self._share_bytes
        if loan is not None:
            self._loans[slot] = loan
            granted_bytes += loan.bytes
        begun = time.perf_counter()
        try:
            reply = await slot.run(source, options, self.deadline_s, granted_bytes)
        except EncodeProcessDied as death:
            self._end_loan(slot)  # it may have died before it was lent to us
            raise _of_death(death, self.deadline_s) from None
        self._end_loan(slot)
        if isinstance(reply, NeedsMemory):
            self.slots.release(slot)
            return reply
        if isinstance(reply, Failed):
            self.slots.release(slot, time.perf_counter() - begun)
            raise of_pixels(reply.error, reply.message)
        try:
            data = slot.take_result(reply.size)
        except ValueError:
            slot.kill()
            raise ServiceError("compression_failed", "Compression failed. Try again.") from None
        ended = time.perf_counter()
        self.slots.release(slot, ended - begun)
        at_work_ms = reply.decode_ms + reply.search_ms + reply.encode_ms
        return Encoded(data, reply, (begun - asked) * 1e3, max(0.0, (ended - begun) * 1e3 - at_work_ms))

    def close(self) -> None:
        """End every process, whatever it is doing."""
        self._closed = True
        for one in list(self.alive):
            one.kill()

    def _add(self) -> None:
        self.alive.add(EncodeLink(self._setup, on_ready=self._welcome, on_death=self._replace))

    def _welcome(self, link: EncodeLink) -> None:
        if link.lockdown != self.lockdown:  # all are locked down alike, so this is said once
            self.lockdown = link.lockdown
            _report(link.lockdown)
        self.slots.release(link)
        self._first_ready.set()

    def _end_loan(self, slot: EncodeLink) -> None:
        loan = self._loans.pop(slot, None)
        if loan is not None:
            self.memory.give_back(loan)

    def _replace(self, dead: EncodeLink) -> None:
        self.alive.discard(dead)
        self._end_loan(dead)
        self.slots.withdraw(dead)
        if self._closed:
            return
        self.restarts += 1
        _log.warning("encode process ended", exit_code=dead.exit_code, was_ready=dead.is_ready)
        asyncio.get_running_loop().call_later(0 if dead.is_ready else _RESTART_PAUSE_S, self._add_unless_closed)

    def _add_unless_closed(self) -> None:
        if not self._closed:
            self._add()


def _report(lockdown: Lockdown | None) -> None:
    if lockdown is None:
        return
    walls = msgspec.structs.asdict(lockdown)
    if lockdown.landlock and lockdown.seccomp:
        _log.info("encode processes are locked down", **walls)
    else:
        _log.warning("this system cannot lock encode processes down fully: a broken codec could do more", **walls)


def _of_death(death: EncodeProcessDied, deadline_s: float) -> ServiceError:
    if death.late:
        return ServiceError("compression_failed", f"Compression took longer than {deadline_s:g} s and was stopped.")
    return ServiceError("compression_failed", "Compression failed. Try again.")
