"""Large pictures wait for each other's memory, and small ones do not wait for them."""

import re
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.whole.pictures import encoded, photo
from tests.whole.service import Service, error_of

MB = 1024 * 1024
#: 48 megapixels in less than what is answered at once.
LARGE = encoded(photo(80, 60).resize((8000, 6000)), "JPEG", quality=60)
SMALL = encoded(photo(), "JPEG")
AT_ONCE = 4
#: A process holds so much more than when it is idle only while it has a large picture, which takes about 260 MiB.
MUCH_BYTES = 120 * MB
#: Of two processes: 128 MiB for each without asking, and 256 MiB for those that ask. One large picture asks for 150.
BUDGET_BYTES = 512 * MB


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    running = Service(
        ENCODE_PROCESSES="2",
        WORKER_PROCESSES="1",
        ENCODE_BUDGET_BYTES=str(BUDGET_BYTES),
        ENCODE_DEADLINE_S="60",
        WAIT_TIMEOUT_S="60",
        REUSE_RESULTS="false",
        KEEP_SYNC_RESULTS="false",
    )
    yield running.start()
    running.close()


@contextmanager
def watching(pids: list[int]) -> Iterator[list[int]]:
    """How many of the processes held much, looked at again and again."""
    idle, seen, is_over = {pid: held_bytes(pid) for pid in pids}, [0], threading.Event()

    def watch() -> None:
        while not is_over.wait(0.01):
            seen.append(sum(held_bytes(pid) - idle[pid] > MUCH_BYTES for pid in pids))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield seen
    finally:
        is_over.set()
        watcher.join()


def held_bytes(pid: int) -> int:
    with suppress(OSError):
        found = re.search(r"RssAnon:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
        return int(found[1]) * 1024 if found else 0
    return 0


def test_large_pictures_are_encoded_one_after_the_other_and_small_ones_beside_them(service: Service) -> None:
    assert len(LARGE) < 2 * MB
    with service.client() as client, ThreadPoolExecutor(AT_ONCE) as senders:
        while len(pids := service.encode_pids()) < 2:
            time.sleep(0.05)
        assert client.compress(SMALL, quality="75").status_code == 200
        with watching(pids) as holding_much:
            sent = [senders.submit(client.compress, LARGE, format="jpeg", quality="50") for _ in range(AT_ONCE)]
            small = []
            while not all(one.done() for one in sent):
                small.append(client.compress(SMALL, quality="75").status_code)
            large = [one.result().status_code for one in sent]
    assert large == [200] * AT_ONCE
    assert set(small) == {200}
    assert len(small) > AT_ONCE
    assert max(holding_much) == 1


def test_what_the_budget_can_never_hold_is_told_to_be_too_large(service: Service) -> None:
    with service.client() as client:
        status, code, _ = error_of(client.compress(LARGE, format="avif", quality="50"))
        assert (status, code) == (413, "image_too_large")
        smaller = client.compress(LARGE, format="avif", quality="50", max_width="800")
    assert smaller.status_code == 200
