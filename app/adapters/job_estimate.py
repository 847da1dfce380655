"""When a job will be complete: from what lies before it, and how fast the workers have been lately."""

from typing import Final

import msgspec

from app.ports.jobs import Job, Lane

#: After so many paid jobs in a row, one of free.
PAID_IN_A_ROW: Final = 4

#: Seconds a MiB, until there are measurements: camera files on the machine of perf/README.md.
_SMART_S_PER_MIB: Final = {"auto": 0.4, "jpeg": 0.4, "webp": 0.6, "avif": 1.2, "png": 2.0}
_ASKED_S_PER_MIB: Final = {"auto": 0.1, "jpeg": 0.1, "webp": 0.4, "avif": 1.0, "png": 1.5}


class LaneLoad(msgspec.Struct, frozen=True):
    """What a lane holds: how many jobs, and the milliseconds that they were expected to take when they came."""

    queued: int = 0
    queued_ms: int = 0
    running: int = 0
    running_ms: int = 0


class AccountLoad(msgspec.Struct, frozen=True):
    """What an account has: jobs in the lanes (admitted), and jobs that are held back from them."""

    admitted: int = 0
    admitted_ms: int = 0
    held: int = 0
    held_ms: int = 0


class Load(msgspec.Struct, frozen=True):
    """What there is when a job comes; `own_ms` is what itself is expected to take, `slots` what workers run at once."""

    own_ms: int
    slots: int
    paid: LaneLoad
    free: LaneLoad
    account: AccountLoad


def kind_of_work(job: Job) -> str:
    """Name what decides the seconds a byte: the output format, and whether the quality is searched for.

    What an order takes is learnt apart: it may be several encodes.
    """
    what = "order" if job.order else job.options.format
    return f"{what}:{'smart' if job.options.quality is None else 'asked'}"


def prior_ms_per_byte(job: Job) -> float:
    """Guess the milliseconds a byte of a kind of work that has not been seen."""
    seconds = _SMART_S_PER_MIB if job.options.quality is None else _ASKED_S_PER_MIB
    return seconds[job.options.format] * 1000 / 2**20


def estimate_s(load: Load, lane: Lane, *, most_of_account: int) -> float:
    """Estimate the seconds until a job that comes now is complete.

    Later arrivals are not foreseen: a job of free that meets a steady stream of paid ones may take five times as long.
    """
    # Nobody has announced slots: somebody will.
    slots = max(load.slots, 1)
    wait_ms = _wait_ms(load, lane, slots)
    account = load.account
    total_ms = wait_ms + load.own_ms
    if account.held or account.admitted >= most_of_account:
        # Each that ends lets the account's next one in, at the lane's end.
        turns = (account.held + 1) / most_of_account
        work_ms = (account.held_ms + account.admitted_ms / max(account.admitted, 1)) / most_of_account
        total_ms += turns * wait_ms + work_ms
    return total_ms / 1000


def _wait_ms(load: Load, lane: Lane, slots: int) -> float:
    paid, free = load.paid, load.free
    if lane == "paid":
        passing = min((paid.queued + 1) / PAID_IN_A_ROW, free.queued)
        ahead, ahead_ms = paid.queued + passing, paid.queued_ms + passing * _mean_ms(free)
    else:
        passing = min((free.queued + 1) * PAID_IN_A_ROW, paid.queued)
        ahead, ahead_ms = free.queued + passing, free.queued_ms + passing * _mean_ms(paid)
    running = paid.running + free.running
    if ahead + running < slots:
        return 0.0
    mean_ms = (paid.running_ms + free.running_ms) / max(running, 1)
    # More run than there are slots where workers have died: these begin anew, before others.
    ahead_ms += max(running - slots, 0) * mean_ms
    # The first of so many, each somewhere on its way, to end.
    first_ms = mean_ms / (slots + 1)
    return ahead_ms / slots + first_ms


def _mean_ms(lane: LaneLoad) -> float:
    return lane.queued_ms / lane.queued if lane.queued else 0.0
