"""What `status` and webhooks tell of a job, word for word as published."""

import pytest

from app.ports.jobs import Failure, Job, Outcome
from app.service.job_reply import describe, savings_percent
from pixels.options import Options

JOB = Job(
    id="abc123xyz", account="ada", lane="paid", options=Options(), original_size=1_200_000, created=1_736_865_000.0
)
URL = "https://images.test/api/v1/download/abc123xyz"


def ended(**fields: object) -> Job:
    known = {name: getattr(JOB, name) for name in ("id", "account", "lane", "options", "original_size", "created")}
    return Job(**known, finished=1_736_865_000.9, expires=1_736_951_400.9, **fields)


def test_a_job_under_way_has_an_id_and_a_status() -> None:
    assert describe(JOB, URL) == {"id": "abc123xyz", "status": "processing"}


def test_a_complete_job_is_told_in_full_in_the_published_order() -> None:
    outcome = Outcome(size=340_000, format="webp", width=1920, height=1080, quality=77)
    reply = describe(ended(state="complete", outcome=outcome), URL)
    assert reply == {
        "id": "abc123xyz",
        "status": "complete",
        "download_url": URL,
        "original_size": 1_200_000,
        "compressed_size": 340_000,
        "savings_percent": 72,
        "format": "webp",
        "dimensions": {"width": 1920, "height": 1080},
        "expires_at": "2025-01-15T14:30:00Z",
    }
    assert list(reply)[:3] == ["id", "status", "download_url"]


def test_a_failed_job_tells_its_error_and_no_link() -> None:
    failure = Failure("compression_failed", "Compression failed")
    assert describe(ended(state="failed", failure=failure), URL) == {
        "id": "abc123xyz",
        "status": "failed",
        "error": {"code": "compression_failed", "message": "Compression failed"},
    }


@pytest.mark.parametrize(
    ("original", "compressed", "percent"),
    [(1_200_000, 340_000, 72), (1000, 1000, 0), (1000, 1200, 0), (200, 199, 1), (201, 200, 0), (1000, 0, 100)],
)
def test_savings_are_rounded_to_nearest_and_never_negative(original: int, compressed: int, percent: int) -> None:
    assert savings_percent(original, compressed) == percent
