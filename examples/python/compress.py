"""Compress one image under 2 MB: `python compress.py photo.jpg small.webp format=webp max_width=1600`."""

import os
import sys
from pathlib import Path

import httpx


def compress(api: httpx.Client, source: Path, fields: dict[str, str]) -> httpx.Response:
    """Return the answer, whose body is the image; exit with the error where there is one."""
    reply = api.post("/api/v1/compress", data=fields, files={"file": source.read_bytes()})
    if reply.status_code == httpx.codes.OK:
        return reply
    if reply.status_code == httpx.codes.ACCEPTED:
        sys.exit("The image has 2 MB or more and became a job: see job.py.")
    error = reply.json()["error"]
    sys.exit(f"{reply.status_code} {error['code']}: {error['message']}")


def main(source: str, target: str, *fields: str) -> None:
    """Compress `source` into `target`."""
    key = {"Authorization": f"Bearer {os.environ['KEY']}"}
    with httpx.Client(base_url=os.environ["API"], headers=key, timeout=60) as api:
        reply = compress(api, Path(source), dict(field.split("=", 1) for field in fields))
    Path(target).write_bytes(reply.content)
    told = reply.headers
    print(f"{told['X-Savings-Percent']} % saved, {told['X-Width']} x {told['X-Height']} pixels")


if __name__ == "__main__":
    main(*sys.argv[1:])
