"""Builds the Litestar application; Granian calls `create` once in each of its processes."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import cast

from litestar import Litestar
from litestar.di import Provide

from app import logs
from app.api import health, reference, replies, routes
from app.api.edge import ASGIApp, Edge
from app.settings import Settings
from app.wiring import Parts, assemble


def create() -> Edge:
    """Make the application from the environment's settings."""
    settings = Settings.from_environment()
    logs.configure(settings)
    parts = assemble(settings)

    @asynccontextmanager
    async def lifespan(_: Litestar) -> AsyncGenerator[None]:
        async with parts.running():
            yield

    application = Litestar(
        route_handlers=[routes.router(parts.keys, parts.limiter), health.router(), reference.router(settings)],
        dependencies=_dependencies(parts),
        exception_handlers={Exception: replies.error},
        lifespan=[lifespan],
        # Litestar's own document would know nothing of bodies that are read from the socket.
        openapi_config=None,
        # The body is read by `api.form`, which has bounds of its own.
        request_max_body_size=None,
        # Litestar's own set-up would replace ours.
        logging_config=None,
    )
    return Edge(cast("ASGIApp", application))


def _dependencies(parts: Parts) -> dict[str, Provide]:
    def provide(value: object) -> Provide:
        return Provide(lambda: value, sync_to_thread=False)

    return {
        "settings": provide(parts.settings),
        "buffers": provide(parts.buffers),
        "compressor": provide(parts.compressor),
        "readiness": provide(parts.readiness),
    }
