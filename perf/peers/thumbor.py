"""thumbor: Tornado and Pillow, which reads pictures from a folder here."""

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final

from perf.peers.clients import Request
from perf.peers.install import install_python, read_versions
from perf.peers.peer import WORKERS, Picture, Server, Task

_SETTINGS: Final = Path(__file__).with_name("thumbor.conf")


class Thumbor(Server):
    """Its own command with a process for each core, which keeps no picture and no result."""

    title = "thumbor"
    setup = (
        "`thumbor --processes` with one for each core; its file loader reads the picture from the page cache, it "
        "receives no upload and keeps no result; otherwise its defaults (progressive JPEG)"
    )
    encoder = "thumbor"

    def install(self) -> str:
        """Install the pinned version."""
        return read_versions(install_python("thumbor"), ("thumbor", "tornado", "pillow"))

    def run(self, folder: Path) -> AbstractContextManager[None]:
        """Serve `folder` on a free port."""
        program = install_python("thumbor") / "thumbor"
        command: list[str | Path] = [
            program,
            "--port",
            "PORT",
            "--ip",
            "127.0.0.1",
            "--conf",
            _SETTINGS,
            "--processes",
            str(WORKERS),
        ]
        return self.serve(command, {"FILE_LOADER_ROOT_PATH": str(folder)}, folder, "/healthcheck")

    def ask(self, picture: Picture, task: Task) -> Request:
        """Name the file and what to make of it in the path."""
        size = f"fit-in/{task.box}x{task.box}/" if task.box else ""
        return Request(f"/unsafe/{size}filters:format({task.format}):quality({task.quality})/{picture.name}")
