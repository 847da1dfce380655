"""Service CPU per request against the same libvips calls without HTTP: `python -m perf.request` or `make bench`.

In each round the same pictures go first through `pixels.pipeline` in bare processes, one for each encode process,
then through a running service by concurrent clients; the ratio raw/service is 1 where HTTP, keys, limits, the hand-over
and everything else cost nothing. The clients' own CPU is not counted.
"""

import argparse
import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pyvips
from pixels.options import Options

from perf.processes import cpu_s

CONCURRENCY = 8
PROCESSES = os.cpu_count() or 1


@dataclass(frozen=True)
class Work:
    """One kind of request: a name, the source and what is asked."""

    name: str
    source: bytes
    options: dict[str, Any]
    requests: int


@dataclass(frozen=True)
class Ratio:
    """CPU milliseconds of one request, median over rounds, and raw/service with its spread."""

    work: str
    raw_ms: float
    service_ms: float
    ratio: float
    lowest: float
    highest: float
    rounds: int


def photograph(width: int, height: int) -> bytes:
    """A JPEG of a drawn scene with the detail of a photo, from libvips' own noise; the same on every machine."""
    base = pyvips.Image.perlin(width, height, cell_size=96, seed=1)
    detail = pyvips.Image.gaussnoise(width, height, sigma=9, mean=0, seed=2).gaussblur(0.7)
    bands = [base.rot180() * 70 + 120 + detail, base * 80 + 125 + detail, base.fliphor() * 75 + 118 + detail]
    image = bands[0].bandjoin(bands[1:]).cast("uchar").copy(interpretation="srgb")
    data: bytes = image.jpegsave_buffer(Q=92)
    return data


def works() -> list[Work]:
    """The plain case, and longer ones."""
    photo, large = photograph(1000, 667), photograph(1600, 1067)
    return [
        Work("JPEG 1000x667 q75", photo, {"quality": 75}, 400),
        Work("JPEG 1600x1067 to WebP q75", large, {"quality": 75, "format": "webp"}, 24),
        Work("JPEG 1000x667 to AVIF q60", photo, {"quality": 60, "format": "avif"}, 16),
    ]


def _raw_batch(source: bytes, options: Options, count: int) -> float:
    from pixels.pipeline import compress

    begun = time.process_time()
    for _ in range(count):
        compress(source, options)
    return time.process_time() - begun


def _prepare() -> None:
    from pixels import vips

    vips.prepare()
    vips.warm()


class RunningService:
    """A service of our own with a key that has no limit to speak of."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="cz-")
        self.port = 18000 + os.getpid() % 1000
        self._environment = {**os.environ, "PORT": str(self.port), "DATA_DIR": self._folder.name, "LOG_FORMAT": "json"}

    def __enter__(self) -> "RunningService":
        self._log = Path(self._folder.name, "service.log").open("wb")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "app", "serve"], env=self._environment, stdout=self._log, stderr=self._log
        )
        while not self._is_ready():
            if self.process.poll() is not None:
                raise RuntimeError("the service did not start")
            time.sleep(0.2)
        made = subprocess.run(
            [
                sys.executable,
                "-m",
                "app",
                "keys",
                "create",
                "--account",
                "perf",
                "--plan",
                "custom",
                "--per-minute",
                "9999999",
                "--json",
            ],
            env=self._environment,
            check=True,
            capture_output=True,
        )
        self.key: str = json.loads(made.stdout)["key"]
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait()
        self._log.close()
        self._folder.cleanup()

    def _is_ready(self) -> bool:
        try:
            return self.ask("GET", "/health/ready", None, {}) == 200
        except OSError:
            return False

    def ask(
        self, method: str, path: str, body: bytes | None, headers: dict[str, str], link: HTTPConnection | None = None
    ) -> int:
        """Make one request and read the whole answer; its status."""
        link = link or HTTPConnection("127.0.0.1", self.port)
        link.request(method, path, body, headers)
        reply = link.getresponse()
        reply.read()
        return reply.status

    def batch(self, work: Work) -> float:
        """Send the work's requests from concurrent clients; the service's CPU seconds."""
        fields = "".join(
            f'--x\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
            for name, value in work.options.items()
        )
        file = (
            b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.jpg"\r\nContent-Type: image/jpeg\r\n\r\n'
        )
        body = fields.encode() + file + work.source + b"\r\n--x--\r\n"
        headers = {"Authorization": f"Bearer {self.key}", "Content-Type": "multipart/form-data; boundary=x"}

        def client(count: int) -> None:
            link = HTTPConnection("127.0.0.1", self.port)
            for _ in range(count):
                status = self.ask("POST", "/api/v1/compress", body, headers, link)
                if status != 200:
                    raise RuntimeError(f"the service answered {status}")

        begun = cpu_s(self.process.pid)
        with ThreadPoolExecutor(CONCURRENCY) as pool:
            list(pool.map(client, [work.requests // CONCURRENCY] * CONCURRENCY))
        return cpu_s(self.process.pid) - begun


def measure(rounds: int, report: Callable[[str], None] = print) -> list[Ratio]:
    """Run every work `rounds` times in turn, raw and service."""
    results = []
    context = multiprocessing.get_context("forkserver")
    with RunningService() as service, context.Pool(PROCESSES, _prepare) as pool:
        for work in works():
            options = Options(**work.options)
            pairs = []
            for number in range(rounds + 1):
                each = work.requests // PROCESSES
                raw = sum(pool.starmap(_raw_batch, [(work.source, options, each)] * PROCESSES)) / (each * PROCESSES)
                served = service.batch(work) / work.requests
                if number:  # the first round warms both
                    pairs.append((raw * 1e3, served * 1e3))
            ratios = [raw / served for raw, served in pairs]
            results.append(
                Ratio(
                    work.name,
                    raw_ms=round(statistics.median(raw for raw, _ in pairs), 2),
                    service_ms=round(statistics.median(served for _, served in pairs), 2),
                    ratio=round(statistics.median(ratios), 3),
                    lowest=round(min(ratios), 3),
                    highest=round(max(ratios), 3),
                    rounds=rounds,
                )
            )
            report(str(results[-1]))
    return results


def main() -> None:
    """Measure and print one JSON object a line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    for result in measure(rounds, report=lambda _: None):
        print(json.dumps(asdict(result)))


if __name__ == "__main__":
    main()
