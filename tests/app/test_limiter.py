"""The limiter: exact over processes, one window told to all, and never in the way when Redis is."""

import asyncio
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import redis

from app.adapters import redis_limiter
from app.adapters.breaker import Breaker
from app.adapters.embedded import EmbeddedValkey
from app.adapters.redis_client import open_client
from app.adapters.redis_limiter import RedisLimiter
from app.ports.limiter import WINDOW_S

#: Spends 100 at once when told to; says how many were allowed, the ends of their windows, and what was decided locally.
SPENDER = """
import asyncio, sys
from app.adapters.breaker import Breaker
from app.adapters.redis_client import open_client
from app.adapters.redis_limiter import RedisLimiter

async def main():
    async with open_client(sys.argv[1], timeout_s=60) as client:
        limiter = RedisLimiter(client, Breaker())
        await client.ping()
        print("ready", flush=True)
        sys.stdin.readline()
        windows = await asyncio.gather(*[limiter.spend("compress", "k", 100) for _ in range(100)])
        print(sum(w.allowed for w in windows), *sorted({w.reset_at for w in windows}), limiter.decided_locally)

asyncio.run(main())
"""


@asynccontextmanager
async def limiting(address: str, *, timeout_s: float = 30.0, **options: int) -> AsyncIterator[RedisLimiter]:
    async with open_client(address, timeout_s) as client:
        yield RedisLimiter(client, Breaker(pause_s=0.05), **options)


def run(scenario: Coroutine[Any, Any, None]) -> None:
    """Run a scenario; one that hangs fails."""

    async def guarded() -> None:
        async with asyncio.timeout(60):
            await scenario

    asyncio.run(guarded())


