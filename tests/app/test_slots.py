"""Admission: first come first served, a bounded waiting room, and no slot lost when somebody gives up."""

import asyncio

import pytest

from app.errors import ServiceError
from app.service.slots import Slots

pytestmark = pytest.mark.anyio


def slots(count: int = 1, waiting_per_slot: int = 2, wait_timeout_s: float = 5) -> Slots[int]:
    made: Slots[int] = Slots(count=count, waiting_per_slot=waiting_per_slot, wait_timeout_s=wait_timeout_s)
    for number in range(count):
        made.release(number)
    return made


async def test_those_who_wait_are_served_in_order() -> None:
    pool, order = slots(), []

    async def wait(name: str) -> None:
        slot = await pool.acquire()
        order.append(name)
        pool.release(slot)

    held = await pool.acquire()
    waiting = [asyncio.create_task(wait(name)) for name in "ab"]
    await asyncio.sleep(0)
    pool.release(held)
    await asyncio.gather(*waiting)
    assert order == ["a", "b"]


async def test_beyond_the_waiting_room_it_is_overloaded_with_a_time_to_come_back() -> None:
    pool = slots(waiting_per_slot=1)
    held = await pool.acquire()
    waiter = asyncio.create_task(pool.acquire())
    await asyncio.sleep(0)
    with pytest.raises(ServiceError) as refused:
        await pool.acquire()
    assert refused.value.code == "overloaded"
    assert int(refused.value.headers["Retry-After"]) >= 1
    with pytest.raises(ServiceError):
        pool.refuse_if_full()
    pool.release(held)
    assert await waiter == held


async def test_a_wait_that_takes_too_long_ends_and_leaves_the_room() -> None:
    pool = slots(wait_timeout_s=0.01)
    held = await pool.acquire()
    with pytest.raises(ServiceError, match="busy"):
        await pool.acquire()
    assert pool.waiting == 0
    pool.release(held)
    assert await pool.acquire() == held


async def test_a_slot_handed_to_somebody_who_gives_up_in_the_same_turn_is_not_lost() -> None:
    pool = slots()
    held = await pool.acquire()
    waiter = asyncio.create_task(pool.acquire())
    await asyncio.sleep(0)
    pool.release(held)
    waiter.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiter
    assert pool.idle == 1


async def test_one_who_gave_up_is_passed_over() -> None:
    pool = slots()
    held = await pool.acquire()
    gone, stays = asyncio.create_task(pool.acquire()), asyncio.create_task(pool.acquire())
    await asyncio.sleep(0)
    gone.cancel()
    pool.release(held)
    assert await stays == held


async def test_a_slot_that_is_withdrawn_is_lent_to_nobody() -> None:
    pool = slots(count=2)
    pool.withdraw(1)
    assert await pool.acquire() == 0
    assert pool.idle == 0
