"""Overload is told from a burst, lasts, and ends however impatient those are who were refused."""

import pytest

from app.service.overload import Overload

ROOM = 4


def refuse(overload: Overload, count: int, now: float, account: str = "a", mean_s: float = 0.1) -> bool:
    """Whether overload began with any of so many refusals."""
    return sum(overload.note_refusal(account, now, mean_s) for _ in range(count)) > 0


def test_it_is_while_more_are_refused_in_a_second_than_the_room_holds() -> None:
    overload = Overload(ROOM)
    assert not refuse(overload, ROOM, now=10)
    assert not refuse(overload, 1, now=11.5)
    assert refuse(overload, ROOM, now=11.6)
    assert overload.is_on(12.4)
    assert not overload.is_on(12.7)


def test_it_begins_once() -> None:
    overload = Overload(ROOM)
    assert [refuse(overload, 1, now=10) for _ in range(ROOM + 3)] == [False] * ROOM + [True, False, False]


def test_a_few_who_come_again_end_it_and_do_not_bring_it_back() -> None:
    overload = Overload(ROOM)
    assert refuse(overload, ROOM + 1, now=10)
    assert not refuse(overload, ROOM // 2, now=11.1)
    assert not overload.is_on(11.2)


def test_who_hammers_on_keeps_it_up_for_ten_seconds_and_then_finds_the_whole_room() -> None:
    overload, now = Overload(ROOM), 10.0
    refuse(overload, ROOM + 1, now)
    while overload.is_on(now):
        refuse(overload, 1, now)
        now += 0.1
    assert now == pytest.approx(20, abs=0.2)
    assert not overload.is_on(now + 0.1)


def test_where_the_whole_room_is_full_again_it_is_on_at_once() -> None:
    overload = Overload(ROOM)
    refuse(overload, ROOM + 1, now=10)
    refuse(overload, ROOM + 1, now=19.9)
    assert not overload.is_on(20)
    assert refuse(overload, 1, now=20)
    assert overload.is_on(20.1)


def test_where_jobs_are_long_refusals_count_for_as_long_as_two() -> None:
    overload = Overload(ROOM)
    assert not refuse(overload, ROOM, now=10, mean_s=3)
    assert refuse(overload, 1, now=15, mean_s=3)
    assert overload.is_on(15.9)


def test_one_is_to_blame_for_more_than_half_of_the_last() -> None:
    overload = Overload(ROOM)
    assert not overload.is_one_to_blame()
    for accounts, is_one in (("aaa", True), ("bbb", True), ("cac", False), ("ccc", True)):
        for account in accounts:
            refuse(overload, 1, now=10, account=account)
        assert overload.is_one_to_blame() is is_one, accounts
