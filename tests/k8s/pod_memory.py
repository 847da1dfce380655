"""What an API pod and a worker pod need at most: the figures behind the memory requests and limits in k8s/.

Not part of the test run: minutes of encodes of the largest pictures that are taken. Prints what it measures.
"""

import contextlib
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import pyvips
import yaml

from app.adapters.embedded import EmbeddedValkey
from perf.processes import tree
from tests.conftest import make_short_folder
from tests.faults.load import tell
from tests.seaweed import BUCKET, CREDENTIALS, SeaweedFS
from tests.whole.jobs import MB, submit, wait_for_end
from tests.whole.service import COMPRESS, Api, Service

#: As in the manifests; a machine that is slower than a node gets more time.
SETTINGS = {
    "API_WORKERS": "1",
    "ENCODE_PROCESSES": "2",
    "WORKER_PROCESSES": "2",
    "REUSE_RESULTS": "false",
    "ENCODE_DEADLINE_S": "300",
    "WAIT_TIMEOUT_S": "300",
    "JOB_DEADLINE_S": "600",
    "MALLOC_ARENA_MAX": "2",
    "VIPS_CONCURRENCY": "1",
}
WIDTH, HEIGHT = 8600, 5800
FORMATS = ("jpeg", "webp", "avif", "png")
SAMPLE_S = 0.1
DEADLINE_S = 600
K8S = Path(__file__).parents[2] / "k8s"


def draw(quality: int, noise: float) -> bytes:
    """49.9 MP of waves and grain, all over different."""
    waves = pyvips.Image.sines(WIDTH, HEIGHT, hfreq=40, vfreq=31) * 90 + 128
    grain = pyvips.Image.gaussnoise(WIDTH, HEIGHT, sigma=noise, mean=0)
    bands = [waves + grain, waves.rot180() + grain, waves.fliphor()]
    picture = bands[0].bandjoin(bands[1:]).cast("uchar").copy(interpretation="srgb")
    data: bytes = picture.jpegsave_buffer(Q=quality)
    return data


def held_bytes(root: int) -> int:
    """Memory of a process and its descendants that cannot be dropped, a shared page counted once."""
    total = 0
    for pid in tree(root):
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                name, _, value = line.partition(":")
                if name in {"Pss_Anon", "Pss_Shmem"}:
                    total += int(value.split()[0]) * 1024
    return total


@contextlib.contextmanager
def watching(service: Service) -> Iterator[list[int]]:
    """Collect what `service` holds, from now until the end."""
    assert service.process is not None
    pid, seen, ended = service.process.pid, [held_bytes(service.process.pid)], threading.Event()

    def sample() -> None:
        while not ended.wait(SAMPLE_S):
            seen.append(held_bytes(pid))

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield seen
    finally:
        ended.set()
        thread.join()


@pytest.fixture(scope="module")
def pods() -> Iterator[dict[str, Service]]:
    folder = make_short_folder()
    seaweed = SeaweedFS()
    seaweed.start()
    environment = {
        **SETTINGS,
        **CREDENTIALS,
        "REDIS_URL": f"unix://{folder / 's'}",
        "KEY_PEPPER": "pods",
        "STORE_URL": f"s3://{BUCKET}/pods",
        "S3_ENDPOINT": seaweed.endpoint,
        "S3_REGION": "us-east-1",
    }
    with EmbeddedValkey(folder, folder / "s"):
        running = {command: Service(command, **environment) for command in ("api", "worker")}
        try:
            yield {command: service.start() for command, service in running.items()}
        finally:
            for service in running.values():
                service.close()
            seaweed.close()


@pytest.mark.parametrize("format_", FORMATS)
def test_two_jobs_of_50_megapixels(pods: dict[str, Service], format_: str) -> None:
    source = draw(quality=88, noise=9)
    assert 2 * MB < len(source) < 25 * MB
    with pods["api"].client() as client, watching(pods["worker"]) as held:
        ids = [submit(client, source, format=format_) for _ in range(2)]
        ends = [wait_for_end(client, each, within_s=DEADLINE_S)["status"] for each in ids]
    judge("worker", f"two jobs to {format_}, {len(source) / MB:.0f} MB each", held)
    assert ends == ["complete"] * 2


@pytest.mark.parametrize("format_", FORMATS)
def test_two_answers_of_50_megapixels(pods: dict[str, Service], format_: str) -> None:
    source = draw(quality=20, noise=0)
    assert len(source) < 2 * MB

    def ask(client: Api) -> int:
        form = {"data": {"format": format_}, "files": {"file": source}}
        return client.post(COMPRESS, timeout=DEADLINE_S, **form).status_code

    with pods["api"].client() as client, watching(pods["api"]) as held, ThreadPoolExecutor(2) as pool:
        replies = list(pool.map(ask, [client] * 2))
    judge("api", f"two answers in {format_}, {len(source) / MB:.1f} MB each", held)
    assert replies == [200] * 2


def judge(pod: str, work: str, held: list[int]) -> None:
    """Tell the figures, and hold the most against the manifest's limit."""
    tell(f"{pod}, {work}: {held[0] / MB:.0f} MiB before, {max(held) / MB:.0f} at most")
    (deployment,) = yaml.safe_load_all((K8S / "fleet" / f"{pod}.yaml").read_text())
    limit = deployment["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]["memory"]
    assert max(held) < int(limit[:-2]) * {"Mi": MB, "Gi": 1024 * MB}[limit[-2:]]
