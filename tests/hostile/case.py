"""One hostile file and what the contract says of it."""

from collections.abc import Callable
from typing import Final, NamedTuple

OK: Final = frozenset({200})
LARGE: Final = frozenset({413})
TYPE: Final = frozenset({415})
BROKEN: Final = frozenset({422})
#: The contract leaves open how decoders take it: a documented answer, soon.
ANY: Final = OK | LARGE | TYPE | BROKEN


class Case(NamedTuple):
    """A hostile file: how to build it, and the statuses that may be its answer."""

    name: str
    build: Callable[[], bytes]
    allowed: frozenset[int]
