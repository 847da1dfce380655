"""One burst of real jobs against real workers, whose number an autoscaler decides, or nobody."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from http.client import HTTPConnection
from typing import Final, NamedTuple

import orjson
import redis

from perf.load.pictures import draw_pictures
from perf.running import FORM_TYPE, wrap_in_form
from perf.scaling.autoscaler import SYNC_S
from perf.scaling.pods import Pods
from perf.scaling.result import Moment, RunResult

_LANES: Final = ("{cz}:jobs:paid", "{cz}:jobs:free")
_SUBMITTERS: Final = 4
_OPTIONS: Final = {"quality": "75", "format": "avif"}
_LOOK_EVERY_S: Final = 0.1
_READY_WITHIN_S: Final = 300.0
#: A job that has left the queue is in its worker's log soon after.
_LOGGED_WITHIN_S: Final = 10.0
#: Until everything must be over, in real seconds: nothing is as slow as that.
_GIVE_UP_S: Final = 1200.0
#: Returns how many pods there shall be: of cluster time, how many there are to be now, and the depth of the queue.
Decide = Callable[[float, int, int], int]


class Job(NamedTuple):
    """An acknowledged job and when it was sent, in Unix seconds."""

    id: str
    sent_at: float


class Source:
    """Where jobs come from: `size` at once, and then one every `every_s` real seconds."""

    def __init__(self, port: int, key: str, *, size: int, every_s: float) -> None:
        self._port, self._headers = port, {"Authorization": f"Bearer {key}", "Content-Type": FORM_TYPE}
        before, after = wrap_in_form(_OPTIONS)
        picture, *_ = draw_pictures(max_megapixels=0.1)
        self._body = before + picture.data + after
        self.size, self._every_s = size, every_s

    def send_burst(self) -> list[Job]:
        """Send the burst."""
        with ThreadPoolExecutor(_SUBMITTERS) as pool:
            return list(pool.map(lambda _: self.send(), range(self.size)))

    @contextmanager
    def trickling(self) -> Iterator[list[Job]]:
        """Send one job after the other until the end of the context; yields those that were sent."""
        sent: list[Job] = []
        is_over = threading.Event()

        def trickle() -> None:
            while not is_over.wait(self._every_s):
                sent.append(self.send())

        with ThreadPoolExecutor(1) as pool:
            trickling = pool.submit(trickle)
            try:
                yield sent
            finally:
                is_over.set()
                trickling.result()

    def send(self) -> Job:
        """Send one job.

        Raises
        ------
        RuntimeError
            It was not taken.
        """
        sent_at = time.time()
        status, body = self._ask("POST", "/api/v1/compress", self._body)
        if status != 202:
            raise RuntimeError(f"a job was answered with {status}: {body!r}")
        return Job(orjson.loads(body)["id"], sent_at)

    def status(self, job: Job) -> str:
        """Ask how a job stands."""
        _, body = self._ask("GET", f"/api/v1/status/{job.id}")
        return str(orjson.loads(body).get("status", "unknown"))

    def _ask(self, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        link = HTTPConnection("127.0.0.1", self._port, timeout=60)
        try:
            link.request(method, path, body, self._headers)
            reply = link.getresponse()
            return reply.status, reply.read()
        finally:
            link.close()


def run(
    name: str, source: Source, pods: Pods, queue: redis.Redis, *, start: int, least: int, factor: float, decide: Decide
) -> RunResult:
    """Send a burst at `start` pods, and go on until it has drained and there are `least` pods again.

    Parameters
    ----------
    least
        Where `decide` leaves the number as it is, `start`.
    factor
        Seconds of cluster time in a real second.
    """
    pods.scale(start)
    pods.wait_until_ready(_READY_WITHIN_S)
    begun_at = time.time()
    moments: list[Moment] = []
    with source.trickling() as trickle, ThreadPoolExecutor(1) as sender:
        burst = sender.submit(source.send_burst)
        drained_at, terminated, pod_s, tail_pod_s, looked_at = 0.0, 0, 0.0, 0.0, begun_at
        while not drained_at or pods.wanted > least:
            time.sleep(_LOOK_EVERY_S)
            now = time.time()
            if now - begun_at > _GIVE_UP_S:
                raise TimeoutError("the burst did not drain")
            pods.look()
            spent = pods.wanted * (now - looked_at)
            pod_s, tail_pod_s = (pod_s, tail_pod_s + spent) if drained_at else (pod_s + spent, tail_pod_s)
            looked_at = now
            if (now - begun_at) * factor >= len(moments) * SYNC_S:
                depth = _depth(queue)
                moments.append(Moment(round((now - begun_at) * factor, 1), depth, pods.wanted, pods.ready))
                decided = decide((now - begun_at) * factor, pods.wanted, depth)
                terminated += max(0, pods.wanted - decided)
                pods.scale(decided)
                if not drained_at and burst.done():
                    drained_at = _find_end(pods, burst.result())
    jobs = [*burst.result(), *trickle]
    ended = _wait_for_all(pods, jobs, queue)
    complete = sum(source.status(job) == "complete" for job in jobs)
    return RunResult(
        name=name,
        drained_s=round((drained_at - begun_at) * factor, 1),
        longest_wait_s=round(max(ended[job.id][-1] - job.sent_at for job in jobs if job.id in ended) * factor, 1),
        pod_s=round(pod_s * factor),
        tail_pod_s=round(tail_pod_s * factor),
        jobs=len(jobs),
        complete=complete,
        lost=sum(job.id not in ended for job in jobs),
        ended_twice=sum(count > 1 for count in Counter({job: len(at) for job, at in ended.items()}).values()),
        terminated=terminated,
        handed_back=sum(int(str(event["handed_back"])) for event in pods.events("worker ended")),
        moments=moments,
    )


def _find_end(pods: Pods, jobs: list[Job]) -> float:
    """Return when the last of these jobs ended, in Unix seconds; 0 while one has not."""
    ended = _read_ends(pods)
    return max(ended[job.id][-1] for job in jobs) if all(job.id in ended for job in jobs) else 0.0


def _wait_for_all(pods: Pods, jobs: list[Job], queue: redis.Redis) -> dict[str, list[float]]:
    """Wait until every job has ended, or the queue is empty and none more does; return when each did."""
    last_seen_at = time.monotonic()
    end = last_seen_at + _GIVE_UP_S
    while True:
        ended, now = _read_ends(pods), time.monotonic()
        if _depth(queue):
            last_seen_at = now
        if all(job.id in ended for job in jobs) or now - last_seen_at > _LOGGED_WITHIN_S or now > end:
            return ended
        time.sleep(_LOOK_EVERY_S)


def _depth(queue: redis.Redis) -> int:
    return sum(int(queue.xlen(lane)) for lane in _LANES)


def _read_ends(pods: Pods) -> dict[str, list[float]]:
    """Return when workers ended each job, by their own account."""
    found: dict[str, list[float]] = {}
    for event in pods.events("job ended"):
        at = datetime.fromisoformat(str(event["timestamp"])).timestamp()
        found.setdefault(str(event["job"]), []).append(at)
    return found
