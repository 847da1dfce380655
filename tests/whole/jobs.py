"""What the tests of jobs have in common: sources large enough to be queued, and ways to see what became of them."""

import itertools
import time
from pathlib import Path
from typing import Any

import httpx

from tests.snapshots import files_below
from tests.whole.pictures import encoded, noise, padded_jpeg, photo
from tests.whole.service import NO_TLS, Api, Service

MB = 1024 * 1024
STATUS = "/api/v1/status/"
DOWNLOAD = "/api/v1/download/"
SMALL = encoded(photo(160, 120), "JPEG")
#: Too large to be answered at once, and encoded in a moment.
QUICK = {"quality": "50"}
#: With `SLOW_OPTIONS`, takes an encoder about a second.
SLOW = padded_jpeg(encoded(noise(700, 700), "JPEG", quality=90), 2 * MB)
SLOW_OPTIONS = {"format": "avif", "quality": "90"}
_numbers = itertools.count(1)


def new_source(size: int = 2 * MB) -> bytes:
    """A file of about `size` bytes that no test has sent before."""
    return padded_jpeg(SMALL, size + 4 + next(_numbers))


def submit(client: Api, data: bytes | None = None, **fields: str) -> str:
    """Send a large source; the id of the job that it becomes."""
    reply = client.compress(data or new_source(), **(fields or QUICK))
    assert reply.status_code == 202, reply.text
    job_id: str = reply.json()["id"]
    return job_id


def wait_for_end(client: Api, job_id: str, within_s: float = 120) -> dict[str, Any]:
    """Poll a job until it is complete or failed; its status then."""
    end = time.monotonic() + within_s
    while True:
        reply = client.get(STATUS + job_id)
        assert reply.status_code == 200, reply.text
        told: dict[str, Any] = reply.json()
        if told["status"] != "processing":
            return told
        assert time.monotonic() < end, f"job {job_id} is not done"
        time.sleep(0.1)


def download(client: Api, job_id: str) -> httpx.Response:
    """Follow the redirect to a result, as a stranger who has nothing but the link."""
    reply = client.get(DOWNLOAD + job_id)
    assert reply.status_code == 302, reply.text
    link = client.base_url.join(reply.headers["Location"])
    return get(link) if client.net is None else Api("", None, client.net).get(link)


def get(url: httpx.URL) -> httpx.Response:
    """Fetch without a key."""
    return httpx.get(url, verify=NO_TLS, timeout=60)


def stored(service: Service, pattern: str = "**/*") -> list[Path]:
    """The files in a service's store."""
    return files_below(Path(service.environment["DATA_DIR"], "store"), pattern)


def is_soon(holds: Any, within_s: float = 25) -> bool:
    """Whether a condition holds, or will within that time: less than the half minute after which sweeps mend much."""
    end = time.monotonic() + within_s
    while not holds():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True
