"""How the queue and the webhooks ask Redis: in one slot, by scripts, and not while it is known to be down."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from redis.exceptions import RedisError

from app.adapters.breaker import Breaker
from app.ports.jobs import JobsUnavailable

#: All names begin with it: the braces keep them in one hash slot of a cluster.
ROOT: Final = "{cz}:"


@contextmanager
def asking_redis(breaker: Breaker) -> Iterator[None]:
    """Turn failures of what it surrounds into JobsUnavailable, and tell the breaker how it went."""
    if not breaker.allows():
        raise JobsUnavailable("Redis has failed a moment ago")
    try:
        yield
    except (RedisError, OSError) as error:
        breaker.fail()
        raise JobsUnavailable("Redis does not answer") from error
    breaker.succeed()


def to_ms(seconds: float) -> int:
    """Seconds as the whole milliseconds that Redis keeps times in."""
    return round(seconds * 1000)
