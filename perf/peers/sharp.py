"""Sharp behind node's own http server."""

import json
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final
from urllib.parse import urlencode

from perf.peers.clients import Request
from perf.peers.install import ask, install_node
from perf.peers.peer import Picture, Server, Task

_SERVER: Final = Path(__file__).with_name("sharp_server.cjs")
_VERSIONS: Final = (
    "const v = require('sharp').versions; console.log(JSON.stringify([v.sharp, v.vips, process.version]))"
)


class Sharp(Server):
    """A server of thirty lines: the body is the picture, the query says what to make of it."""

    title = "sharp"
    setup = (
        "one node process, as sharp's pages on performance advise up to 4 cores: libuv's 4 threads each work on an "
        "image, libvips with 1 thread an image (sharp's default on glibc; libaom starts its own), "
        "`MALLOC_ARENA_MAX=2`; the picture is the bare body of a POST, no key, no limit"
    )
    encoder = "sharp"

    def install(self) -> str:
        """Install the pinned version."""
        modules = install_node()
        sharp, libvips, node = json.loads(ask(["node", "-e", _VERSIONS], modules.parent))
        return f"sharp {sharp} with its libvips {libvips}, node {node}"

    def run(self, folder: Path) -> AbstractContextManager[None]:
        """Run it on a free port."""
        environment = {
            "NODE_PATH": str(install_node()),
            "NODE_ENV": "production",
            "MALLOC_ARENA_MAX": "2",
        }
        return self.serve(["node", _SERVER, "PORT"], environment, folder, "/")

    def ask(self, picture: Picture, task: Task) -> Request:
        """Post the picture."""
        query: dict[str, object] = {"format": task.format, "quality": task.quality}
        if task.box:
            query["box"] = task.box
        if task.mozjpeg:
            query["mozjpeg"] = 1
        return Request(f"/?{urlencode(query)}", {"Content-Type": "image/jpeg"}, picture.data)
