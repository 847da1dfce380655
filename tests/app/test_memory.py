"""Memory admission: the budget is never exceeded, everybody who asks is served or refused, and in order."""

import asyncio
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.errors import ServiceError
from app.service.memory import Loan, MemoryBudget
from app.service.system_memory import find_memory_bytes

TOTAL = 100


def budget(*, room: int = 4, wait_timeout_s: float = 5) -> MemoryBudget:
    return MemoryBudget(TOTAL, room=room, wait_timeout_s=wait_timeout_s)


async def waiting(lender: MemoryBudget, wanted: int) -> "asyncio.Task[Loan]":
    task = asyncio.create_task(lender.borrow(wanted))
    await asyncio.sleep(0)
    return task


@pytest.mark.anyio
async def test_those_who_wait_are_served_in_order_also_behind_a_large_one() -> None:
    lender = budget()
    held = await lender.borrow(60)
    large, small = await waiting(lender, 80), await waiting(lender, 10)
    await asyncio.sleep(0)
    assert not small.done()
    lender.give_back(held)
    assert (await large).bytes == 80
    assert (await small).bytes == 10
    assert lender.free_bytes == 10


@pytest.mark.anyio
async def test_what_never_fits_is_too_large_and_what_just_fits_is_lent() -> None:
    lender = budget()
    with pytest.raises(ServiceError, match="fewer pixels") as refused:
        await lender.borrow(TOTAL + 1)
    assert refused.value.code == "image_too_large"
    assert (await lender.borrow(TOTAL)).bytes == TOTAL


@pytest.mark.anyio
async def test_beyond_the_room_it_is_overloaded_with_a_time_to_come_back() -> None:
    lender = budget(room=1)
    await lender.borrow(TOTAL)
    waiter = await waiting(lender, 1)
    with pytest.raises(ServiceError, match="memory") as refused:
        await lender.borrow(1)
    assert refused.value.code == "overloaded"
    assert int(refused.value.headers["Retry-After"]) >= 1
    waiter.cancel()


@pytest.mark.anyio
async def test_one_who_waited_too_long_is_refused_and_holds_up_nobody() -> None:
    lender = budget(wait_timeout_s=0.05)
    held = await lender.borrow(60)
    large = await waiting(lender, 80)
    with pytest.raises(ServiceError, match="memory"):
        await large
    assert lender.waiting == 0
    assert (await lender.borrow(40)).bytes == 40
    lender.give_back(held)
    assert lender.free_bytes == 60


@pytest.mark.anyio
async def test_when_one_gives_up_those_behind_it_are_served() -> None:
    lender = budget()
    await lender.borrow(60)
    large, small = await waiting(lender, 80), await waiting(lender, 10)
    large.cancel()
    assert (await small).bytes == 10


@pytest.mark.anyio
async def test_a_loan_to_one_who_gives_up_in_the_same_turn_is_not_lost() -> None:
    lender = budget()
    held = await lender.borrow(TOTAL)
    waiter = await waiting(lender, 50)
    lender.give_back(held)
    waiter.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiter
    assert lender.free_bytes == TOTAL


@pytest.mark.anyio
async def test_one_who_gave_up_in_the_same_turn_is_passed_over() -> None:
    lender = budget()
    held = await lender.borrow(TOTAL)
    gone, stays = await waiting(lender, 50), await waiting(lender, 10)
    gone.cancel()
    lender.give_back(held)
    assert (await stays).bytes == 10
    assert lender.free_bytes == TOTAL - 10


#: What happens, one after the other: somebody asks for so many bytes, or one of those who hold or wait ends, or nobody
#: does anything for a turn of the loop.
ACTS = st.lists(
    st.one_of(
        st.tuples(st.just("ask"), st.integers(0, TOTAL + 5)),
        st.tuples(st.sampled_from(["give back", "give up"]), st.integers(0, 20)),
        st.tuples(st.just("turn"), st.just(0)),
    ),
    max_size=60,
)


@given(acts=ACTS, room=st.integers(0, 8))
@settings(max_examples=200, deadline=None)
def test_whatever_happens_the_budget_holds_and_everybody_is_answered(acts: list[tuple[str, int]], room: int) -> None:
    asyncio.run(act_out(acts, room))


async def act_out(acts: list[tuple[str, int]], room: int) -> None:
    lender = budget(room=room)
    asked: list[asyncio.Task[Loan]] = []
    held: dict[int, Loan] = {}
    served: list[tuple[float, int]] = []

    async def borrow(number: int, wanted: int) -> Loan:
        loan = await lender.borrow(wanted)
        held[number] = loan
        served.append((loan.since, number))
        return loan

    def check() -> None:
        lent = sum(loan.bytes for loan in held.values())
        assert 0 <= lender.free_bytes <= TOTAL - lent
        assert lender.waiting <= room

    for act, value in acts:
        if act == "ask":
            asked.append(asyncio.create_task(borrow(len(asked), value)))
        elif act == "give back" and held:
            lender.give_back(held.pop(list(held)[value % len(held)]))
        elif act == "give up" and asked:
            asked[value % len(asked)].cancel()
        elif act == "turn":
            await asyncio.sleep(0)
        check()
    # Loans end, and every end lets others go on.
    while True:
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        check()
        if not held:
            break
        lender.give_back(held.pop(next(iter(held))))
    assert all(task.done() for task in asked)
    assert [number for _, number in sorted(served)] == sorted(number for _, number in served)
    assert (lender.free_bytes, lender.waiting) == (TOTAL, 0)
    await asyncio.gather(*asked, return_exceptions=True)


@pytest.mark.parametrize(
    ("own", "limits", "expected"),
    [
        ("0::/a/b\n", {"a/memory.max": "3000", "a/b/memory.max": "max"}, 3000),
        ("0::/\n", {"memory.max": "4000"}, 4000),
        ("4:memory:/docker/x\n0::/\n", {"memory/memory.limit_in_bytes": "5000"}, 5000),
        ("4:cpu,memory:/x\n", {"memory/memory.limit_in_bytes": str(1 << 63), "memory/x/memory.limit_in_bytes": "6000"},
         6000),
        ("0::/a\n", {}, None),
        ("0::/a\n", {"a/memory.max": "max"}, None),
    ],
)  # fmt: skip
def test_the_memory_is_the_containers_where_that_is_less(
    tmp_path: Path, own: str, limits: dict[str, str], expected: int | None
) -> None:
    own_cgroups, cgroups = tmp_path / "own", tmp_path / "cgroup"
    own_cgroups.write_text(own)
    for name, limit in limits.items():
        (cgroups / name).parent.mkdir(parents=True, exist_ok=True)
        (cgroups / name).write_text(f"{limit}\n")
    machine = find_memory_bytes(cgroups=tmp_path / "none", own_cgroups=tmp_path / "none")
    assert machine > 1 << 28
    assert find_memory_bytes(cgroups=cgroups, own_cgroups=own_cgroups) == (expected or machine)
