"""The bound: the same pipeline on libvips in a pool of processes, without HTTP, hand-over or lock-down."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path

from perf.bare import compress_raw, prepare
from perf.peers.peer import WORKERS, Job, Peer, Picture, Task, Turn
from pixels.options import Options
from pixels.pipeline import compress
from pixels.vips import pyvips


class BareLibvips(Peer):
    """A process for each core that does nothing but `pixels.pipeline`."""

    title = "raw libvips (bound)"
    setup = "one process for each core calls `pixels.pipeline`; no HTTP, no clients, sources already in memory"
    encoder = "ours"

    def install(self) -> str:
        """Tell the version."""
        return f"libvips {'.'.join(str(pyvips.version(part)) for part in range(3))}"

    @contextmanager
    def run(self, folder: Path) -> Iterator[None]:
        """Start the processes."""
        with get_context("forkserver").Pool(WORKERS, prepare) as pool:
            self._pool = pool
            yield

    def fetch(self, picture: Picture, task: Task) -> bytes:
        """Return what the pipeline makes, in this process."""
        return bytes(compress(picture.data, _choose(task)).data)

    def work(self, jobs: Sequence[Job]) -> Turn:
        """Hand out the jobs one by one."""
        begun = time.perf_counter()
        calls = [(picture.data, _choose(task), 1) for picture, task in jobs]
        cpu_s = sum(self._pool.starmap(compress_raw, calls, chunksize=1))
        return Turn(len(jobs), time.perf_counter() - begun, cpu_s)


def _choose(task: Task) -> Options:
    return Options(format=task.format, quality=task.quality, max_width=task.box, max_height=task.box)
