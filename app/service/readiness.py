"""Whether this process can serve requests now."""

from collections.abc import Awaitable, Callable

from app.errors import ServiceError
from app.service.encoders import Encoders


class Readiness:
    """Asks each part that a request needs."""

    def __init__(self, encoders: Encoders, redis_answers: Callable[[], Awaitable[bool]]) -> None:
        self._encoders = encoders
        self._redis_answers = redis_answers

    async def check(self) -> dict[str, str]:
        """Name each part and how it is.

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
        return {"status": "ready"}
