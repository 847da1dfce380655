"""What runs found, as it is kept in JSON. All times are seconds of cluster time: real ones times the factor."""

import msgspec


class Moment(msgspec.Struct, frozen=True):
    """One sync of the autoscaler: the depth that it saw, the pods that there were to be, and those that were ready."""

    at_s: float
    depth: int
    wanted: int
    ready: int


class RunResult(msgspec.Struct, frozen=True, kw_only=True):
    """One burst.

    Attributes
    ----------
    name
        Which pods there were: `autoscaled`, or a fixed number.
    drained_s
        From the first submission to the end of the last job of the burst.
    longest_wait_s
        Of any job: from its submission to its end.
    pod_s
        Seconds of all pods together, from when they were asked for to SIGTERM, until the burst had drained.
    tail_pod_s
        The same from there until there are as few pods as may be.
    jobs, complete
        Jobs that were acknowledged, those of the trickle included, and those of them that are complete.
    lost, ended_twice
        Both must be 0.
    terminated
        Pods that were told to end while jobs came.
    handed_back
        Jobs that such pods could not finish in time, and gave to others.
    """

    name: str
    drained_s: float
    longest_wait_s: float
    pod_s: float
    tail_pod_s: float
    jobs: int
    complete: int
    lost: int
    ended_twice: int
    terminated: int
    handed_back: int
    moments: list[Moment]


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """All runs of one call, and under what conditions."""

    about: str
    command: str
    date: str
    commit: str
    machine: str
    manifest: str
    factor: float
    sync_s: float
    least: int
    most: int
    most_in_manifest: int
    target: float
    cores_of_pod: float
    burst: int
    trickle_per_s: float
    runs: list[RunResult]
