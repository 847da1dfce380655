"""The published routes. Each handler is a request's whole story in a few lines.

Handlers close over the parts that they use: Litestar's injection would start a task for each part of each request.
"""

from typing import Any

from litestar import Request, Router, get, post
from litestar.params import FromPath
from litestar.response.base import ASGIResponse

from app.api import replies
from app.api.compression import Compression
from app.api.exchange import exchange_of
from app.api.limits import door
from app.ports.keys import Keys
from app.ports.limiter import Limiter
from app.service.desk import Desk
from app.service.once import Once


def compression(keys: Keys, limiter: Limiter, once: Once, story: Compression) -> Router:
    """Make the route that compresses."""
    admit = door(keys, limiter, "compress", once)

    @post("/", status_code=200)
    async def compress(request: Request[Any, Any, Any]) -> ASGIResponse:
        """Compress an image and return it, or take it as a job."""
        await admit(request)
        return await story.handle(request)

    return Router("/api/v1/compress", route_handlers=[compress])


def polling(keys: Keys, limiter: Limiter, desk: Desk) -> Router:
    """Make the routes that ask after jobs, with a budget of their own."""
    admit = door(keys, limiter, "poll")

    @get("/status/{job_id:str}")
    async def status(request: Request[Any, Any, Any], job_id: FromPath[str]) -> ASGIResponse:
        """Tell how a job stands."""
        await admit(request)
        return replies.status(await desk.find(job_id, exchange_of(request).caller.account))

    @get("/download/{job_id:str}", status_code=302)
    async def download(request: Request[Any, Any, Any], job_id: FromPath[str]) -> ASGIResponse:
        """Redirect to a job's result."""
        await admit(request)
        job = await desk.find(job_id, exchange_of(request).caller.account)
        return replies.redirect(await desk.link(job))

    return Router("/api/v1", route_handlers=[status, download])
