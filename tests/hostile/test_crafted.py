"""Hostile files end in a documented answer, soon: in a process with an encode process' limits, and over HTTP.

`HOSTILE_ALL=1` takes the heavy ones too, for minutes.
"""

import concurrent.futures
import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.settings import Settings
from pixels import vips
from tests.hostile.case import Case
from tests.hostile.crafted import MENDED, all_cases, light_cases
from tests.whole.service import Service, error_of

#: Nothing may keep an encode process busy for longer; CPU time, because other work shares the machine.
MOST_CPU_S = 10
AT_ONCE = 8
ALL = bool(os.environ.get("HOSTILE_ALL"))
#: What goes over HTTP where the heavy ones are left out: one of each kind, and what was slow once.
TOLD = re.compile(r"foreign-|magic-|says-|claims-|loops|sampling|apng|avis|heif|heic|grid|overlay|canvas|cut-9$")
#: Runs the files of an index range, as an encode process would, and tells of each: status, CPU seconds, message.
RUNNER = Path(__file__).with_name("run_crafted.py")
CODES = {413: {"image_too_large"}, 415: {"unsupported_format"}, 422: {"decode_failed"}}


@pytest.fixture(scope="module", autouse=True)
def prepared() -> None:
    """Some files are made by libvips, some by Pillow."""
    vips.prepare()


def chosen() -> list[Case]:
    return list(all_cases() if ALL else light_cases())


def test_every_file_ends_in_a_documented_answer_within_the_limits_of_an_encode_process() -> None:
    cases, wrong, begun = chosen(), [], 0
    while begun < len(cases):
        done, log = run_from(begun)
        for case, (status, cpu_s, message) in zip(cases[begun:], done, strict=False):
            readable = status == 200 or (message.isprintable() and message.endswith(".") and len(message) > 20)
            if status not in case.allowed or cpu_s > MOST_CPU_S or not readable:
                wrong.append((case.name, status, cpu_s, message))
        begun += len(done)
        if begun < len(cases):  # it ended in the middle
            wrong.append((cases[begun].name, "the process ended", 0, log[-300:]))
            begun += 1
        assert "CRITICAL" not in log
    assert not wrong, "\n".join(map(str, wrong))


def run_from(begun: int) -> tuple[list[tuple[int, float, str]], str]:
    """Run the files from number `begun` on in one process, until it ends: what it told, and its standard error."""
    command = [sys.executable, str(RUNNER), str(begun), str(Settings().encode_memory_bytes)]
    folder = Path(__file__).resolve().parents[2]
    paths = os.pathsep.join((str(folder), str(folder / "codecs")))
    limit_s = 3_000 if ALL else 500
    done = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": paths}, capture_output=True, text=True, timeout=limit_s
    )
    return [tuple(json.loads(line)) for line in done.stdout.splitlines()], done.stderr


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    running = Service(LOG_LEVEL="warning", REUSE_RESULTS="false", KEEP_SYNC_RESULTS="false").start()
    yield running
    running.close()


def test_the_service_answers_eight_at_a_time_and_stays_well(service: Service) -> None:
    cases = [case for case in chosen() if ALL or TOLD.search(case.name) or case.name in MENDED]
    files = [(case, case.build()) for case in cases]
    before, log = set(service.encode_pids()), len(service.log())
    with service.client() as client, concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool, Probe(service) as probe:
        wrong = [found for found in pool.map(lambda item: judge(client, *item), files) if found]
    assert not wrong, "\n".join(map(str, wrong))
    assert probe.asked > 3
    assert not probe.missed
    assert before <= set(service.encode_pids()), "an encode process ended"
    written = service.log()[log:]
    assert len(written.splitlines()) < len(files) / 10, written[-2000:]


def judge(client: object, case: Case, data: bytes) -> tuple[str, int, str] | None:
    reply = client.compress(data)  # type: ignore[attr-defined] - tests.whole.service.Api, named so in its own module
    status = reply.status_code
    if len(data) >= Settings().sync_max_bytes and status == 202:
        return None
    allowed = {200 if status == 200 else status} & case.allowed
    if status == 200 and allowed:
        return None
    fits = bool(allowed) and error_of(reply)[1] in CODES[status]
    return None if fits else (case.name, status, reply.text[:200])


class Probe:
    """Asks `/health/live` ten times a second while it is entered."""

    def __init__(self, service: Service) -> None:
        self._client, self._ended = service.client(), threading.Event()
        self._thread = threading.Thread(target=self._ask, daemon=True)
        self.asked = self.missed = 0
        self.slowest_s = 0.0

    def _ask(self) -> None:
        while not self._ended.wait(0.1):
            begun = time.perf_counter()
            self.missed += self._client.get("/health/live", timeout=30).status_code != 200
            self.slowest_s = max(self.slowest_s, time.perf_counter() - begun)
            self.asked += 1

    def __enter__(self) -> "Probe":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        self._client.close()
