"""Builds the Litestar application; Granian calls `create` once in each of its processes."""

import gc
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final, cast

from litestar import Litestar

from app import logs
from app.api import cdn, files, health, purge, reference, replies, routes
from app.api.edge import ASGIApp, Edge
from app.api.traced import Traced
from app.ports.tracer import UNTRACED
from app.settings import Settings
from app.wiring import Parts, assemble

#: When objects in cycles are looked for, by generation. At Python's own 700, a loop with hundreds of requests under way
#: spent a twelfth of its time on that, in pauses that everybody waited for.
_COLLECTIONS: Final = (20_000, 20, 50)


def create() -> cdn.CdnFront:
    """Make the application from the environment's settings."""
    settings = Settings.from_environment()
    logs.configure(settings)
    parts = assemble(settings)
    edge = Edge(cast("ASGIApp", build(parts)), parts.eyes.meter)
    traced = edge if parts.eyes.tracer is UNTRACED else Traced(edge, parts.eyes.tracer)
    return cdn.CdnFront(traced, parts.cdn.door, parts.eyes.meter)


def build(parts: Parts) -> Litestar:
    """Put routes, errors and lifetimes together."""

    @asynccontextmanager
    async def lifespan(_: Litestar) -> AsyncGenerator[None]:
        async with parts.running():
            gc.freeze()  # routes and modules stay for good: collections need not walk them
            gc.set_threshold(*_COLLECTIONS)
            yield

    return Litestar(
        route_handlers=[
            routes.compression(parts.keys, parts.limiter, parts.once, parts.story),
            routes.polling(parts.keys, parts.limiter, parts.desk),
            cdn.router(parts.cdn.cdn, parts.cdn.door),
            purge.router(parts.keys, parts.limiter, parts.cdn.accounts, parts.cdn.cdn, parts.settings),
            *([] if parts.served_blobs is None else [files.router(parts.served_blobs)]),
            health.router(parts.readiness),
            reference.router(parts.settings),
        ],
        exception_handlers={Exception: replies.error},
        lifespan=[lifespan],
        # Litestar's own document would know nothing of bodies that are read from the socket.
        openapi_config=None,
        # The body is read by `api.form`, which has bounds of its own.
        request_max_body_size=None,
        # Litestar's own set-up would replace ours.
        logging_config=None,
    )
