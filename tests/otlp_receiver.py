"""A collector for the tests: takes spans over OTLP/HTTP."""

import gzip
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple, Self

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span as ProtoSpan


class Span(NamedTuple):
    """A span that arrived; ids in hexadecimal, times in nanoseconds."""

    name: str
    kind: int
    trace_id: str
    span_id: str
    parent_id: str
    begun: int
    ended: int
    failed: bool
    attributes: dict[str, Any]
    role: str


class OtlpReceiver:
    """Listens on the loopback while it is entered."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        taken = self.spans

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                assert self.path == "/v1/traces"
                taken.extend(read_spans(body))
                reply = ExportTraceServiceResponse().SerializeToString()
                self.send_response(200)
                self.send_header("Content-Type", "application/x-protobuf")
                self.send_header("Content-Length", str(len(reply)))
                self.end_headers()
                self.wfile.write(reply)

            def log_message(self, *_: object) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Be away from now on."""
        self._server.shutdown()
        self._server.server_close()

    def trace(self, trace_id: str, are_there: Callable[[list[Span]], bool], within_s: float = 30) -> list[Span]:
        """The spans of a trace, once they are as expected, or when the time is over."""
        end = time.monotonic() + within_s
        while True:
            found = [span for span in list(self.spans) if span.trace_id == trace_id]
            if are_there(found) or time.monotonic() > end:
                return found
            time.sleep(0.05)


def read_spans(body: bytes) -> list[Span]:
    request = ExportTraceServiceRequest.FromString(body)
    found = []
    for resource in request.resource_spans:
        process = {one.key: one.value.string_value for one in resource.resource.attributes}
        assert process["service.name"] == "compressorize"
        for scope in resource.scope_spans:
            found += [_read(span, process["compressorize.role"]) for span in scope.spans]
    return found


def _read(span: ProtoSpan, role: str) -> Span:
    return Span(
        span.name,
        span.kind,
        span.trace_id.hex(),
        span.span_id.hex(),
        span.parent_span_id.hex(),
        span.start_time_unix_nano,
        span.end_time_unix_nano,
        span.status.code == span.status.STATUS_CODE_ERROR,
        {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in span.attributes},
        role,
    )
