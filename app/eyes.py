"""What looks at one process: its meter, and the port where that is read. Nothing, unless the settings ask for it."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Literal

from app.ports.meter import UNCOUNTED, Meter
from app.settings import Settings

if TYPE_CHECKING:
    from app.adapters.metrics_server import MetricsServer
    from app.adapters.prometheus_meter import PrometheusMeter


class Eyes:
    """The eyes on a process that was started as `role`.

    Attributes
    ----------
    meter
        For all parts that count something.
    """

    def __init__(self, settings: Settings, role: Literal["api", "worker"]) -> None:
        self._settings = settings
        self._role = role
        self._server: MetricsServer | None = None
        self._counted = _make_meter() if settings.metrics_port else None
        self.meter: Meter = self._counted or UNCOUNTED

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
        if self._server is None:
            yield
        else:
            async with self._server.running():
                yield


def _make_meter() -> "PrometheusMeter":
    # Prometheus' client takes a fifth of a second to import.
    from app.adapters.prometheus_meter import PrometheusMeter

    return PrometheusMeter()
