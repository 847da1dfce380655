"""Compress an image of up to 25 MB as a job: `python job.py camera.jpg small.avif format=avif max_width=1600`."""

import os
import sys
import time
import uuid
from pathlib import Path
from typing import Any

import httpx

ATTEMPTS = 5
POLL_S = 1.0


class Refused(Exception):
    """The service answered with an error, or the job failed."""


def send(api: httpx.Client, method: str, url: str, **request: Any) -> httpx.Response:
    """Send a request; wait and send it again where the service asks for it."""
    for attempt in range(1, ATTEMPTS + 1):
        reply = api.request(method, url, **request)
        if reply.status_code not in {429, 503} or attempt == ATTEMPTS:
            break
        time.sleep(int(reply.headers["Retry-After"]))
    if reply.is_error:
        error = reply.json()["error"]
        raise Refused(f"{reply.status_code} {error['code']}: {error['message']}")
    return reply


def submit(api: httpx.Client, source: Path, fields: dict[str, str]) -> str:
    """Send the image; return the job's id, which a small image's answer has as well."""
    once = {"Idempotency-Key": str(uuid.uuid4())}  # the same again stays one job
    reply = send(api, "POST", "/api/v1/compress", data=fields, files={"file": source.read_bytes()}, headers=once)
    return reply.headers["X-Job-Id"]


def wait(api: httpx.Client, job_id: str) -> dict[str, Any]:
    """Poll a job until it is complete; return what is told of it."""
    while True:
        job: dict[str, Any] = send(api, "GET", f"/api/v1/status/{job_id}").json()
        if job["status"] == "failed":
            raise Refused(f"{job['error']['code']}: {job['error']['message']}")
        if job["status"] == "complete":
            return job
        time.sleep(POLL_S)


def main(source: str, target: str, *fields: str) -> None:
    """Compress `source` into `target`."""
    key = {"Authorization": f"Bearer {os.environ['KEY']}"}
    # A redirect to another host goes without the key.
    with httpx.Client(base_url=os.environ["API"], headers=key, timeout=60, follow_redirects=True) as api:
        job = wait(api, submit(api, Path(source), dict(field.split("=", 1) for field in fields)))
        Path(target).write_bytes(send(api, "GET", job["download_url"]).content)
    print(f"{job['savings_percent']} % saved, {job['dimensions']['width']} x {job['dimensions']['height']} pixels")


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except Refused as refusal:
        sys.exit(str(refusal))
