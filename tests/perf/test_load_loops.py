"""Load is what was asked for, and latency is charged from when a request was due."""

import asyncio
from types import SimpleNamespace

import numpy as np
import pytest

from perf.load.bodies import Body, Uploads
from perf.load.client import Client
from perf.load.fleet import Sent, Stream
from perf.load.loops import Closed, Loop, Open, schedule
from perf.load.mixes import MIXES
from perf.load.pictures import Picture
from perf.load.samples import RUDE, Samples
from perf.load.summary import summarise, summarise_phase
from tests.perf.stalling import Reply, Stalling, serving

BODY = Body(Picture("a", b"picture"), {"quality": "75"}, is_unique=False)
ASKS = Uploads(MIXES["plain-jpeg"], is_unique=False)


def run(server, load, *, duration_s, timeout_s=10.0):
    async def send():
        async with Client(server.url, "key", timeout_s=timeout_s, poll_s=0.01) as client:
            begin_at = asyncio.get_running_loop().time()
            loop = Loop(client, lambda: BODY, begin_at=begin_at, duration_s=duration_s)
            if isinstance(load, Closed):
                await loop.run_closed(load.clients)
            else:
                await loop.run_open(schedule(load, duration_s=duration_s, seed="1"))
            return loop.samples

    return asyncio.run(send())


def test_a_stall_is_charged_to_all_who_would_have_come_in_it():
    """A server that stands still for 1 s of 2 keeps 100 requests of 100/s waiting, 80 of them for more than 0.2 s."""
    with serving(Stalling(delay_s=0.002, stall_s=(0.5, 1.5))) as server:
        samples = run(server, Open(100, "constant"), duration_s=2.0)
    due_s, latency_s = samples.column("due_s"), samples.column("latency_s")
    assert sorted(due_s) == pytest.approx(np.arange(200) / 100)
    # The server's clock began with its first request, which was a little late.
    waited = (due_s > 0.9) & (due_s < 1.3)
    assert (latency_s + due_s)[waited].min() >= 1.5
    assert (latency_s > 0.2).sum() >= 75
    assert summarise("a", Open(100, "constant"), samples, 2.0).accepted.p99_ms > 900


def test_a_closed_loop_waits_for_answers():
    with serving(Stalling(delay_s=0.1)) as server:
        samples = run(server, Closed(3), duration_s=1.0)
    assert 3 <= len(samples) <= 30
    assert samples.column("latency_s").min() >= 0.1


@pytest.mark.parametrize(
    ("reply", "label", "kind"),
    [
        (Reply(), "200", "accepted"),
        (Reply(429, (("Retry-After", "9"),)), "429", "refused"),
        (Reply(503, (("Retry-After", "1"),)), "503", "refused"),
        (Reply(503), RUDE, "failed"),
        (Reply(422), "422", "rejected"),
        (Reply(500), "500", "failed"),
    ],
)
def test_answers_are_told_apart(reply, label, kind):
    with serving(Stalling(reply=reply)) as server:
        samples = run(server, Closed(1), duration_s=0.1)
    assert set(samples.count()) == {label}
    assert samples.are(kind).all()


def test_nobody_there_is_a_failure_and_no_storm():
    server = Stalling()
    server.url = "http://127.0.0.1:9"
    samples = run(server, Closed(1), duration_s=0.3)
    assert samples.are("failed").all()
    assert 1 <= len(samples) <= 4


def test_what_is_not_answered_in_time_has_failed():
    with serving(Stalling(delay_s=1.0)) as server:
        samples = run(server, Closed(2), duration_s=0.1, timeout_s=0.2)
    assert samples.count() == {"time-out": 2}


def test_a_job_counts_to_the_end_of_its_download():
    ticket = b'{"id": "a", "status": "processing", "poll_url": "/api/v1/status/a"}'
    reply = Reply(202, (("Content-Type", "application/json"),), ticket)
    with serving(Stalling(reply=reply)) as server:
        samples = run(server, Closed(1), duration_s=0.1)
    assert set(samples.count()) == {"202"}
    assert set(samples.received_bytes) == {77}
    assert (samples.column("latency_s") >= 0.02).all()


def test_cache_and_stages_are_noted():
    headers = (("X-Cache", "hit"), ("Server-Timing", "queue;dur=0.5, encode;dur=8.0"))
    with serving(Stalling(reply=Reply(200, headers))) as server:
        samples = run(server, Closed(1), duration_s=0.1)
    told = summarise("a", Closed(1), samples, 0.1)
    assert told.cache == {"hit": len(samples)}
    assert told.stages_ms == {"queue": 0.5, "encode": 8.0}


@pytest.mark.parametrize("arrivals", ["poisson", "constant"])
def test_shares_of_a_schedule_add_up_to_its_rate(arrivals):
    load = Open(500, arrivals)
    shares = [list(schedule(load, duration_s=20, seed="1", share=share, shares=3)) for share in range(3)]
    due = sorted(one for share in shares for one in share)
    assert len(due) == pytest.approx(10_000, rel=0.05)
    gaps = np.diff(due)
    spread = gaps.std() / gaps.mean()
    assert spread == pytest.approx(1 if arrivals == "poisson" else 0, abs=0.05)


@pytest.mark.parametrize("duration_s", [0.5, 3, 10, 15, 21])
def test_constant_arrivals_are_as_many_as_were_wanted(duration_s):
    assert len(list(schedule(Open(1000 / duration_s, "constant"), duration_s=duration_s, seed="1"))) == 1000


def test_a_schedule_can_be_repeated():
    load = Open(50)
    first, second, other = (list(schedule(load, duration_s=5, seed=seed)) for seed in ("1", "1", "2"))
    assert first == second
    assert first != other


@pytest.mark.parametrize(("lag_s", "is_valid"), [(0.004, True), (0.02, False)])
def test_a_generator_that_was_late_makes_the_phase_invalid(lag_s, is_valid):
    samples = Samples()
    for number in range(100):
        samples.add("200", due_s=number / 10, lag_s=lag_s, head_s=0.1, latency_s=0.1, sent=1, received=1)
    stream = Stream(name="a", key="", asks=ASKS, load=Open(10), seed="1")
    told = summarise_phase("p", [stream], {"a": [Sent(samples, 0.1, 0.1)]}, duration_s=10, watch=None)
    assert (not told.doubts) == is_valid


def test_a_generator_that_was_busy_makes_the_phase_invalid():
    stream = Stream(name="a", key="", asks=ASKS, load=Closed(1), seed="1")
    told = summarise_phase("p", [stream], {"a": [Sent(Samples(), 9.0, 0.9)]}, duration_s=10, watch=None)
    assert told.doubts


@pytest.mark.parametrize(("machine_s", "others_cores"), [(12.5, 0.15), (20.0, 0.9)])
def test_a_machine_that_others_use_makes_a_phase_invalid(machine_s, others_cores):
    stream = Stream(name="a", key="", asks=ASKS, load=Closed(1), seed="1")
    watch = SimpleNamespace(cpu_s=10.0, machine_s=machine_s, took_s=10.0, peak_rss_bytes=1)
    told = summarise_phase("p", [stream], {"a": [Sent(Samples(), 1.0, 0.1)]}, duration_s=10, watch=watch)
    assert told.others_cores == others_cores
    assert bool(told.doubts) == (others_cores > 0.2)


def test_an_answer_that_makes_no_sense_is_a_failure():
    with serving(Stalling(reply=Reply(202, (("Content-Type", "application/json"),), b"{}"))) as server:
        samples = run(server, Closed(1), duration_s=0.1)
    assert samples.are("failed").all()
