"""FastAPI with Pillow: what a Python developer would write first."""

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final

from perf.peers.clients import Request
from perf.peers.install import install_python, read_versions
from perf.peers.peer import WORKERS, Picture, Server, Task
from perf.running import FORM_TYPE, wrap_in_form

_APP: Final = Path(__file__).with_name("fastapi_app")


class FastApiPillow(Server):
    """A handler of ten lines, in uvicorn with a worker for each core."""

    title = "FastAPI + Pillow"
    setup = (
        "`uvicorn --workers` with one for each core, no access log; a plain `def` handler with an `UploadFile`, which "
        "FastAPI runs in threads; Pillow's defaults but for the quality; multipart upload, no key, no limit"
    )
    encoder = "pillow"

    def install(self) -> str:
        """Install the pinned versions."""
        return read_versions(install_python("pillow"), ("fastapi", "starlette", "uvicorn", "pillow"))

    def run(self, folder: Path) -> AbstractContextManager[None]:
        """Run it on a free port."""
        program = install_python("pillow") / "uvicorn"
        options = ["--port", "PORT", "--workers", str(WORKERS), "--no-access-log", "--log-level", "warning"]
        return self.serve([program, "--app-dir", _APP, "compressing:app", *options], {}, folder, "/openapi.json")

    def ask(self, picture: Picture, task: Task) -> Request:
        """Upload the picture as a form."""
        fields = {"format": task.format, "quality": str(task.quality)}
        if task.box:
            fields["box"] = str(task.box)
        before, after = wrap_in_form(fields)
        return Request("/", {"Content-Type": FORM_TYPE}, before + picture.data + after)
