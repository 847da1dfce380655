"""What the suites share: the pace, a libvips set up as in an encode process, and a Valkey of their own."""

import asyncio
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import uvloop

from app.adapters.embedded import EmbeddedValkey
from perf.bench.pace import Calibration, Pace
from perf.bench.server import Server
from pixels import vips

#: Seconds of each benchmark: enough for quartiles, and few enough for some forty of them.
BUDGET_S = float(os.environ.get("BENCH_S", "1.2"))


@pytest.fixture(scope="session")
def calibration() -> Calibration:
    made = Calibration()
    made.run()
    return made


@pytest.fixture
def pace(benchmark: Any, calibration: Calibration) -> Pace:
    return Pace(benchmark, calibration, budget_s=BUDGET_S)


@pytest.fixture(scope="session", autouse=True)
def prepared() -> None:
    vips.prepare()


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """Run a Valkey, and an event loop as the service's."""
    with (
        tempfile.TemporaryDirectory(prefix="cz-") as folder,
        EmbeddedValkey(Path(folder), Path(folder, "s")) as valkey,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        assert valkey.pid is not None
        running = Server(f"unix://{folder}/s", valkey.pid, runner)
        yield running
        running.close()
