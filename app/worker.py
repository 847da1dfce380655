"""The worker process: takes jobs off the queue, sends webhooks, and sweeps what has expired."""

import asyncio
import signal
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, Final

import structlog

from app import logs
from app.ports.jobs import ANNOUNCE_S, JobsUnavailable
from app.settings import Settings
from app.wiring import WorkerParts, assemble_worker

_log = structlog.get_logger(__name__)
#: A slot that found no job asks again, and looks whether it is to stop.
_CLAIM_WAIT_S: Final = 1.0
_PAUSE_S: Final = 1.0


def run_worker(settings: Settings) -> None:
    """Work until SIGTERM or Ctrl-C; jobs under way are finished within the drain time, or handed back."""
    logs.configure(settings)
    asyncio.run(_work(settings))


async def _work(settings: Settings) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    parts = assemble_worker(settings)
    async with parts.running():
        works: list[Callable[[], Coroutine[Any, Any, None]]] = [
            lambda: _announce(parts),
            parts.courier.run,
            parts.sweeper.run,
            parts.variant_sweeper.run,
        ]
        behind = [asyncio.create_task(_keep_going(work)) for work in works]
        slots = [asyncio.create_task(_serve_slot(parts, stop)) for _ in range(parts.slots)]
        # None of them ends by itself before it is told to stop.
        parts.eyes.ask_whether(lambda: stop.is_set() or not any(task.done() for task in (*slots, *behind)))
        _log.info("worker ready", worker=parts.name, slots=parts.slots)
        await stop.wait()
        await _retire(parts)
        _, late = await asyncio.wait(slots, timeout=settings.drain_s)
        for task in (*late, *behind):
            task.cancel()
        await asyncio.gather(*slots, *behind, return_exceptions=True)
    _log.info("worker ended", worker=parts.name, handed_back=len(late))


async def _serve_slot(parts: WorkerParts, stop: asyncio.Event) -> None:
    """Run one job after the other."""
    while not stop.is_set():
        try:
            claim = await parts.jobs.claim(parts.name, wait_s=_CLAIM_WAIT_S)
        except JobsUnavailable:
            await asyncio.sleep(_PAUSE_S)
            continue
        except Exception:
            # A record that cannot be read: it is claimed three times at most, and the slot must not end with it.
            _log.exception("no job could be claimed")
            await asyncio.sleep(_PAUSE_S)
            continue
        if claim is None:
            continue
        if stop.is_set():
            with suppress(JobsUnavailable):
                await parts.jobs.hand_back(claim)
            return
        try:
            await parts.runner.run(claim)
        except Exception:
            # The claim runs out and the job is tried again, three times at most: the slot must not end with it.
            _log.exception("job broke", job=claim.job.id)


async def _keep_going(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run what has no end of its own, again where it broke."""
    while True:
        try:
            await work()
        except Exception:
            _log.exception("a part of the worker broke")
        await asyncio.sleep(_PAUSE_S)


async def _announce(parts: WorkerParts) -> None:
    while True:
        try:
            await parts.jobs.announce(parts.name, slots=parts.slots)
        except JobsUnavailable as error:
            _log.warning("not announced", reason=str(error))
        await asyncio.sleep(ANNOUNCE_S)


async def _retire(parts: WorkerParts) -> None:
    try:
        await parts.jobs.retire(parts.name)
    except JobsUnavailable:
        return  # the announcement ends by itself
