"""The metrics of one process are there whatever else is not."""

import asyncio
import os
import signal
from pathlib import Path

from app.adapters.embedded import EmbeddedValkey
from app.adapters.metric_families import Family
from app.settings import Settings
from app.wiring import assemble
from tests.app.queues import run


def test_while_redis_hangs_only_the_lanes_are_not_told(valkey: EmbeddedValkey, short_folder: Path) -> None:
    async def scenario() -> None:
        parts = assemble(Settings(data_dir=short_folder, redis_url=f"unix://{short_folder / 's'}", metrics_port=9464))
        server = parts.eyes._server
        assert server is not None

        async def told() -> dict[str, Family]:
            return {family.name: family for family in await server._read()}

        # A server that is up may be slow for a moment, too.
        while len((await told())["compressorize_queue_depth"].samples) != 2:
            await asyncio.sleep(0.01)
        os.kill(valkey.pid, signal.SIGSTOP)
        try:
            families = await told()
        finally:
            os.kill(valkey.pid, signal.SIGCONT)
        assert families["compressorize_queue_depth"].samples == []
        assert families["compressorize_slots_waiting"].samples == [("compressorize_slots_waiting", {}, 0)]
        while len((await told())["compressorize_queue_depth"].samples) != 2:
            await asyncio.sleep(0.01)
        for client in parts.clients:
            await client.aclose()

    run(scenario())
