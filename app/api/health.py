"""Is the process alive, and can it do its work."""

from litestar import get

from app.service.readiness import Readiness


@get("/health/live", tags=["Health"], summary="Is the process alive?")
async def live() -> dict[str, str]:
    """Answers at once and asks nothing of Redis or the encoders: a restart would not mend those."""
    return {"status": "alive"}


@get("/health/ready", tags=["Health"], summary="Can it serve requests?")
async def ready(readiness: Readiness) -> dict[str, str]:
    """200 when Redis answers and an encode process is ready; otherwise 503 `unavailable`, naming what is missing."""
    return await readiness.check()
