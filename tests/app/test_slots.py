"""Admission: fair between accounts, bounded, hardly any waiting in overload, and no slot lost when somebody goes."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.errors import ServiceError
from app.service.slots import Slots

pytestmark = pytest.mark.anyio


class Clock:
    """Seconds that go on only when told."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def slots(
    count: int = 1, waiting_per_slot: int = 2, wait_timeout_s: float = 5, clock: Clock | None = None
) -> Slots[int]:
    made: Slots[int] = Slots(
        count=count, waiting_per_slot=waiting_per_slot, wait_timeout_s=wait_timeout_s, clock=clock or Clock()
    )
    for number in range(count):
        made.release(number)
    return made


class Crowd:
    """Requests that wait in a pool, and what became of them in order."""

    def __init__(self, pool: Slots[int]) -> None:
        self._pool = pool
        self.tasks: list[asyncio.Task[None]] = []
        self.served: list[str] = []
        self.refused: list[ServiceError] = []
        self.held: list[int] = []

    async def arrive(self, accounts: str) -> None:
        """One request for each letter, which names its account; all of them wait, hold or are refused on return."""
        for account in accounts:
            self.tasks.append(asyncio.create_task(self._ask(account)))
            await asyncio.sleep(0)

    async def serve(self, count: int) -> str:
        """Give back so many slots, the ones held longest; the accounts that were served."""
        before = len(self.served)
        for _ in range(count):
            self._pool.release(self.held.pop(0))
            await settle()
        return "".join(self.served[before:])

    async def _ask(self, account: str) -> None:
        try:
            slot = await self._pool.acquire(account)
        except ServiceError as error:
            self.refused.append(error)
        else:
            self.served.append(account)
            self.held.append(slot)


def refuse_if_full(pool: Slots[int], account: str) -> None:
    with pool.expecting(account):
        pass


async def settle() -> None:
    """Let everybody act who can."""
    for _ in range(5):
        await asyncio.sleep(0)


@asynccontextmanager
async def crowd_at(pool: Slots[int]) -> AsyncGenerator[Crowd]:
    crowd = Crowd(pool)
    try:
        yield crowd
    finally:
        for task in crowd.tasks:
            task.cancel()
        await asyncio.gather(*crowd.tasks, return_exceptions=True)


async def test_within_an_account_first_come_is_first_served() -> None:
    pool = slots()
    held = await pool.acquire("a")
    order: list[str] = []

    async def wait(name: str) -> None:
        slot = await pool.acquire("a")
        order.append(name)
        pool.release(slot)

    waiting = [asyncio.create_task(wait(name)) for name in "12"]
    await asyncio.sleep(0)
    pool.release(held)
    await asyncio.gather(*waiting)
    assert order == ["1", "2"]


@pytest.mark.parametrize(
    ("arrivals", "served"),
    [
        pytest.param("aaaabc", "bacaa", id="whoever comes to a flood is next, and the flood goes on in its turn"),
        pytest.param("aaabb", "baba", id="in turn while both wait"),
        pytest.param("aaabbb", "babab", id="to the end"),
        pytest.param("aaabbcc", "bacbac", id="in turn among three"),
    ],
)
async def test_a_freed_slot_goes_round_between_accounts(arrivals: str, served: str) -> None:
    async with crowd_at(slots(waiting_per_slot=9)) as crowd:
        await crowd.arrive(arrivals)
        assert await crowd.serve(len(served)) == served


async def test_an_account_with_long_jobs_gets_no_more_slots_than_one_with_short_ones() -> None:
    pool = slots(count=2, waiting_per_slot=9)
    async with crowd_at(pool) as crowd:
        await crowd.arrive("ab" + 5 * "a" + 5 * "b")
        crowd.held.pop(0)  # a's first goes on and on
        assert await crowd.serve(5) == "bbbbb"


async def test_nobody_starves_while_others_come_again_and_again() -> None:
    async with crowd_at(slots(waiting_per_slot=9)) as crowd:
        await crowd.arrive("abcaaa")
        for _ in range(8):
            back_again = crowd.served[-1]
            await crowd.serve(1)
            await crowd.arrive(back_again)
        assert min(Counter(crowd.served).values()) >= 2


