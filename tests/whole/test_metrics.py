"""Metrics of a whole service: exact over several processes, on a port of their own, and nothing where nobody asks."""

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.ports import free_port
from tests.whole.jobs import is_soon, submit, wait_for_end
from tests.whole.pictures import encoded, photo
from tests.whole.service import NO_TLS, Service

JPEG = encoded(photo(), "JPEG", quality=95)
ROUTE = "/api/v1/compress"


@pytest.fixture(scope="module")
def watched() -> Iterator[Service]:
    """Two API processes and a worker with metrics."""
    running = Service(API_WORKERS="2", ENCODE_PROCESSES="2", METRICS_PORT=str(free_port()), REUSE_RESULTS="false")
    yield running.start()
    running.close()


def ask(service: Service, path: str = "/metrics") -> httpx.Response:
    return httpx.get(f"http://127.0.0.1:{service.environment['METRICS_PORT']}{path}", verify=NO_TLS, timeout=30)


def read(service: Service, **wanted: str) -> "Counter[str]":
    """Every sample by its name, added up over processes and labels but for those that are wanted."""
    found: Counter[str] = Counter()
    seen = set()
    for family in text_string_to_metric_families(ask(service).text):
        for sample in family.samples:
            identity = (sample.name, *sorted(sample.labels.items()))
            assert identity not in seen, identity  # Prometheus would drop the whole page
            seen.add(identity)
            if wanted.items() <= sample.labels.items():
                found[sample.name] += sample.value  # type: ignore[assignment]  # counts may be broken
    return found


def test_what_several_processes_did_is_counted_exactly(watched: Service) -> None:
    with watched.client() as first, watched.client(per_minute=3) as limited:
        before = read(watched)
        for _ in range(12):
            # A connection for each: they come to both processes.
            assert first.compress(JPEG, headers={"Connection": "close"}, quality="70").status_code == 200
        assert first.compress(JPEG, format="webp").status_code == 200  # smart, so that a distance is measured
        assert first.compress(b"GIF89a").status_code == 415
        statuses = [limited.compress(JPEG, quality="70").status_code for _ in range(5)]
        job = submit(first)
        assert wait_for_end(first, job)["status"] == "complete"
    assert statuses == [200] * 3 + [429] * 2
    assert is_soon(lambda: (read(watched) - before)["compressorize_jobs_total"] == 1, within_s=60)
    after = read(watched) - before
    assert after["compressorize_encode_process_restarts_total"] == 0

    def counted(name: str, **labels: str) -> float:
        return read(watched, **labels)[f"compressorize_{name}"]

    assert counted("requests_total", route=ROUTE, status="200") == 12 + 1 + 3
    assert counted("requests_total", route=ROUTE, status="202") == 1
    assert counted("requests_total", route=ROUTE, status="415") == counted("refusals_total", code="unsupported_format")
    assert counted("refusals_total", code="rate_limit_exceeded") == 2
    assert counted("stage_seconds_count", stage="encode", format="jpeg") == 12 + 3 + 1
    assert counted("stage_seconds_count", stage="encode", role="worker") == 1
    # A quality that was asked for is not searched.
    assert counted("stage_seconds_count", stage="search") == counted("distance_count", format="webp") == 1
    assert counted("source_bytes_total", role="api") == 16 * len(JPEG)
    assert 0 < counted("saved_bytes_total", role="api") < 16 * len(JPEG)
    assert after["compressorize_received_bytes_total"] > 21 * len(JPEG)
    assert counted("jobs_total", lane="paid", outcome="complete") == 1
    assert counted("slots_idle", role="api") == 2
    assert {path.name for path in (watched.folder / "d").glob("m*/*")} >= {str(watched.worker_pid())}


def test_a_process_that_dies_costs_its_own_counts_and_no_answer(watched: Service) -> None:
    assert read(watched, role="worker")["process_open_fds"] > 0
    os.kill(watched.encode_pids()[0], signal.SIGKILL)
    assert is_soon(lambda: read(watched)["compressorize_encode_process_restarts_total"] == 1, within_s=60)
    worker = watched.worker_pid()
    os.kill(worker, signal.SIGKILL)

    def is_replaced() -> bool:
        try:
            labels = {
                (sample.labels["role"], int(sample.labels["pid"]))
                for family in text_string_to_metric_families(ask(watched).text)
                for sample in family.samples
                if sample.name == "compressorize_slots_idle"
            }
        except httpx.TransportError:
            return False  # the port may have been the worker's
        return sorted(role for role, _ in labels) == ["api", "api", "worker"] and ("worker", worker) not in labels

    assert is_soon(is_replaced, within_s=60)


def test_the_public_port_tells_nothing(watched: Service) -> None:
    assert httpx.get(f"{watched.url}/metrics", verify=NO_TLS).status_code == 404
    assert ask(watched, "/health/live").status_code == 200


def test_where_nobody_asks_nothing_is_imported() -> None:
    script = (
        "import sys; from app import main, worker, wiring; from app.settings import Settings; "
        "from app.eyes import Eyes; Eyes(Settings(), 'api').watch(); "
        "print(sys.modules.keys() & {'prometheus_client', 'opentelemetry.sdk.trace', 'opentelemetry.exporter.otlp'})"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert done.stdout == "set()\n", done.stderr
