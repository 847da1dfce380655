"""What clients are told of a job: the same JSON in `status` and in webhooks."""

from datetime import UTC, datetime
from typing import Any

from app.ports.jobs import Job


def describe(job: Job, download_url: str) -> dict[str, Any]:
    """Tell a job in the published shape, ready for JSON.

    Parameters
    ----------
    download_url
        Where the result is downloaded; told of complete jobs only.
    """
    reply: dict[str, Any] = {"id": job.id, "status": job.state}
    if job.outcome is not None and job.expires is not None:
        reply |= {
            "download_url": download_url,
            "original_size": job.original_size,
            "compressed_size": job.outcome.size,
            "savings_percent": savings_percent(job.original_size, job.outcome.size),
            "format": job.outcome.format,
            "dimensions": {"width": job.outcome.width, "height": job.outcome.height},
            "expires_at": datetime.fromtimestamp(int(job.expires), UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
    elif job.failure is not None:
        reply["error"] = {"code": job.failure.code, "message": job.failure.message}
    return reply


def savings_percent(original_size: int, compressed_size: int) -> int:
    """How much smaller, in whole percent rounded to nearest (halves up), never negative."""
    return max(0, (200 * (original_size - compressed_size) + original_size) // (2 * original_size))
