"""Knowing that a write would outlive a kill of the Redis that acknowledged it."""

import asyncio
from typing import Final

from redis.asyncio import Redis

#: While a sync of its file is under way, Redis keeps writes to itself, for 2 s at most; then it writes come what may.
_WITHIN_S: Final = 2.5
_STEP_S: Final = 0.01


class NotWritten(Exception):
    """What Redis has acknowledged is still in its memory alone."""


async def wait_until_written(client: Redis, *, within_s: float = _WITHIN_S) -> None:
    """Wait until everything that the server has acknowledged to this caller has left its process.

    From then on a kill of the process loses nothing of it; a power cut may still cost what `appendfsync` says. Send it
    after the answer has come: in a pipeline with the write, it would look before the server writes. A server without
    an append-only file promises nothing, and nothing is waited for.

    Raises
    ------
    NotWritten
        Not within `within_s` seconds: the disk stalls, or is full.
    """
    deadline = asyncio.get_running_loop().time() + within_s
    size, target = 0, 0
    while True:
        info = await client.info("persistence")
        held = info["aof_buffer_length"] if info["aof_enabled"] else 0
        before, size = size, info.get("aof_current_size", 0)
        if not held or (target and before <= size >= target):
            return
        # Later writes of others may be held each time one looks, so one's own are known by the file's size; a file
        # that got smaller was rewritten.
        if not target or size < before:
            target = size + held
        if asyncio.get_running_loop().time() >= deadline:
            raise NotWritten(f"Redis has kept a write in its memory for {within_s:g} s")
        await asyncio.sleep(_STEP_S)
