"""What looks at one process: its meter, the port where that is read, and its tracer.

Nothing of it is there, or imported, unless the settings ask for it.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, nullcontext
from typing import TYPE_CHECKING, Any, Literal

from app.ports.meter import UNCOUNTED, Meter
from app.ports.tracer import UNTRACED, Tracer
from app.settings import Settings

if TYPE_CHECKING:
    from app.adapters.metrics_server import MetricsServer
    from app.adapters.otel_tracer import OtelTracer
    from app.adapters.prometheus_meter import PrometheusMeter


class Eyes:
    """The eyes on a process that was started as `role`.

    Attributes
    ----------
    meter
        For all parts that count something.
    tracer
        For all parts that record what a request or job goes through.
    """

    def __init__(self, settings: Settings, role: Literal["api", "worker"]) -> None:
        self._settings = settings
        self._role = role
        self._server: MetricsServer | None = None
        self._counted = _make_meter() if settings.metrics_port else None
        self.meter: Meter = self._counted or UNCOUNTED
        endpoint = settings.otel_exporter_otlp_endpoint
        self._traced = _make_tracer(endpoint, role) if endpoint else None
        self.tracer: Tracer = self._traced or UNTRACED

    def watch(self, **parts: Any) -> None:
        """Look at the parts that `ProcessMetrics` names, too."""
        if self._counted is None:
            return
        from app.adapters.metrics_server import MetricsServer
        from app.adapters.process_metrics import ProcessMetrics

        self._server = MetricsServer(
            self._role,
            ProcessMetrics(self._counted, **parts).read,
            host=self._settings.metrics_host,
            port=self._settings.metrics_port,
            folder=self._settings.metrics_folder,
        )

    def ask_whether(self, is_alive: Callable[[], bool]) -> None:
        """Have the liveness probe of the metrics port answer with `is_alive`."""
        if self._server is not None:
            self._server.is_alive = is_alive

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[None]:
        """Answer those who ask, until the end."""
        try:
            async with nullcontext() if self._server is None else self._server.running():
                yield
        finally:
            if self._traced is not None:
                await asyncio.to_thread(self._traced.close)


def _make_meter() -> "PrometheusMeter":
    # Prometheus' client takes a fifth of a second to import.
    from app.adapters.prometheus_meter import PrometheusMeter

    return PrometheusMeter()


def _make_tracer(endpoint: str, role: str) -> "OtelTracer":
    from app.adapters.otel_tracer import OtelTracer

    return OtelTracer(endpoint, role)
