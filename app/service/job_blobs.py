"""A job's id, and the names of its blobs: all that belongs to a job lies under its id."""

import secrets


def new_id() -> str:
    """Make an id of 96 random bits, fit for URLs, headers and names of blobs."""
    return secrets.token_urlsafe(12)


def source_part(job_id: str, number: int) -> str:
    """Name a part of the source; they count from 0."""
    return f"{job_id}/source.{number}"


def result(job_id: str) -> str:
    """Name the result."""
    return f"{job_id}/result"
