"""What locking encode processes down costs, beside processes that are not: `python -m perf.lockdown`.

A locked and an unlocked process of the real pool take the same jobs in turn, in one run; the ratio is CPU of the one
over CPU of the other, pair by pair.
"""

import asyncio
import os
import resource
import socket
import statistics
from typing import Final
from unittest import mock

from app.service import encode_link, encode_process
from app.service.buffers import BufferPool
from app.service.encode_protocol import Lockdown
from app.service.encoders import Encoders
from perf.bare import photograph
from perf.processes import cpu_s
from pixels.options import Limits, Options

_MEMORY_BYTES: Final = 3 << 30
#: By name: the options, jobs a turn and turns. Short turns, because the machine's speed drifts.
_WORKS: Final = {
    "JPEG q75": (Options(quality=75), 10, 40),
    "JPEG smart": (Options(), 2, 30),
    "WebP q75": (Options(format="webp", quality=75), 2, 30),
    "WebP smart": (Options(format="webp"), 1, 30),
    "AVIF q60": (Options(format="avif", quality=60), 1, 30),
    "AVIF smart": (Options(format="avif"), 1, 20),
    "PNG": (Options(format="png", max_width=400), 2, 20),
}


def run_unlocked(control: socket.socket) -> None:
    """Be an encode process with a bound on its memory and no other wall."""

    def limit_memory(*, memory_bytes: int, **_: int) -> Lockdown:
        resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
        return Lockdown(landlock=0, seccomp=False)

    with mock.patch.object(encode_process, "lock", limit_memory):
        encode_process.run(control)


async def start(*, is_locked: bool) -> Encoders:
    """Start a pool of one process."""
    encoders = Encoders(
        processes=1,
        waiting_per_slot=1,
        wait_timeout_s=60,
        deadline_s=60,
        memory_bytes=_MEMORY_BYTES,
        limits=Limits(),
    )
    child = encode_link._run_child if is_locked else run_unlocked  # no service has a way to leave it out
    with mock.patch.object(encode_link, "_run_child", child):
        await encoders.start()
    if encoders.lockdown is None or encoders.lockdown.seccomp is not is_locked:
        raise RuntimeError(f"this process is to be locked: {is_locked}, and has {encoders.lockdown}")
    return encoders


async def compress(encoders: Encoders, buffers: BufferPool, source: bytes, options: Options, count: int) -> float:
    """Compress `count` times; the CPU seconds of the pool's process."""
    begun = cpu_s(encoders.pids[0])
    for _ in range(count):
        buffer = buffers.lend()
        if buffer is None:
            raise RuntimeError("no buffer")
        buffer.write(memoryview(source))
        await encoders.encode(buffer, options)
        buffers.take_back(buffer)
    return cpu_s(encoders.pids[0]) - begun


async def main() -> None:
    """Measure every work and print the table, a row when it is known."""
    source = photograph(1000, 667)
    locked, unlocked = await start(is_locked=True), await start(is_locked=False)
    _tell(f"{os.cpu_count()} cores, {locked.lockdown}\n")
    _tell("| work | unlocked CPU ms | locked / unlocked | quartiles |\n| --- | --- | --- | --- |")
    with BufferPool(len(source), most=1, kept=1) as buffers:
        for name, (options, count, turns) in _WORKS.items():
            ratios, plain = [], []
            for turn in range(turns + 1):
                used = {}
                for encoders in (locked, unlocked) if turn % 2 else (unlocked, locked):
                    used[encoders] = await compress(encoders, buffers, source, options, count)
                if turn:  # the first warms up
                    ratios.append(used[locked] / used[unlocked])
                    plain.append(1e3 * used[unlocked] / count)
            low, middle, high = statistics.quantiles(ratios, n=4)
            _tell(f"| {name} | {statistics.median(plain):.1f} | {middle:.3f} | {low:.2f}-{high:.2f} |")
    for encoders in (locked, unlocked):
        encoders.close()


def _tell(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - a command's answer


if __name__ == "__main__":
    # Under its own name, by which the fork server finds `run_unlocked`.
    from perf.lockdown import main as measure

    asyncio.run(measure())
