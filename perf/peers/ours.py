"""Compressorize itself, as `serve` runs it: one event loop, an encode process for each core, a private Valkey."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from itertools import count
from pathlib import Path
from typing import ClassVar

from perf.peers.clients import Request
from perf.peers.peer import Picture, Server, Task
from perf.running import FORM_TYPE, NO_REUSE, RunningService, wrap_in_form
from pixels.vips import pyvips


class Ours(Server):
    """The service, with keys and limits on, which keeps no result: the peers keep none either."""

    title = "ours"
    setup = "`compressorize serve`, `REUSE_RESULTS=false`, `KEEP_SYNC_RESULTS=false`; multipart upload, key, rate limit"
    encoder = "ours"
    settings: ClassVar[dict[str, str]] = {**NO_REUSE, "KEEP_SYNC_RESULTS": "false"}

    def install(self) -> str:
        """Tell the versions: it is installed, since it runs this."""
        libvips = ".".join(str(pyvips.version(part)) for part in range(3))
        named = ("compressorize", "litestar", "granian", "mozjpeg-lossless-optimization")
        return ", ".join([*(f"{name} {metadata.version(name)}" for name in named), f"libvips {libvips}"])

    @contextmanager
    def run(self, folder: Path) -> Iterator[None]:
        """Run it on a free port."""
        with RunningService(self.settings) as service:
            self.port, self.pid, self._key = service.port, service.pid, service.key
            yield

    def ask(self, picture: Picture, task: Task) -> Request:
        """Upload the picture as a form."""
        fields = {"format": task.format, "quality": "smart" if task.quality is None else str(task.quality)}
        if task.box:
            fields |= {"max_width": str(task.box), "max_height": str(task.box)}
        before, after = wrap_in_form(fields)
        headers = {"Authorization": f"Bearer {self._key}", "Content-Type": FORM_TYPE}
        return Request("/api/v1/compress", headers, before + self.mark(picture.data) + after)

    def mark(self, source: bytes) -> bytes:
        """Return what to upload for `source`."""
        return source


class OursSmall(Ours):
    """The service with smart's encoder for JPEGs whose quality is a number, too."""

    title = "ours, JPEG_ENCODER=small"
    setup = "as *ours*, with `JPEG_ENCODER=small`"
    encoder = "ours, small"
    settings: ClassVar[dict[str, str]] = {**Ours.settings, "JPEG_ENCODER": "small"}


class OursByDefault(Ours):
    """The service with its default settings: results are kept for download, and would be reused.

    Each upload is a file of its own, so that every one is encoded: a number follows the end of the JPEG.
    """

    title = "ours, default settings"
    setup = "`compressorize serve`: every result is stored and can be downloaded; no upload comes twice"
    settings: ClassVar[dict[str, str]] = {}

    def __init__(self) -> None:
        self._numbers = count()

    def mark(self, source: bytes) -> bytes:
        """Return `source` with a number that no upload before had."""
        return source + next(self._numbers).to_bytes(8, "big")
