"""`python -m perf.scaling`: a burst of jobs, drained by an autoscaled fleet and by fixed ones.

A simulation of the algorithm, and of nothing else: the autoscaler is ours (perf/scaling/autoscaler.py) and does what
the shipped manifest tells it. Queue, jobs, workers, SIGTERM and drain are real. Each pod has a share of a core, and
time passes `--factor` times as fast for the autoscaler as for the workers: a pod's start and a job's work count that
often.
"""

import argparse
import os
import shlex
import signal
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec
import redis

from app.adapters.embedded import EmbeddedValkey
from perf.machine import describe_commit, describe_machine
from perf.running import NO_REUSE, RunningService
from perf.scaling.autoscaler import SYNC_S, Autoscaler, Spec
from perf.scaling.chart import draw
from perf.scaling.manifests import MANIFESTS, read_spec
from perf.scaling.pods import NoQuota, Pods
from perf.scaling.result import Result, RunResult
from perf.scaling.run import Decide, Source, run

_RESULTS: Final = Path(__file__).parents[1] / "results"
_ABOUT: Final = "A simulation of the autoscaler's algorithm over real workers, jobs and SIGTERM; no cluster was there."
#: As k8s/fleet/worker.yaml and settings.env have it.
_WORKER_PROCESSES: Final = "2"
_DRAIN_S: Final = 125


def main() -> None:
    """Run the burst with each number of pods; print, and write what was found."""
    arguments = _parse()
    # So that pods and their control groups end with it.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    spec = read_spec(MANIFESTS[arguments.manifest])
    most = min(spec.most, arguments.most)
    bounded = msgspec.structs.replace(spec, most=most)
    # Of what is run, not of what the checkout has become meanwhile.
    commit = describe_commit()
    try:
        runs = [_run(name, bounded, arguments) for name in ("autoscaled", f"{spec.least} pods", f"{most} pods")]
    except NoQuota as error:
        sys.exit(str(error))
    found = Result(
        about=_ABOUT,
        command=shlex.join(["python", "-m", "perf.scaling", *sys.argv[1:]]),
        date=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        commit=commit,
        machine=describe_machine(),
        manifest=arguments.manifest,
        factor=arguments.factor,
        sync_s=SYNC_S,
        least=spec.least,
        most=most,
        most_in_manifest=spec.most,
        target=spec.target,
        cores_of_pod=arguments.cores,
        burst=arguments.burst,
        trickle_per_s=1 / (arguments.every * arguments.factor),
        runs=runs,
    )
    for one in runs:
        print(_tell(one))  # noqa: T201 - a command's answer
    if arguments.publish:
        (_RESULTS / "scaling.json").write_bytes(msgspec.json.format(msgspec.json.encode(found)) + b"\n")
        draw(found, _RESULTS / "scaling.svg")
    if any(one.lost or one.ended_twice or one.complete < one.jobs for one in runs):
        sys.exit("jobs were lost, failed or ended twice")


def _run(name: str, spec: Spec, arguments: argparse.Namespace) -> RunResult:
    """Run the burst once, with a queue and a store of its own."""
    is_scaled = name == "autoscaled"
    start = spec.least if is_scaled else int(name.split()[0])
    decide = _follow(Autoscaler(spec)) if is_scaled else _keep
    with tempfile.TemporaryDirectory(prefix="cz-") as folder, EmbeddedValkey(Path(folder), Path(folder, "s")):
        settings = {
            **NO_REUSE,
            "REDIS_URL": f"unix://{folder}/s",
            "DATA_DIR": folder,
            "STORE_URL": f"{folder}/store",
            "KEY_PEPPER": "a pepper",
            # So that small pictures are jobs, and all jobs are in the lanes.
            "SYNC_MAX_BYTES": "1024",
            "ACCOUNT_JOBS": str(arguments.burst * 10),
            "WORKER_PROCESSES": _WORKER_PROCESSES,
            "ENCODE_PROCESSES": "1",
            "REDIS_TIMEOUT_S": "5",
            "DRAIN_S": str(_DRAIN_S / arguments.factor),
            "LOG_FORMAT": "json",
        }
        with RunningService(settings, command="api") as api, redis.Redis(unix_socket_path=f"{folder}/s") as queue:
            source = Source(api.port, api.key, size=arguments.burst, every_s=arguments.every)
            with Pods(os.environ | settings, Path(folder), cores=arguments.cores) as pods:
                least = spec.least if is_scaled else start
                return run(name, source, pods, queue, start=start, least=least, factor=arguments.factor, decide=decide)


def _follow(autoscaler: Autoscaler) -> Decide:
    return autoscaler.decide


def _keep(_now_s: float, wanted: int, _depth: int) -> int:
    return wanted


def _tell(one: RunResult) -> str:
    return (
        f"{one.name}: drained in {one.drained_s:.0f} s for {one.pod_s:.0f} pod-seconds, {one.tail_pod_s:.0f} more "
        f"after it; longest wait {one.longest_wait_s:.0f} s; {one.jobs} jobs, {one.complete} complete, "
        f"{one.lost} lost, {one.ended_twice} ended twice; "
        f"{one.terminated} pods told to end, {one.handed_back} jobs handed back"
    )


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m perf.scaling", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--manifest", choices=MANIFESTS, default="keda", help="what to read (%(default)s)")
    add("--most", type=int, default=8, metavar="PODS", help="bounds maxReplicas by the machine (%(default)s)")
    add("--burst", type=int, default=300, metavar="JOBS", help="(%(default)s)")
    add(
        "--every",
        type=float,
        default=1.0,
        metavar="S",
        help="real seconds between jobs of the trickle (%(default)s)",
    )
    add("--factor", type=float, default=4.0, help="seconds of cluster time in a real second (%(default)s)")
    add("--cores", type=float, default=0.1, help="a pod's share of a core (%(default)s)")
    add("--publish", action="store_true", help="write perf/results/scaling.json and .svg")
    return parser.parse_args()


if __name__ == "__main__":
    main()