async def test_beyond_the_waiting_room_it_is_overloaded_with_a_time_to_come_back() -> None:
    pool = slots(waiting_per_slot=2)
    async with crowd_at(pool) as crowd:
        await crowd.arrive("aaa")
        with pytest.raises(ServiceError) as refused:
            await pool.acquire("a")
        assert refused.value.code == "overloaded"
        assert int(refused.value.headers["Retry-After"]) >= 1
        with pytest.raises(ServiceError):
            refuse_if_full(pool, "a")
        assert await crowd.serve(1) == "a"


async def test_the_time_to_come_back_grows_with_the_running_mean() -> None:
    pool = slots(waiting_per_slot=0)
    pool.release(await pool.acquire("a"), used_s=1000)
    held = await pool.acquire("a")
    with pytest.raises(ServiceError) as refused:
        refuse_if_full(pool, "a")
    assert 90 <= int(refused.value.headers["Retry-After"]) <= 110
    pool.release(held)


async def test_in_a_full_room_the_greediest_account_makes_place_with_its_newest() -> None:
    pool = slots(waiting_per_slot=4)
    async with crowd_at(pool) as crowd:
        await crowd.arrive("aaaaa")
        refuse_if_full(pool, "b")
        await crowd.arrive("b")
        await settle()
        assert pool.waiting == 4
        assert [task.done() for task in crowd.tasks] == [True, False, False, False, True, False]
        [shown_out] = crowd.refused
        assert shown_out.code == "overloaded"
        assert "Retry-After" in shown_out.headers
        assert await crowd.serve(4) == "baaa"


async def test_a_full_room_is_shared_evenly_and_then_nobody_is_shown_out() -> None:
    pool = slots(count=2, waiting_per_slot=4)
    async with crowd_at(pool) as crowd:
        await crowd.arrive(10 * "a" + 4 * "b")
        await settle()
        assert len(crowd.refused) == 4
        await crowd.arrive("bab")  # five to five after the first
        await settle()
        assert len(crowd.refused) == 7
        assert Counter(await crowd.serve(8)) == {"a": 3, "b": 5}, "a has two at work"


async def test_room_for_bursts_until_more_are_refused_than_it_holds() -> None:
    clock = Clock()
    pool = slots(count=2, waiting_per_slot=2, clock=clock)
    async with crowd_at(pool) as crowd:
        await crowd.arrive(6 * "a" + 4 * "a")
        assert (len(crowd.refused), pool.waiting, pool.is_overloaded) == (4, 4, False)
        await crowd.arrive("a")
        await settle()
        assert pool.is_overloaded
        assert pool.waiting == 0, "those who cannot be served soon are told at once"
        assert len(crowd.refused) == 9


async def test_in_overload_one_may_wait_for_each_slot_that_is_due() -> None:
    clock = Clock()
    pool = slots(count=2, waiting_per_slot=2, clock=clock)
    for _ in range(100):
        pool.release(await pool.acquire("a"), used_s=0.1)
    async with crowd_at(pool) as crowd:
        await crowd.arrive("a")
        clock.now += 0.05
        await crowd.arrive(10 * "a")
        assert pool.is_overloaded
        for now_s, places in ((0, 0), (0.03, 1), (0.03, 1), (0.03, 2)):
            clock.now += now_s
            await crowd.arrive("aaa")
            assert pool.waiting == places


async def test_the_whole_room_is_back_when_no_more_are_refused_than_it_holds() -> None:
    clock = Clock()
    pool = slots(count=2, waiting_per_slot=2, clock=clock)
    async with crowd_at(pool) as crowd:
        await crowd.arrive(11 * "a")
        await settle()
        assert pool.is_overloaded
        for _ in range(3):  # a few a second who come again do not hold it up
            clock.now += 0.3
            await crowd.arrive("aaa" if pool.waiting == 0 else "a")
            assert pool.waiting == 2
        clock.now += 0.3
        await crowd.arrive("aaa")
        assert pool.waiting == 4