def test_200_at_once_over_two_processes_at_limit_100_allow_exactly_100(redis_address: str) -> None:
    spenders = [
        subprocess.Popen(
            [sys.executable, "-c", SPENDER, redis_address], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    for spender in spenders:
        assert spender.stdout.readline() == "ready\n"
    for spender in spenders:
        spender.stdin.write("\n")
        spender.stdin.flush()
    told = [[int(word) for word in spender.communicate()[0].split()] for spender in spenders]
    assert sum(answer[0] for answer in told) == 100
    assert len({reset_at for answer in told for reset_at in answer[1:-1]}) == 1
    assert [answer[-1] for answer in told] == [0, 0]


def test_the_window_begins_at_the_first_request_and_is_a_minute_long(redis_address: str) -> None:
    async def scenario() -> None:
        async with limiting(redis_address) as limiter:
            before = time.time()
            first = await limiter.spend("compress", "k", 5)
            assert math.ceil(before + WINDOW_S) <= first.reset_at <= math.ceil(time.time() + WINDOW_S)
            assert (first.allowed, first.limit, first.remaining, first.reset_in_s) == (True, 5, 4, WINDOW_S)
            await asyncio.sleep(0.01)
            second = await limiter.spend("compress", "k", 5)
            assert second.reset_at == first.reset_at
            assert second.remaining == 3

    run(scenario())


def test_a_window_that_ended_is_followed_by_a_whole_one(redis_address: str) -> None:
    async def scenario() -> None:
        async with limiting(redis_address) as limiter:
            for _ in range(3):
                await limiter.spend("compress", "k", 2)
            with redis.Redis.from_url(redis_address) as client:
                client.hset("rl:{k}:compress", "ends", int(time.time() * 1000))
            after = await limiter.spend("compress", "k", 2)
            assert (after.allowed, after.remaining, after.reset_in_s) == (True, 1, WINDOW_S)

    run(scenario())


def test_a_window_leaves_nothing_behind_when_it_ends(redis_address: str) -> None:
    async def scenario() -> None:
        async with limiting(redis_address) as limiter:
            window = await limiter.spend("compress", "k", 2)
        with redis.Redis.from_url(redis_address) as client:
            ends_ms = int(client.hget("rl:{k}:compress", "ends"))
            assert math.ceil(ends_ms / 1000) == window.reset_at
            assert ends_ms - WINDOW_S * 1000 - 1 <= time.time() * 1000
            assert 0 < client.pttl("rl:{k}:compress") <= WINDOW_S * 1000

    run(scenario())


def test_a_server_clock_that_is_set_back_locks_nobody_out(redis_address: str) -> None:
    async def scenario() -> None:
        async with limiting(redis_address) as limiter:
            await limiter.spend("compress", "k", 1)
            with redis.Redis.from_url(redis_address) as client:
                client.hset("rl:{k}:compress", "ends", int((time.time() + 3600) * 1000))
            after = await limiter.spend("compress", "k", 1)
            assert (after.allowed, after.reset_in_s) == (True, WINDOW_S)

    run(scenario())


def test_budgets_and_keys_are_counted_apart(redis_address: str) -> None:
    async def scenario() -> None:
        async with limiting(redis_address) as limiter:
            assert (await limiter.spend("compress", "a", 1)).allowed
            assert not (await limiter.spend("compress", "a", 1)).allowed
            assert (await limiter.spend("poll", "a", 10)).remaining == 9
            assert (await limiter.spend("compress", "b", 1)).allowed

    run(scenario())


def test_a_refused_request_is_not_counted(redis_address: str) -> None:
    async def scenario() -> None:
        async with limiting(redis_address) as limiter:
            assert (await limiter.spend("compress", "k", 5, cost=3)).remaining == 2
            for _ in range(4):
                refused = await limiter.spend("compress", "k", 5, cost=3)
                assert (refused.allowed, refused.remaining) == (False, 2)
            assert (await limiter.spend("compress", "k", 5, cost=2)).allowed
            assert (await limiter.spend("compress", "k", 6)).allowed

    run(scenario())


def test_a_look_counts_nothing_begins_nothing_and_is_never_refused(redis_address: str) -> None:
    async def scenario() -> None:
        async with limiting(redis_address) as limiter:
            look = await limiter.spend("compress", "k", 1, cost=0)
            assert (look.allowed, look.remaining, look.reset_in_s) == (True, 1, WINDOW_S)
            with redis.Redis.from_url(redis_address) as client:
                assert client.dbsize() == 0
            window = await limiter.spend("compress", "k", 1)
            look = await limiter.spend("compress", "k", 1, cost=0)
            assert (look.allowed, look.remaining, look.reset_at) == (True, 0, window.reset_at)

    run(scenario())


def test_a_limit_lowered_within_a_window_never_tells_less_than_none_left(redis_address: str) -> None:
    async def scenario() -> None:
        async with limiting(redis_address) as limiter:
            await limiter.spend("compress", "k", 100, cost=50)
            window = await limiter.spend("compress", "k", 20)
            assert (window.allowed, window.remaining) == (False, 0)
            assert (await limiter.spend("compress", "k", 20, cost=0)).remaining == 0

    run(scenario())


def test_a_frozen_redis_leaves_each_process_its_share_until_it_answers_again(
    valkey: EmbeddedValkey, short_folder: Path
) -> None:
    async def scenario() -> None:
        async with limiting(f"unix://{short_folder / 's'}", timeout_s=0.5, shares=3) as limiter:
            await limiter.spend("compress", "k", 10)
            os.kill(valkey.pid, signal.SIGSTOP)
            try:
                windows = await asyncio.gather(*[limiter.spend("compress", "k", 10) for _ in range(300)])
            finally:
                os.kill(valkey.pid, signal.SIGCONT)
            assert sum(window.allowed for window in windows) == math.ceil(10 / 3) == windows[0].limit
            assert len({window.reset_at for window in windows}) == 1
            assert limiter.decided_locally == 300
            await wait_for_redis(limiter)
            assert (await limiter.spend("compress", "other", 10)).limit == 10

    run(scenario())


def test_a_killed_redis_opens_the_breaker_and_its_window_goes_on_after_the_restart(
    valkey: EmbeddedValkey, short_folder: Path, kill_valkey: Callable[[], None]
) -> None:
    async def scenario() -> None:
        async with open_client(f"unix://{short_folder / 's'}", 1) as client:
            breaker = Breaker(pause_s=0.05)
            limiter = RedisLimiter(client, breaker)
            first = await limiter.spend("compress", "k", 50, cost=40)
            await asyncio.to_thread(kill_valkey)
            for _ in range(10):
                assert (await limiter.spend("compress", "k", 50)).allowed
            assert breaker.is_open
            assert breaker.opened == 1
            assert limiter.decided_locally == 10
            valkey.start()
            await wait_for_redis(limiter)
            assert not breaker.is_open
            after = await limiter.spend("compress", "k", 50, cost=0)
            assert (after.remaining, after.reset_at) == (10, first.reset_at)

    run(scenario())


def test_a_redis_that_never_was_is_no_error() -> None:
    async def scenario() -> None:
        async with limiting("unix:///absent/s") as limiter:
            answers = [await limiter.spend("compress", "k", 2) for _ in range(3)]
            assert [window.allowed for window in answers] == [True, True, False]
            look = await limiter.spend("compress", "k", 2, cost=0)
            assert (look.allowed, look.remaining, look.reset_at) == (True, 0, answers[0].reset_at)
            assert 1 <= look.reset_in_s <= WINDOW_S
            costly = [await limiter.spend("poll", "k", 5, cost=cost) for cost in (3, 3, 2)]
            assert [window.allowed for window in costly] == [True, False, True]

    run(scenario())


def test_a_local_window_ends_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_limiter, "WINDOW_S", 1)

    async def scenario() -> None:
        async with limiting("unix:///absent/s") as limiter:
            assert [(await limiter.spend("compress", "k", 1)).allowed for _ in range(2)] == [True, False]
            await asyncio.sleep(1)
            assert (await limiter.spend("compress", "k", 1)).allowed

    run(scenario())


def test_a_redis_that_refuses_commands_counts_as_away(valkey: EmbeddedValkey, short_folder: Path) -> None:
    async def scenario() -> None:
        with redis.Redis(unix_socket_path=str(short_folder / "s")) as client:
            client.config_set("maxmemory", 1)
        async with limiting(f"unix://{short_folder / 's'}") as limiter:
            assert (await limiter.spend("compress", "k", 1)).allowed
            assert limiter.decided_locally == 1

    run(scenario())


async def wait_for_redis(limiter: RedisLimiter) -> None:
    """Ask until an answer comes from Redis; the scenario's own guard ends a wait in vain."""
    while True:
        before = limiter.decided_locally
        await limiter.spend("poll", "asking", 1000, cost=0)
        if limiter.decided_locally == before:
            return
        await asyncio.sleep(0.01)


class Clock:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def open_breaker(clock: Clock) -> Breaker:
    breaker = Breaker(failures=3, pause_s=1.0, clock=clock)
    for _ in range(3):
        assert breaker.allows()
        breaker.fail()
    return breaker


def test_a_breaker_opens_only_after_failures_in_a_row() -> None:
    breaker = Breaker(failures=3)
    for _ in range(10):
        breaker.fail()
        breaker.fail()
        breaker.succeed()
    assert breaker.allows()
    assert breaker.opened == 0


def test_an_open_breaker_lets_one_caller_try_in_each_pause_even_if_it_never_reports() -> None:
    clock = Clock()
    breaker = open_breaker(clock)
    allowed = []
    for _ in range(8):
        clock.now_s += 0.25
        allowed.append(breaker.allows())
    assert allowed == [False, False, False, True] * 2


def test_a_breaker_closes_at_the_first_answer_and_stays_open_on_a_failed_try() -> None:
    clock = Clock()
    breaker = open_breaker(clock)
    clock.now_s = 1.5
    assert breaker.allows()
    breaker.fail()
    assert not breaker.allows()
    assert breaker.opened == 1
    clock.now_s = 3.0
    assert breaker.allows()
    breaker.succeed()
    assert not breaker.is_open
    assert breaker.allows()
