"""Hosts on one wire: each a network namespace with an API and a worker, beside one Redis and one S3 server."""

import itertools
import os
import signal
import subprocess
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from typing import Self

import pytest

from tests.namespaces import Namespace
from tests.redis_server import RedisServer
from tests.seaweed import BUCKET, CREDENTIALS, SeaweedFS
from tests.whole.jobs import SLOW, SLOW_OPTIONS, submit
from tests.whole.service import Api, Service

#: Where Redis, S3 and the clients are.
CENTRE = "10.77.0.1"
_widths = itertools.count(500)


class Wire:
    """A network that hosts are plugged into; tests are at `CENTRE`, in the namespace `centre`.

    Skips the test where the kernel has no bridges or no virtual cables.
    """

    def __init__(self) -> None:
        self.centre = Namespace()
        # With an address of its own: it would take that of a host's link, and another when one goes.
        self._add_link("wire address 02:00:00:00:77:01 type bridge")
        self.centre.ip(f"addr add {CENTRE}/24 dev wire")
        self.centre.ip("link set wire up")

    def plug_in(self, number: int) -> Namespace:
        """Make the network of one host; `10.77.0.NUMBER` is its address."""
        net = Namespace()
        self._add_link(f"host{number} type veth peer name eth0 netns {net.path}")
        self.centre.ip(f"link set host{number} master wire up")
        net.ip(f"addr add 10.77.0.{number}/24 dev eth0")
        net.ip("link set eth0 up")
        return net

    def _add_link(self, link: str) -> None:
        try:
            self.centre.ip(f"link add {link}")
        except subprocess.CalledProcessError:
            pytest.skip("the kernel makes no bridge, or no pair of virtual links")

    def set_link(self, number: int, state: str) -> None:
        """Pull one host's plug (`down`), or put it back (`up`)."""
        self.centre.ip(f"link set host{number} {state}")


class Host:
    """One machine, as it were: an API and a worker that share nothing with others but Redis and S3."""

    def __init__(self, wire: Wire, number: int, **settings: str) -> None:
        self._wire, self._number = wire, number
        self.net = wire.plug_in(number)
        address = f"10.77.0.{number}"
        self.api = Service("api", net=self.net, HOST=address, ENCODE_PROCESSES="1", **settings)
        self.worker = Service("worker", net=self.net, WORKER_PROCESSES="1", **settings)

    def start(self) -> None:
        for one in (self.api, self.worker):
            one.start()

    def has_claimed(self, fleet: "Fleet", jobs: Iterable[str]) -> bool:
        """Whether its worker has one of these jobs."""
        assert self.worker.process is not None
        return any(f"-{self.worker.process.pid}-" in fleet.worker_of(job) for job in jobs)

    @contextmanager
    def unplugged(self) -> Iterator[None]:
        """Cut it off meanwhile: nothing comes or goes, and nobody is told so."""
        self._wire.set_link(self._number, "down")
        try:
            yield
        finally:
            self._wire.set_link(self._number, "up")

    def lose(self) -> None:
        """End it as a power cut does: its connections are not closed, and nothing in it runs on."""
        self._wire.set_link(self._number, "down")
        for pid in self.net.pids():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for one in (self.api, self.worker):
            if one.process is not None:
                one.process.wait()

    def close(self) -> None:
        for one in (self.api, self.worker):
            one.close()
        self.net.close()


class Fleet:
    """Some hosts, and what they share; `settings` hold for all of them."""

    def __init__(self, size: int = 2, **settings: str) -> None:
        self._size, self._settings = size, settings
        self._open = ExitStack()
        self.hosts: list[Host] = []

    def __enter__(self) -> Self:
        try:
            self.wire = Wire()
            self._open.callback(self.wire.centre.close)
            self._start()
        except BaseException:
            self._open.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def _start(self) -> None:
        centre = self.wire.centre
        self.redis = RedisServer(CENTRE)
        centre.run(self.redis.start)
        self._open.callback(self.redis.close)
        seaweed = centre.run(lambda: SeaweedFS(CENTRE))
        self._open.callback(seaweed.close)
        shared = {
            "REDIS_URL": self.redis.url,
            "KEY_PEPPER": "one for all hosts",
            "STORE_URL": f"s3://{BUCKET}/fleet",
            "S3_ENDPOINT": seaweed.endpoint,
            "API_REPLICAS": str(self._size),
            # So that nobody is turned away for lack of a slot where a test asks for something else.
            "WAITING_PER_SLOT": "500",
            **CREDENTIALS,
            **self._settings,
        }
        for number in range(self._size):
            self.hosts.append(Host(self.wire, 11 + number, **shared))
            self._open.callback(self.hosts[-1].close)
        works = [lambda: centre.run(seaweed.start), *(host.start for host in self.hosts)]
        with ThreadPoolExecutor(len(works)) as starters:
            for started in [starters.submit(work) for work in works]:
                started.result()

    def worker_of(self, job_id: str) -> str:
        """The process that has claimed a job, as workers name themselves; empty while there is none."""

        def ask() -> bytes | None:
            with self.redis.client() as client:
                return client.hget(f"{{cz}}:job:{job_id}", "worker")

        return (self.wire.centre.run(ask) or b"").decode()


def clients_with(fleet: Fleet, key: str) -> list[Api]:
    """Clients with one key, one for each host."""
    return [Api(host.api.url, key, fleet.wire.centre) for host in fleet.hosts]


def submit_slow(client: Api, count: int) -> list[str]:
    """Submit jobs that take an encoder about a second, and are like no others."""
    return [submit(client, SLOW, **SLOW_OPTIONS, max_width=str(next(_widths))) for _ in range(count)]