async def test_where_jobs_are_long_overload_lasts_as_long_as_two() -> None:
    clock = Clock()
    pool = slots(count=2, waiting_per_slot=2, clock=clock)
    pool.release(await pool.acquire("a"), used_s=1000)  # the mean is a hundred by now
    async with crowd_at(pool) as crowd:
        await crowd.arrive(11 * "a")
        clock.now += 190
        assert pool.is_overloaded
        clock.now += 20
        assert not pool.is_overloaded


async def test_in_the_overload_that_one_account_makes_each_other_may_have_one_request() -> None:
    pool = slots(count=2, waiting_per_slot=2)
    async with crowd_at(pool) as crowd:
        await crowd.arrive(11 * "a")
        assert pool.is_overloaded
        assert pool.waiting == 0
        refuse_if_full(pool, "b")
        await crowd.arrive("bcde")
        assert pool.waiting == 4
        for account in "abf":
            with pytest.raises(ServiceError):
                refuse_if_full(pool, account)
        assert await crowd.serve(4) == "bcde"


async def test_when_one_account_brings_overload_back_another_that_waits_is_not_shown_out() -> None:
    clock = Clock()
    pool = slots(count=2, waiting_per_slot=2, clock=clock)
    async with crowd_at(pool) as crowd:
        await crowd.arrive(11 * "a")
        await settle()
        clock.now += 1.1
        await crowd.arrive("aa")
        assert await crowd.serve(2) == "aa"  # whose jobs are new: nobody may wait for them in overload
        await crowd.arrive("b" + 9 * "a")
        await settle()
        assert pool.is_overloaded
        assert await crowd.serve(1) == "b"


async def test_in_the_overload_that_all_make_together_the_room_is_small_for_all() -> None:
    pool = slots(count=2, waiting_per_slot=2)
    async with crowd_at(pool) as crowd:
        await crowd.arrive("abcdefghijk")
        await settle()
        assert pool.is_overloaded
        with pytest.raises(ServiceError):
            refuse_if_full(pool, "z")
        assert pool.waiting == 0


async def test_in_overload_bodies_that_come_promptly_take_the_places() -> None:
    clock = Clock()
    pool = slots(count=2, waiting_per_slot=2, clock=clock)
    async with crowd_at(pool) as crowd:
        await crowd.arrive(11 * "a")
        await settle()
        assert pool.is_overloaded
        clock.now += 0.08  # both jobs are due
        with pool.expecting("a"), pool.expecting("a"):
            with pytest.raises(ServiceError):
                refuse_if_full(pool, "a")
            clock.now += 0.3  # a slow client keeps nobody out
            refuse_if_full(pool, "a")
        refuse_if_full(pool, "a")


async def test_without_overload_any_number_may_send() -> None:
    pool = slots()
    with contextlib.ExitStack() as bodies:
        for _ in range(100):
            bodies.enter_context(pool.expecting("a"))


async def test_a_wait_that_takes_too_long_ends_and_leaves_the_room() -> None:
    pool = slots(wait_timeout_s=0.01)
    held = await pool.acquire("a")
    with pytest.raises(ServiceError, match="busy"):
        await pool.acquire("a")
    assert pool.waiting == 0
    pool.release(held)
    assert await pool.acquire("a") == held


async def test_a_slot_handed_to_somebody_who_gives_up_in_the_same_turn_is_not_lost() -> None:
    pool = slots()
    held = await pool.acquire("a")
    waiter = asyncio.create_task(pool.acquire("a"))
    await asyncio.sleep(0)
    pool.release(held)
    waiter.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiter
    assert pool.idle == 1


async def test_one_who_is_shown_out_and_gives_up_in_the_same_turn_leaves_no_trace() -> None:
    pool = slots(waiting_per_slot=1)
    held = await pool.acquire("a")
    flood = asyncio.create_task(pool.acquire("a"))
    await asyncio.sleep(0)
    other = asyncio.create_task(pool.acquire("b"))
    await asyncio.sleep(0)
    flood.cancel()
    pool.release(held)
    with pytest.raises(asyncio.CancelledError):
        await flood
    assert await other == held
    pool.release(held)
    assert (pool.idle, pool.waiting) == (1, 0)


