"""Overload is told from a burst, lasts, and ends however impatient those are who were refused."""

import pytest

from app.service.overload import Overload

ROOM = 4


def refuse(overload: Overload, count: int, now: float, account: str = "a", mean_s: float = 0.1) -> bool:
    """Whether overload began with any of so many refusals."""
    return sum(overload.note_refusal(account, now, mean_s) for _ in range(count)) > 0


def test_it_begins_when_more_are_refused_in_a_second_than_the_room_holds() -> None:
    overload = Overload(ROOM)
    assert not refuse(overload, ROOM, now=10)
    assert not refuse(overload, 1, now=11.5)
    assert refuse(overload, ROOM, now=11.6)
    assert overload.is_on(12.5)
    assert not overload.is_on(12.7)


def test_where_it_is_full_again_at_once_it_lasts_twice_as_long_but_never_more_than_four_seconds() -> None:
    overload, now, lasted = Overload(ROOM), 10.0, []
    assert refuse(overload, ROOM + 1, now)
    for _ in range(4):
        begun = now
        while overload.is_on(now):
            now += 0.01
            refuse(overload, 1, now)
        lasted.append(now - begun)
        assert refuse(overload, ROOM, now)
    assert lasted == pytest.approx([1, 2, 4, 4], abs=0.02)


def test_a_few_who_come_again_do_not_bring_it_back() -> None:
    overload = Overload(ROOM)
    assert refuse(overload, ROOM + 1, now=10)
    assert not refuse(overload, ROOM // 2, now=11.1)
    assert not overload.is_on(11.2)


def test_refusals_while_it_lasts_do_not_prolong_it() -> None:
    """Who was refused may hammer on: the room is opened all the same, and then has a place for him."""
    overload = Overload(ROOM)
    assert refuse(overload, ROOM + 1, now=10)
    assert not refuse(overload, 1000, now=10.9)
    assert not overload.is_on(11.1)


def test_one_is_to_blame_for_more_than_half_of_the_last() -> None:
    overload = Overload(ROOM)
    assert not overload.is_one_to_blame()
    for accounts, is_one in (("aaa", True), ("bbb", True), ("cac", False), ("ccc", True)):
        for account in accounts:
            refuse(overload, 1, now=10, account=account)
        assert overload.is_one_to_blame() is is_one, accounts
