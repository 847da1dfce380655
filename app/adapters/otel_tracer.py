"""Traces by OpenTelemetry's own SDK, sent over OTLP/HTTP by a thread of its own.

What the settings do not have is the SDK's: `OTEL_TRACES_SAMPLER`, `OTEL_EXPORTER_OTLP_HEADERS`, `OTEL_BSP_*` and so on.
"""

import os
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from typing import Final

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from structlog.contextvars import bound_contextvars

from app.ports.meter import Stage
from app.ports.tracer import Kind

_KINDS: Final[dict[Kind, SpanKind]] = {
    "server": SpanKind.SERVER,
    "client": SpanKind.CLIENT,
    "consumer": SpanKind.CONSUMER,
    "internal": SpanKind.INTERNAL,
}
_PROPAGATOR: Final = TraceContextTextMapPropagator()
#: At the end, spans have this long to be sent; a collector that is away must hold nobody up.
_CLOSE_S: Final = 1.5


class OtelTracer:
    """`Tracer` whose spans go to `endpoint`, the base URL of an OTLP/HTTP collector.

    Log lines within a span carry its `trace_id`.
    """

    def __init__(self, endpoint: str, role: str) -> None:
        resource = Resource.create(
            {
                "service.name": os.environ.get("OTEL_SERVICE_NAME") or "compressorize",
                "service.version": version("compressorize"),
                "compressorize.role": role,
                "process.pid": os.getpid(),
            }
        )
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        exporter = OTLPSpanExporter(f"{endpoint.rstrip('/')}/v1/traces")
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("compressorize")

    @contextmanager
    def span(self, name: str, *, kind: Kind = "internal", parent: str = "") -> Iterator["_OtelSpan"]:
        """Record what happens within; see `Tracer.span`."""
        under = _PROPAGATOR.extract({"traceparent": parent}, Context()) if parent else None
        with self._tracer.start_as_current_span(
            name, under, _KINDS[kind], record_exception=False, set_status_on_exception=False
        ) as made:
            span = _OtelSpan(made)
            with bound_contextvars(trace_id=trace.format_trace_id(made.get_span_context().trace_id)):
                try:
                    yield span
                except BaseException as error:
                    # By its name alone: its text may hold what nobody is to read.
                    span.fail(type(error).__name__)
                    raise

    def add_stages(self, stages_ms: Mapping[Stage, float], format_name: str) -> None:
        """Record stages that have just ended; see `Tracer.add_stages`."""
        if not trace.get_current_span().is_recording():
            return
        at_ns = time.time_ns() - round(1e6 * sum(stages_ms.values()))
        for stage, took_ms in stages_ms.items():
            if took_ms:
                span = self._tracer.start_span(
                    stage, attributes={"compressorize.format": format_name}, start_time=at_ns
                )
                at_ns += round(1e6 * took_ms)
                span.end(at_ns)

    def context(self) -> str:
        """What is under way as a `traceparent`; see `Tracer.context`."""
        carrier: dict[str, str] = {}
        _PROPAGATOR.inject(carrier)
        return carrier.get("traceparent", "")

    def close(self) -> None:
        """Send what is left, as far as there is time; blocks."""
        closing = threading.Thread(target=self._provider.shutdown, daemon=True)
        closing.start()
        closing.join(_CLOSE_S)


class _OtelSpan:
    def __init__(self, span: trace.Span) -> None:
        self._span = span

    def rename(self, name: str) -> None:
        self._span.update_name(name)

    def note(self, name: str, value: str | int | float) -> None:
        self._span.set_attribute(name, value)

    def fail(self, reason: str) -> None:
        self._span.set_attribute("error.type", reason)
        self._span.set_status(Status(StatusCode.ERROR))
