"""A job's id, and the names of its blobs: all that belongs to a job lies under its id."""

import secrets

from app.ports.blobs import Blobs


def new_id() -> str:
    """Make an id of 96 random bits, fit for URLs, headers and names of blobs."""
    return secrets.token_urlsafe(12)


def source_part(job_id: str, number: int) -> str:
    """Name a part of the source; they count from 0."""
    return f"{job_id}/source.{number}"


def result(job_id: str) -> str:
    """Name the result."""
    return f"{job_id}/result"


async def read_result(blobs: Blobs, job_id: str) -> bytes:
    """Read the result, whole. Raises BlobMissing and BlobsUnavailable."""
    return b"".join([chunk async for chunk in blobs.read(result(job_id))])
