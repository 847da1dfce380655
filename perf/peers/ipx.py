"""ipx, the image server of Nuxt: sharp behind h3, which reads pictures from a folder."""

import json
from contextlib import AbstractContextManager
from pathlib import Path

from perf.peers.clients import Request
from perf.peers.install import NODE_MODULES, install_node
from perf.peers.peer import Picture, Server, Task


class Ipx(Server):
    """Its own command, `ipx serve`."""

    title = "ipx"
    setup = (
        "`ipx serve --dir`, one node process, environment as sharp's; it reads the picture from a file in the page "
        "cache and receives no upload"
    )
    encoder = "ipx"

    def install(self) -> str:
        """Install the pinned version."""
        modules = install_node()
        own = modules / "ipx" / "node_modules" / "sharp" / "package.json"
        sharp = own if own.exists() else modules / "sharp" / "package.json"
        return f"ipx {_read_version(modules / 'ipx' / 'package.json')} with sharp {_read_version(sharp)}"

    def run(self, folder: Path) -> AbstractContextManager[None]:
        """Serve `folder` on a free port."""
        environment = {"NODE_ENV": "production", "MALLOC_ARENA_MAX": "2"}
        program = NODE_MODULES / ".bin" / "ipx"
        command: list[str | Path] = [program, "serve", "--dir", folder, "--port", "PORT", "--host", "127.0.0.1"]
        return self.serve(command, environment, folder, "/")

    def ask(self, picture: Picture, task: Task) -> Request:
        """Name the file and what to make of it in the path."""
        modifiers = [f"f_{task.format}", f"q_{task.quality}"]
        if task.box:
            modifiers += [f"s_{task.box}x{task.box}", "fit_inside"]
        return Request(f"/{','.join(modifiers)}/{picture.name}")


def _read_version(path: Path) -> str:
    version: str = json.loads(path.read_text())["version"]
    return version
