"""Load while something is killed, and an account of what became of it."""

import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

import httpx
import redis

from tests.whole.jobs import QUICK, new_source, wait_for_end
from tests.whole.pictures import encoded, padded_jpeg, photo
from tests.whole.service import COMPRESS, Api, Service

MB = 1024 * 1024
#: Encodes long enough to be killed in their midst: tenths of a second, and about one.
_PICTURE, _LONGER_PICTURE = (encoded(photo(*size), "JPEG") for size in ((700, 500), (1300, 1000)))
_OPTIONS = {"format": "avif", "quality": "70"}
_MOST_HITS = 2
_MOST_S = 900


class _Seen(NamedTuple):
    """What Redis has of a job: the worker that claimed it last, and how often it was claimed."""

    worker: bytes | None
    claims: bytes | None
    finished: bytes | None


class KillingWorkers:
    """Many jobs, during whose encodes the worker of `serve` is killed again and again.

    No job is hit three times: that would make it one that kills workers, and fail it.

    Parameters
    ----------
    is_patient
        Kill again only when what was interrupted has been taken up; else as soon as some more jobs have ended.

    Attributes
    ----------
    ids
        Of the jobs.
    told
        How often each end was told; of failures, why.
    interrupted
        How often each job was under way when a worker was killed.
    gaps_s
        Of each interruption: until the job was taken up again.
    """

    def __init__(
        self, service: Service, client: Api, *, jobs: int, kills: int, is_patient: bool = False, **fields: str
    ) -> None:
        self._service, self._client, self._is_patient = service, client, is_patient
        self._jobs, self._kills, self._fields = jobs, kills, fields
        self._killed_at: dict[tuple[str, bytes | None], float] = {}
        self.ids: list[str] = []
        self.interrupted: Counter[str] = Counter()
        self.gaps_s: list[float] = []
        self.told: Counter[str] = Counter()

    def run(self) -> None:
        """Submit, kill, and wait until every job has ended."""
        picture = _LONGER_PICTURE if self._is_patient else _PICTURE
        for number in range(self._jobs):
            reply = self._client.compress(padded_jpeg(picture, 2 * MB + 4 + number), **_OPTIONS, **self._fields)
            assert reply.status_code == 202, reply.text
            self.ids.append(reply.json()["id"])
        kills, end = 0, time.monotonic() + _MOST_S
        with redis.Redis(unix_socket_path=f"{self._service.environment['DATA_DIR']}/valkey.sock") as valkey:
            while True:
                seen = self._look(valkey)
                self._note_what_was_taken_up(seen)
                finished = sum(one.finished is not None for one in seen.values())
                if finished == self._jobs:
                    break
                assert time.monotonic() < end, f"{finished} of {self._jobs} jobs ended"
                is_time = finished >= kills * self._jobs // (self._kills + 1)
                if kills < self._kills and (not self._killed_at if self._is_patient else is_time):
                    kills += self._kill(seen)
                time.sleep(0.05)
        assert kills == self._kills
        ends = [wait_for_end(self._client, job) for job in self.ids]
        self.told = Counter(str(end.get("error", end["status"])) for end in ends)

    def ended_twice(self) -> list[str]:
        """Jobs of which the log tells more than once that they have ended."""
        ends = Counter(line["job"] for line in self._service.events("job ended"))
        return [job for job in self.ids if ends[job] > 1]

    def _look(self, valkey: redis.Redis) -> dict[str, _Seen]:
        with valkey.pipeline() as pipeline:
            for job in self.ids:
                pipeline.hmget(f"{{cz}}:job:{job}", "worker", "token", "finished")
            return {job: _Seen(*fields) for job, fields in zip(self.ids, pipeline.execute(), strict=True)}

    def _kill(self, seen: dict[str, _Seen]) -> bool:
        """Kill the worker if it is running jobs, none of which has been hit too often; whether it was killed."""
        pid = self._service.worker_pid()
        hit = {
            (job, one.claims)
            for job, one in seen.items()
            if one.finished is None and one.worker and b"-%d-" % pid in one.worker
        }
        if not hit or any(self.interrupted[job] == _MOST_HITS for job, _ in hit):
            return False
        os.kill(pid, signal.SIGKILL)
        self.interrupted.update(job for job, _ in hit)
        self._killed_at |= dict.fromkeys(hit, time.monotonic())
        return True

    def _note_what_was_taken_up(self, seen: dict[str, _Seen]) -> None:
        for (job, claims), killed_at in list(self._killed_at.items()):
            if seen[job].claims != claims or seen[job].finished is not None:
                self.gaps_s.append(time.monotonic() - killed_at)
                del self._killed_at[job, claims]


@dataclass
class Submissions:
    """What clients were told that went on whatever came back."""

    acknowledged: list[str] = field(default_factory=list)
    refused: list[tuple[int, str]] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)


@contextmanager
def keep_submitting(client: Api, *, threads: int) -> Iterator[Submissions]:
    """Submit jobs from several threads until the end of the context."""
    story, stop = Submissions(), threading.Event()

    def submit_on() -> None:
        with Api(str(client.base_url), client.key, client.net) as own:
            while not stop.is_set():
                try:
                    reply = own.compress(new_source(), **QUICK)
                except httpx.HTTPError as error:
                    story.broken.append(repr(error))
                    continue
                if reply.status_code == 202:
                    story.acknowledged.append(reply.json()["id"])
                else:
                    story.refused.append((reply.status_code, reply.json()["error"]["code"]))
                    time.sleep(0.05)

    running = [threading.Thread(target=submit_on, daemon=True) for _ in range(threads)]
    for thread in running:
        thread.start()
    try:
        yield story
    finally:
        stop.set()
        for thread in running:
            thread.join(60)


def uploads_at_once(client: Api, count: int, size: int) -> list[int]:
    """Send so many large files, all of them half-way before any goes on; the answers' statuses."""
    half_way = threading.Barrier(count)
    head = b'--x\r\nContent-Disposition: form-data; name="quality"\r\n\r\n50\r\n'
    head += b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
    # One for all: they differ in what no encoder reads.
    source = memoryview(padded_jpeg(_PICTURE, size - 8))

    def send(number: int) -> int:
        def body() -> Iterator[bytes]:
            yield head
            for start in range(0, len(source), MB):
                if start <= len(source) // 2 < start + MB:
                    half_way.wait(120)
                yield bytes(source[start : start + MB])
            yield b"%08d" % number
            yield b"\r\n--x--\r\n"

        with Api(str(client.base_url), client.key) as own:
            headers = {"Content-Type": "multipart/form-data; boundary=x"}
            return own.post(COMPRESS, content=body(), headers=headers, timeout=300).status_code

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(send, range(count)))


@contextmanager
def watching_memory(service: Service) -> Iterator[list[int]]:
    """What the API's processes hold, in bytes, at the beginning and then ten times a second."""
    held, stop = [service.api_memory()], threading.Event()

    def watch() -> None:
        while not stop.wait(0.1):
            held.append(service.api_memory())

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        yield held
    finally:
        stop.set()
        watching.join()


@contextmanager
def frozen(pid: int) -> Iterator[None]:
    """Stop a process meanwhile: it is there, and answers nothing."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def tell(figures: str) -> None:
    """Tell figures to whoever runs the test by hand."""
    print(f"\n{figures}", end="")  # noqa: T201 - they are what it is run for
