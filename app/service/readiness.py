"""Whether this process can serve requests now."""

from collections.abc import Awaitable, Callable

import msgspec

from app.errors import ServiceError
from app.service.encode_protocol import Lockdown
from app.service.encoders import Encoders


class Condition(msgspec.Struct, frozen=True):
    """What a service that is ready tells of itself.

    Attributes
    ----------
    lockdown
        What keeps the encode processes from everything but their work.
    """

    status: str
    lockdown: Lockdown | None


class Readiness:
    """Asks each part that a request needs."""

    def __init__(self, encoders: Encoders, redis_answers: Callable[[], Awaitable[bool]]) -> None:
        self._encoders = encoders
        self._redis_answers = redis_answers

    async def check(self) -> Condition:
        """Tell how the service is, when every part is there.

        Raises
        ------
        ServiceError
            503 `unavailable`, naming the parts that are missing.
        """
        missing = []
        if self._encoders.ready == 0:
            missing.append("no encode process is ready")
        if not await self._redis_answers():
            missing.append("Redis does not answer")
        if missing:
            raise ServiceError("unavailable", f"Not ready: {'; '.join(missing)}.", headers={"Retry-After": "1"})
        return Condition("ready", self._encoders.lockdown)