async def test_one_who_gave_up_is_passed_over() -> None:
    pool = slots()
    held = await pool.acquire("a")
    gone, stays = asyncio.create_task(pool.acquire("a")), asyncio.create_task(pool.acquire("a"))
    await asyncio.sleep(0)
    gone.cancel()
    pool.release(held)
    assert await stays == held


async def test_a_slot_that_is_withdrawn_is_lent_to_nobody() -> None:
    pool = slots(count=2)
    pool.withdraw(1)
    assert await pool.acquire("a") == 0
    assert pool.idle == 0


async def test_a_slot_that_is_withdrawn_while_it_is_lent_counts_for_its_account_no_more() -> None:
    pool = slots(count=2, waiting_per_slot=9)
    async with crowd_at(pool) as crowd:
        await crowd.arrive("aaabb")  # a has both slots, and waits before b
        pool.withdraw(crowd.held.pop(0))
        pool.release(2)
        await settle()
        assert crowd.served == ["a", "a", "b"]
        pool.withdraw(crowd.held.pop(0))
        pool.release(3)
        await settle()
        assert crowd.served[3:] == ["a"], "b has one, a has none by now"


class Life:
    """A pool to which anything may happen."""

    def __init__(self, count: int, waiting_per_slot: int) -> None:
        self.clock = Clock()
        self.pool = slots(count=count, waiting_per_slot=waiting_per_slot, wait_timeout_s=30, clock=self.clock)
        self.all_slots = set(range(count))
        self.tasks: list[asyncio.Task[int]] = []

    def arrive(self, number: int) -> None:
        self.tasks.append(asyncio.create_task(self.pool.acquire("aaab"[number % 4])))

    def give_up(self, number: int) -> None:
        if self.tasks:
            self.tasks[number % len(self.tasks)].cancel()

    def give_back(self, number: int) -> None:
        for slot in self._taken(number):
            self.pool.release(slot, used_s=0.1)

    def die(self, number: int) -> None:
        for slot in self._taken(number):
            new = max(self.all_slots) + 1
            self.all_slots = self.all_slots - {slot} | {new}
            self.pool.withdraw(slot)
            self.pool.release(new)

    def go_on(self, number: int) -> None:
        self.clock.now += number / 10

    def lent(self) -> list[int]:
        ended = [task for task in self.tasks if task.done() and not task.cancelled()]
        return [task.result() for task in ended if task.exception() is None]

    def _taken(self, number: int) -> list[int]:
        """A slot that is lent, and is the test's to give back from now on; none where none is lent."""
        lent = self.lent()
        if not lent:
            return []
        slot = lent[number % len(lent)]
        self.tasks = [task for task in self.tasks if not task.done() or task.cancelled() or _slot_of(task) != slot]
        return [slot]


def _slot_of(task: asyncio.Task[int]) -> int | None:
    return None if task.exception() else task.result()


@given(
    acts=st.lists(
        st.tuples(
            st.sampled_from(["arrive", "arrive", "arrive", "give_up", "give_back", "die", "go_on"]),
            st.integers(0, 11),
            st.booleans(),
        ),
        max_size=60,
    ),
    count=st.integers(1, 4),
    waiting_per_slot=st.integers(0, 3),
)
@settings(max_examples=150, deadline=None)
def test_whatever_happens_no_slot_is_lost_or_lent_twice_and_the_room_is_never_too_full(
    acts: list[tuple[str, int, bool]], count: int, waiting_per_slot: int
) -> None:
    async def live() -> None:
        life = Life(count, waiting_per_slot)
        for act, number, is_last_of_turn in acts:
            getattr(life, act)(number)
            if is_last_of_turn:
                await asyncio.sleep(0)
            assert life.pool.waiting <= count * waiting_per_slot
            assert not (life.pool.waiting and life.pool.idle), "somebody waits beside an idle slot"
        await settle()
        while life.pool.idle < count:
            lent = life.lent()
            assert len(lent) == len(set(lent)) == count - life.pool.idle
            life.give_back(0)
            await settle()
        assert life.pool.waiting == 0
        assert {await life.pool.acquire("c") for _ in range(count)} == life.all_slots

    asyncio.run(live())
