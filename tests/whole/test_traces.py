"""One trace leads from a request through the queue to the worker's encode; where nobody asks there is none."""

import os
from collections.abc import Iterator
from typing import get_args

import pytest
from opentelemetry.trace import SpanKind

from app.ports.meter import Stage
from tests.otlp_receiver import OtlpReceiver, Span
from tests.whole.jobs import is_soon, submit, wait_for_end
from tests.whole.pictures import encoded, photo
from tests.whole.service import COMPRESS, Service, error_of

JPEG = encoded(photo(), "JPEG", quality=95)
STAGES = get_args(Stage)
#: As OTLP counts them.
SERVER, CONSUMER = SpanKind.SERVER.value + 1, SpanKind.CONSUMER.value + 1


@pytest.fixture(scope="module")
def receiver() -> Iterator[OtlpReceiver]:
    with OtlpReceiver() as listening:
        yield listening


@pytest.fixture(scope="module")
def traced(receiver: OtlpReceiver) -> Iterator[Service]:
    running = Service(
        OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url + "/", OTEL_BSP_SCHEDULE_DELAY="100", REUSE_RESULTS="false"
    )
    yield running.start()
    running.close()


def new_parent(flags: str = "01") -> tuple[str, str, dict[str, str]]:
    """Ids of a trace and a span of somebody else's, and the header that tells them."""
    trace_id, span_id = os.urandom(16).hex(), os.urandom(8).hex()
    return trace_id, span_id, {"traceparent": f"00-{trace_id}-{span_id}-{flags}"}


def by_name(spans: list[Span]) -> dict[str, Span]:
    return {span.name: span for span in spans}


def test_an_answer_is_one_trace_with_its_stages(traced: Service, receiver: OtlpReceiver) -> None:
    trace_id, span_id, header = new_parent()
    with traced.client() as client:
        reply = client.compress(JPEG, headers=header, format="webp")
    assert reply.status_code == 200
    spans = by_name(receiver.trace(trace_id, lambda found: len(found) > len(STAGES)))
    assert spans.keys() == {f"POST {COMPRESS}", *STAGES}
    whole = spans.pop(f"POST {COMPRESS}")
    assert (whole.kind, whole.parent_id, whole.role, whole.failed) == (SERVER, span_id, "api", False)
    assert whole.attributes == {
        "http.request.method": "POST",
        "http.route": COMPRESS,
        "http.response.status_code": 200,
        "compressorize.request_id": reply.headers["X-Request-Id"],
    }
    in_order = [spans[stage] for stage in STAGES]
    assert all(stage.parent_id == whole.span_id for stage in in_order)
    assert [stage.begun for stage in in_order] == sorted(stage.begun for stage in in_order)
    assert all(stage.attributes == {"compressorize.format": "webp"} for stage in in_order)

    def request_ids() -> list[str]:
        return [line["request_id"] for line in traced.events("request") if line.get("trace_id") == trace_id]

    assert is_soon(request_ids)
    assert request_ids() == [reply.headers["X-Request-Id"]]


def test_a_job_goes_on_in_the_trace_of_its_request(traced: Service, receiver: OtlpReceiver) -> None:
    trace_id, _, header = new_parent()
    with traced.client() as client:
        client.headers.update(header)
        job = submit(client)
        del client.headers["traceparent"]
        wait_for_end(client, job)
    spans = by_name(receiver.trace(trace_id, lambda found: {"job", "encode"} <= by_name(found).keys()))
    request, work, encode = spans[f"POST {COMPRESS}"], spans["job"], spans["encode"]
    assert (work.kind, work.parent_id, work.role) == (CONSUMER, request.span_id, "worker")
    assert work.attributes == {"compressorize.job_id": job, "compressorize.outcome": "complete"}
    assert (encode.parent_id, encode.role) == (work.span_id, "worker")
    assert request.begun < work.begun < encode.ended <= work.ended
    ends = [line for line in traced.events("job ended") if line["job"] == job]
    assert [line["trace_id"] for line in ends] == [trace_id]


def test_what_is_not_to_be_sampled_and_what_is_no_traceparent(traced: Service, receiver: OtlpReceiver) -> None:
    unsampled, _, header = new_parent("00")
    with traced.client() as client:
        client.compress(JPEG, headers=header, quality="50")
        for nonsense in ("00-zz-zz-01", "x" * 5000, "00-" + "0" * 32 + "-" + "0" * 16 + "-01"):
            assert client.compress(b"GIF89a", headers={"traceparent": nonsense}).status_code == 415
        trace_id, _, header = new_parent()
        assert error_of(client.compress(b"GIF89a", headers=header))[1] == "unsupported_format"
    (refused,) = receiver.trace(trace_id, bool)
    assert not refused.failed  # it is the client's
    assert not [span for span in receiver.spans if span.trace_id == unsampled]
    routes = {span.attributes["http.route"] for span in receiver.spans if span.kind == SERVER}
    assert not {route for route in routes if route.startswith("/health")}


def test_a_collector_that_is_away_costs_nobody_an_answer_or_the_end(traced: Service, receiver: OtlpReceiver) -> None:
    receiver.close()
    with traced.client() as client:
        for _ in range(3):
            assert client.compress(JPEG, quality="50").status_code == 200
    assert traced.stop() == 0
