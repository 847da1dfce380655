"""Answers what was asked before from the store, and what is being asked right now once.

A result is found by its content key: the same for the same source, the same parameters, the same account and the same
encoders. So nothing ever crosses accounts, and an upgrade starts anew.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Final, Literal, NamedTuple

import msgspec

from app.ports.blobs import BlobMissing, Blobs, BlobsUnavailable
from app.ports.jobs import Jobs, JobsUnavailable, Outcome
from app.service import job_blobs
from app.service.encoders import Encoded
from app.service.results import Results
from pixels.options import Options

#: How an answer came about: encoded for it, found in the store, or encoded for another request at the same time.
CacheState = Literal["miss", "hit", "join"]
#: What decides the bytes of a result, besides its source and options.
_ENCODERS: Final = ("compressorize", "pyvips-binary", "mozjpeg-lossless-optimization", "oxipng-pybind")


def content_key(account: str, digest: str, options: Options) -> str:
    """Name the result of a source, by the SHA-256 of its bytes, with `options` for `account`."""
    parts = (account, digest, msgspec.to_builtins(options), encoder_version())
    return hashlib.sha256(msgspec.msgpack.encode(parts)).hexdigest()


class Kept(NamedTuple):
    """A result in the store: the job that it was made for, its facts and its bytes."""

    job_id: str
    outcome: Outcome
    data: bytes


class Reuse:
    """Finds results, and lets equal requests share one encode.

    Parameters
    ----------
    is_on
        Whether anything is ever shared.
    """

    def __init__(self, jobs: Jobs, blobs: Blobs, results: Results, *, is_on: bool) -> None:
        self._jobs = jobs
        self._blobs = blobs
        self._results = results
        self._is_on = is_on
        self._under_way: dict[str, _Shared] = {}

    def key(self, account: str, digest: str, options: Options) -> str:
        """Return the content key; empty, which is no key, where nothing is shared."""
        return content_key(account, digest, options) if self._is_on else ""

    async def find(self, key: str) -> Kept | None:
        """Return a kept result. What cannot be looked up now counts as not there."""
        if not key:
            return None
        pending = self._results.find_content(key)
        if pending is not None and pending.job.outcome is not None:
            return Kept(pending.job.id, pending.job.outcome, pending.data)
        try:
            job = await self._jobs.find_content(key)
            if job is None or job.outcome is None:
                return None
            data = await job_blobs.read_result(self._blobs, job.id)
        except (JobsUnavailable, BlobsUnavailable, BlobMissing):
            return None
        return Kept(job.id, job.outcome, data) if len(data) == job.outcome.size else None

    async def share(self, key: str, encode: Callable[[], Awaitable[Encoded]]) -> tuple[Encoded, CacheState]:
        """Encode, or wait for an equal request of this process that does so already; its error is everybody's.

        The encode goes on while at least one request waits for it.
        """
        if not key:
            return await encode(), "miss"
        shared = self._under_way.get(key)
        state: CacheState = "miss" if shared is None else "join"
        if shared is None:
            shared = self._under_way[key] = _Shared(asyncio.ensure_future(encode()))
            shared.task.add_done_callback(lambda _: self._under_way.pop(key, None))
        shared.waiting += 1
        try:
            return await asyncio.shield(shared.task), state
        finally:
            shared.waiting -= 1
            if not shared.waiting:
                # Nothing where it has ended. Nobody may join what is being given up.
                self._under_way.pop(key, None)
                shared.task.cancel()


class _Shared:
    def __init__(self, task: asyncio.Future[Encoded]) -> None:
        self.task = task
        self.waiting = 0


@cache
def encoder_version() -> str:
    """Name the versions of what decides the bytes of a result, besides its source and options."""
    # Looked up once: it reads files.
    return " ".join(f"{name} {_version(name)}" for name in _ENCODERS)


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "none"
