"""Is the process alive, and can it do its work."""

from litestar import Router, get

from app.service.readiness import Readiness


def router() -> Router:
    """Make the routes for probes; they need no key."""
    return Router("/health", route_handlers=[live, ready])


@get("/live")
async def live() -> dict[str, str]:
    """Answers at once and asks nothing of Redis or the encoders: a restart would not mend those."""
    return {"status": "alive"}


@get("/ready")
async def ready(readiness: Readiness) -> dict[str, str]:
    """200 when Redis answers and an encode process is ready; otherwise 503 `unavailable`, naming what is missing."""
    return await readiness.check()
