"""The meter that Prometheus reads: what each name means is in docs/observability.md."""

from collections.abc import Mapping
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, disable_created_metrics

from app.ports.meter import Attempt, Stage
from pixels.formats import FormatName

# When a counter began would be a second series for each; Prometheus sees a reset by itself.
disable_created_metrics()  # type: ignore[no-untyped-call]  # the package has no annotation there

#: From an answer that was kept to a job at its deadline.
_REQUEST_BUCKETS_S: Final = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_STAGE_BUCKETS_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_JOB_BUCKETS_S: Final = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300, 900, 3600)
_WEBHOOK_BUCKETS_S: Final = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15)
#: Close together about the usual target of 1.2: how many results are within 10 % and within 25 % of it can be read off.
_DISTANCE_BUCKETS: Final = (0.25, 0.5, 0.75, 0.9, 1.0, 1.08, 1.2, 1.32, 1.5, 2.0, 3.0, 5.0)


class PrometheusMeter:
    """`Meter` by Prometheus' own client, in this process' memory.

    Attributes
    ----------
    registry
        What was counted, and what the process itself takes.
    """

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self._requests = Counter("compressorize_requests", "Answers.", ("route", "status"), registry=registry)
        self._request_s = Histogram(
            "compressorize_request_seconds",
            "From a request's head until its answer was handed to the server.",
            ("route",),
            buckets=_REQUEST_BUCKETS_S,
            registry=registry,
        )
        self._refusals = Counter(
            "compressorize_refusals", "Answers that were errors, by code.", ("code",), registry=registry
        )
        self._received = Counter("compressorize_received_bytes", "Bytes of requests' bodies.", registry=registry)
        self._sent = Counter("compressorize_sent_bytes", "Bytes of answers' bodies.", registry=registry)
        self._stage_s = Histogram(
            "compressorize_stage_seconds",
            "What each stage of an encode took, by the result's format.",
            ("stage", "format"),
            buckets=_STAGE_BUCKETS_S,
            registry=registry,
        )
        self._source = Counter(
            "compressorize_source_bytes", "Bytes of pictures before compression.", ("format",), registry=registry
        )
        self._saved = Counter(
            "compressorize_saved_bytes", "Bytes that compression took off them.", ("format",), registry=registry
        )
        self._distance = Histogram(
            "compressorize_distance",
            "Butteraugli 3-norm between source and result, where smart quality measured it.",
            ("format",),
            buckets=_DISTANCE_BUCKETS,
            registry=registry,
        )
        self._jobs = Counter(
            "compressorize_jobs", "Jobs that a worker is done with.", ("lane", "outcome"), registry=registry
        )
        self._job_wait_s = Histogram(
            "compressorize_job_wait_seconds",
            "From a job's submission until a worker took it.",
            ("lane",),
            buckets=_JOB_BUCKETS_S,
            registry=registry,
        )
        self._job_s = Histogram(
            "compressorize_job_seconds",
            "From when a worker took a job until it was done with it.",
            ("lane",),
            buckets=_JOB_BUCKETS_S,
            registry=registry,
        )
        self._webhooks = Counter(
            "compressorize_webhook_attempts", "Attempts to send a webhook.", ("outcome",), registry=registry
        )
        self._webhook_s = Histogram(
            "compressorize_webhook_seconds",
            "What an attempt to send a webhook took.",
            buckets=_WEBHOOK_BUCKETS_S,
            registry=registry,
        )

    def count_request(
        self, route: str, status: int, *, took_s: float, bytes_in: int, bytes_out: int, refusal: str | None
    ) -> None:
        """Count an answer; see `Meter.count_request`."""
        self._requests.labels(route, status).inc()
        self._request_s.labels(route).observe(took_s)
        self._received.inc(bytes_in)
        self._sent.inc(bytes_out)
        if refusal is not None:
            self._refusals.labels(refusal).inc()

    def count_encode(
        self,
        target: FormatName,
        *,
        stages_ms: Mapping[Stage, float],
        source_bytes: int,
        result_bytes: int,
        distance: float | None,
    ) -> None:
        """Count a picture; see `Meter.count_encode`."""
        for stage, took_ms in stages_ms.items():
            if took_ms:
                self._stage_s.labels(stage, target).observe(took_ms / 1e3)
        self._source.labels(target).inc(source_bytes)
        self._saved.labels(target).inc(max(0, source_bytes - result_bytes))
        if distance is not None:
            self._distance.labels(target).observe(distance)

    def count_job(self, lane: str, outcome: str, *, waited_s: float, took_s: float) -> None:
        """Count a job; see `Meter.count_job`."""
        self._jobs.labels(lane, outcome).inc()
        # It was submitted by another machine's clock.
        self._job_wait_s.labels(lane).observe(max(0.0, waited_s))
        self._job_s.labels(lane).observe(took_s)

    def count_webhook(self, attempt: Attempt, *, took_s: float) -> None:
        """Count an attempt; see `Meter.count_webhook`."""
        self._webhooks.labels(attempt).inc()
        self._webhook_s.observe(took_s)
