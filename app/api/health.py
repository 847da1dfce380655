"""Is the process alive, and can it do its work."""

from litestar import Router, get

from app.service.readiness import Condition, Readiness


def router(readiness: Readiness) -> Router:
    """Make the routes for probes; they need no key."""

    @get("/ready")
    async def ready() -> Condition:
        """200 when Redis answers and an encode process is ready; else 503 `unavailable`, naming what is missing."""
        return await readiness.check()

    return Router("/health", route_handlers=[live, ready])


@get("/live")
async def live() -> dict[str, str]:
    """Answer at once and ask nothing of Redis or the encoders: a restart would not mend those."""
    return {"status": "alive"}
