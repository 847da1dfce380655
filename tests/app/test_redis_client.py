"""The client of Redis: ends in time, keeps to its connections, and replaces those that are gone."""

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import redis
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError
from redis.exceptions import TimeoutError as RedisTimeout

from app.adapters.embedded import EmbeddedValkey
from app.adapters.redis_client import open_client


def ping_in_a_pipeline(client: Redis) -> Awaitable[Any]:
    return client.pipeline(transaction=False).ping().execute()


def run_a_script(client: Redis) -> Awaitable[Any]:
    return client.register_script("return redis.call('PING')")()


@pytest.mark.parametrize("ask", [Redis.ping, ping_in_a_pipeline, run_a_script])
def test_whatever_is_asked_of_a_frozen_server_ends_at_the_time_out_and_works_again_after(
    valkey: EmbeddedValkey, short_folder: Path, ask: Callable[[Redis], Awaitable[Any]]
) -> None:
    async def scenario() -> None:
        async with (
            asyncio.timeout(60),
            open_client(f"unix://{short_folder / 's'}", 0.2) as client,
            open_client(f"unix://{short_folder / 's'}", 30, max_in_flight=2) as patient,
        ):
            await ask(patient)
            os.kill(valkey.pid, signal.SIGSTOP)
            answers = await asyncio.gather(*[ask(client) for _ in range(100)], return_exceptions=True)
            os.kill(valkey.pid, signal.SIGCONT)
            assert {type(answer) for answer in answers} == {RedisTimeout}
            assert await ask(patient)
            answer = None
            while not answer:
                with suppress(RedisTimeout):
                    answer = await ask(client)

    asyncio.run(scenario())


@pytest.mark.parametrize("ask", [Redis.ping, ping_in_a_pipeline])
def test_hundreds_at_once_take_turns_on_a_few_connections(
    redis_address: str, ask: Callable[[Redis], Awaitable[Any]]
) -> None:
    async def scenario() -> None:
        async with open_client(redis_address, 30, max_in_flight=4) as client:
            await asyncio.gather(*[ask(client) for _ in range(500)])
            assert len(await client.client_list()) == 4

    asyncio.run(scenario())


def test_a_busy_event_loop_is_not_taken_for_a_slow_server(redis_address: str) -> None:
    async def be_busy() -> None:
        while True:
            time.sleep(0.2)  # noqa: ASYNC251  # as the handling of many requests in one turn of the loop
            await asyncio.sleep(0)

    async def scenario() -> None:
        async with open_client(redis_address, 0.1) as client:
            busy = asyncio.create_task(be_busy())
            await asyncio.gather(*[client.ping() for _ in range(20)])
            busy.cancel()

    asyncio.run(scenario())


def test_a_connection_that_the_server_closed_while_idle_is_replaced_unnoticed(redis_address: str) -> None:
    async def scenario() -> None:
        async with open_client(redis_address, 30) as client:
            number = await client.client_id()
            with redis.Redis.from_url(redis_address) as other:
                other.client_kill_filter(_id=str(number))
                # One more round trip: the server closes what it kills after it has answered.
                other.ping()
            for _ in range(3):
                await asyncio.sleep(0)
            assert await client.client_id() != number

    asyncio.run(scenario())


def test_no_server_is_an_error_of_redis_at_once() -> None:
    async def scenario() -> None:
        async with asyncio.timeout(30), open_client("unix:///absent/s", 3600) as client:
            with pytest.raises(RedisConnectionError):
                await client.ping()

    asyncio.run(scenario())


def test_scripts_of_hundreds_share_one_connection_and_each_gets_its_own_reply(redis_address: str) -> None:
    async def scenario() -> None:
        async with open_client(redis_address, 30) as client:
            script = client.register_script(
                "if ARGV[1] == '7' then return redis.error_reply('SEVEN') end return {ARGV[1], ARGV[2]}"
            )
            await script(args=["first", ""])
            asked = [asyncio.create_task(script(args=[str(number), "x" * number])) for number in range(500)]
            await asyncio.sleep(0)
            for task in asked[::3]:
                task.cancel()
            answers = await asyncio.gather(*asked, return_exceptions=True)
            for number, answer in enumerate(answers):
                if number % 3 == 0:
                    assert isinstance(answer, asyncio.CancelledError)
                elif number == 7:
                    assert isinstance(answer, ResponseError)
                else:
                    assert answer == [str(number).encode(), b"x" * number]
            # Theirs, and that of whoever asks.
            assert len(await client.client_list()) == 2

    asyncio.run(scenario())


def test_the_scripts_connection_is_replaced_when_the_server_closes_it(redis_address: str) -> None:
    async def scenario() -> None:
        async with open_client(redis_address, 30) as client:
            await run_a_script(client)
            with redis.Redis.from_url(redis_address) as other:
                [line] = [one for one in other.client_list() if one["cmd"] == "evalsha"]
                other.client_kill_filter(_id=line["id"])
                other.ping()
            for _ in range(3):
                await asyncio.sleep(0)
            assert await run_a_script(client)

    asyncio.run(scenario())


def test_a_time_out_of_one_script_takes_no_reply_from_another(valkey: EmbeddedValkey, short_folder: Path) -> None:
    async def scenario() -> None:
        async with open_client(f"unix://{short_folder / 's'}", 2) as client:
            await run_a_script(client)
            os.kill(valkey.pid, signal.SIGSTOP)
            early = asyncio.ensure_future(run_a_script(client))
            await asyncio.sleep(1.5)
            late = asyncio.ensure_future(run_a_script(client))
            with pytest.raises(RedisTimeout):
                await early
            os.kill(valkey.pid, signal.SIGCONT)
            assert await late
            assert await run_a_script(client)

    asyncio.run(scenario())


def test_no_server_is_an_error_of_scripts_too() -> None:
    async def scenario() -> None:
        async with asyncio.timeout(30), open_client("unix:///absent/s", 3600) as client:
            answers = await asyncio.gather(*[run_a_script(client) for _ in range(20)], return_exceptions=True)
            assert {type(answer) for answer in answers} == {RedisConnectionError}

    asyncio.run(scenario())
