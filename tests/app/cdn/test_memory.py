"""What one process holds of variants: bounded, and never what was purged after it was looked up."""

import time
from typing import Any

import pytest

from app.ports.variants import Purge, Variant
from app.service.cdn.memory import Held, Memory

ENTRY = 4096


def make(key: str, size: int = 1000, **changes: Any) -> Held:
    now = time.time()
    fields: dict[str, Any] = {"account": "ada", "source": "https://a.test/", "kind": "final", "made": now, **changes}
    variant = Variant(key=key, size=size, fresh_until=now, stale_until=now, usable_until=now, **fields)
    return Held(variant, b"x" * size)


def held_by(memory: Memory, *keys: str) -> str:
    return "".join(key for key in keys if memory.find(key) is not None)


def test_the_one_not_used_for_longest_goes_when_it_is_full() -> None:
    memory = Memory(8 * (1000 + ENTRY))
    for key in "abcdefgh":
        memory.put(make(key), epoch=memory.epoch)
    memory.find("a")
    memory.put(make("i"), epoch=memory.epoch)
    assert held_by(memory, *"abcdefghi") == "acdefghi"


def test_one_that_would_push_out_too_many_is_not_held() -> None:
    memory = Memory(80_000)
    memory.put(make("a", 10_001), epoch=memory.epoch)
    memory.put(make("b", 10_000), epoch=memory.epoch)
    assert held_by(memory, *"ab") == "b"


def test_what_replaces_one_counts_once() -> None:
    memory = Memory(8 * (1000 + ENTRY))
    for _ in range(100):
        memory.put(make("a"), epoch=memory.epoch)
    for key in "bcdefgh":
        memory.put(make(key), epoch=memory.epoch)
    assert held_by(memory, *"abcdefgh") == "abcdefgh"


@pytest.mark.parametrize("value", ["https://a.test/", "https://b.test/"])
def test_what_was_looked_up_before_a_purge_is_not_taken_after_it(value: str) -> None:
    """Nor is what the purge does not cover: it is looked up once more, and that is all."""
    memory = Memory(1 << 20)
    before = memory.epoch
    memory.purge(Purge("ada", "url", value))
    memory.put(make("a"), epoch=before)
    assert memory.find("a") is None
    memory.put(make("a"), epoch=memory.epoch)
    assert memory.find("a") is not None


def test_a_purge_drops_what_it_covers_alone() -> None:
    memory = Memory(1 << 20)
    for key, changes in {
        "a": {},
        "b": {"account": "bob"},
        "c": {"source": "https://a.test/c"},
        "d": {"tags": ("red",)},
    }.items():
        memory.put(make(key, **changes), epoch=memory.epoch)
    memory.purge(Purge("ada", "tag", "red"))
    assert held_by(memory, *"abcd") == "abc"
    memory.purge(Purge("ada", "url", "https://a.test/"))
    assert held_by(memory, *"abcd") == "bc"
    memory.purge(Purge("ada", "prefix", "https://"))
    assert held_by(memory, *"abcd") == "b"


def test_uses_are_noted_once() -> None:
    memory = Memory(1 << 20)
    memory.put(make("a"), epoch=memory.epoch)
    for _ in range(3):
        memory.find("a")
    memory.find("b")
    assert memory.used == {"a"}
