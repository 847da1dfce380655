"""The published routes. Each handler is a request's whole story in a few lines.

Handlers close over the parts that they use: Litestar's injection would start a task for each part of each request.
"""

from typing import Any

from litestar import Request, Router, get, post
from litestar.params import FromPath
from litestar.response.base import ASGIResponse

from app.api import replies
from app.api.form import read_form
from app.api.limits import door
from app.errors import ServiceError
from app.ports.keys import Keys
from app.ports.limiter import Limiter
from app.service.buffers import BufferPool
from app.service.compress import Compressor
from app.settings import Settings


def compression(
    keys: Keys, limiter: Limiter, compressor: Compressor, buffers: BufferPool, settings: Settings
) -> Router:
    """Make the route that compresses."""

    @post("/", status_code=200)
    async def compress(request: Request[Any, Any, Any]) -> ASGIResponse:
        """Compress an image and return it."""
        compressor.refuse_if_full()
        form = await read_form(request, buffers, settings)
        if form.upload is None:
            raise ServiceError("fetch_failed", "This version does not fetch URLs yet: upload the image as 'file'.")
        result = await compressor.compress(form.upload, form.parameters.options)
        return replies.compressed(result, form.upload.size)

    return Router("/api/v1/compress", route_handlers=[compress], guards=[door(keys, limiter, "compress")])


def polling(keys: Keys, limiter: Limiter) -> Router:
    """Make the routes that ask after jobs, with a budget of their own."""
    return Router("/api/v1", route_handlers=[status, download], guards=[door(keys, limiter, "poll")])


@get("/status/{job_id:str}")
async def status(job_id: FromPath[str]) -> None:
    """Tell how a job stands."""
    raise _no_such_job(job_id)


@get("/download/{job_id:str}")
async def download(job_id: FromPath[str]) -> None:
    """Redirect to a job's result."""
    raise _no_such_job(job_id)


def _no_such_job(_: str) -> ServiceError:
    # No request of this version becomes a job, so no id is known.
    return ServiceError("not_found", "There is no such job, or it is older than 24 h.")
