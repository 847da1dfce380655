"""A rolling restart under load: API processes are told to end and started again, and a worker is replaced."""

import shutil
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

import httpx
import orjson

from app.adapters.embedded import EmbeddedValkey
from tests.conftest import make_short_folder
from tests.fleet.balancer import Balancer, Kind
from tests.whole.jobs import QUICK, SMALL, new_source, wait_for_end
from tests.whole.pictures import encoded, noise
from tests.whole.service import Api, Service

#: Takes an encoder some tenths of a second, and is answered at once.
SLOWER = encoded(noise(400, 400), "PNG")
#: Between the time when a balancer is told and SIGTERM: `preStop` of k8s/fleet/api.yaml, where telling takes seconds.
PRE_STOP_S = 1


@dataclass
class Release:
    """Two API processes and a worker with one Valkey and one folder for a store; `next_worker` is yet to be started."""

    apis: list[Service]
    worker: Service
    next_worker: Service


@contextmanager
def running_release() -> Iterator[Release]:
    """Start them, and end them."""
    folder = make_short_folder()
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder)
        stack.enter_context(EmbeddedValkey(folder, folder / "s"))
        shared = {
            "REDIS_URL": f"unix://{folder / 's'}",
            "STORE_URL": str(folder / "store"),
            "KEY_PEPPER": "one for all",
            "REUSE_RESULTS": "false",
            "WAITING_PER_SLOT": "500",
            "ENCODE_PROCESSES": "1",
            "WORKER_PROCESSES": "1",
        }
        apis, workers = ([Service(command, **shared) for _ in range(2)] for command in ("api", "worker"))
        for one in apis + workers:
            stack.callback(one.close)
        start(*apis, workers[0])
        yield Release(apis, *workers)


def start(*services: Service) -> None:
    """Start them at the same time."""
    with ThreadPoolExecutor(len(services)) as starters:
        list(starters.map(Service.start, services))


@dataclass
class Story:
    """What clients saw."""

    statuses: Counter[int] = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)
    jobs: list[str] = field(default_factory=list)

    def ask(self, client: Api, data: bytes, **fields: str) -> None:
        try:
            reply = client.compress(data, **fields)
        except httpx.HTTPError as error:
            self.broken.append(repr(error))
            return
        self.statuses[reply.status_code] += 1
        if reply.status_code == 202:
            self.jobs.append(reply.json()["id"])


@contextmanager
def load_on(balancer: Balancer, key: str) -> Iterator[Story]:
    """Three clients that send plain requests, slow ones and jobs, one after the other each."""
    story, is_over = Story(), threading.Event()

    def keep_asking(data: bytes | None, fields: dict[str, str]) -> None:
        with Api(balancer.url, key) as client:
            while not is_over.is_set():
                story.ask(client, data or new_source(), **fields)
                # Jobs in such numbers that the workers keep up.
                time.sleep(0 if data else 0.2)

    asked = [(SMALL, QUICK), (SLOWER, {"format": "avif", "quality": "80"}), (None, QUICK)]
    threads = [threading.Thread(target=keep_asking, args=each, daemon=True) for each in asked]
    for thread in threads:
        thread.start()
    try:
        yield story
    finally:
        is_over.set()
        for thread in threads:
            thread.join(60)


def restart_in_turn(release: Release, kind: Kind) -> None:
    """Restart all of them under load; fail where a request failed, or a job was lost or ended twice."""
    key, balancer = release.apis[0].new_key(), Balancer(kind)
    try:
        for api in release.apis:
            balancer.let_in(api.port)
        with load_on(balancer, key) as story:
            for api in release.apis:
                time.sleep(0.5)
                if kind == "told":
                    balancer.take_out(api.port)
                    time.sleep(PRE_STOP_S)
                assert api.stop() == 0
                api.start()
                if kind == "told":
                    balancer.let_in(api.port)
            release.next_worker.start()
            assert release.worker.stop() == 0
            time.sleep(0.5)
        assert story.broken == []
        assert set(story.statuses) == {200, 202}, story.statuses
        with Api(release.apis[0].url, key) as client:
            assert {wait_for_end(client, job)["status"] for job in story.jobs} == {"complete"}
    finally:
        balancer.close()
    lines = (release.worker.log() + release.next_worker.log()).splitlines()
    ends = Counter(orjson.loads(line)["job"] for line in lines if '"job ended"' in line)
    assert {job: ends[job] for job in story.jobs} == dict.fromkeys(story.jobs, 1), "a job was lost or ended twice"
    assert all('"job ended"' in one.log() for one in (release.worker, release.next_worker))
