"""What GET and HEAD of RFC 9110 have in common wherever bytes are served: entity tags, ranges, sending in chunks."""

import asyncio
import re
from collections.abc import Iterable
from typing import Final

from litestar.types import Send

from app.errors import ServiceError

#: About six chunks stand between the store and a client that reads slowly. Twice this moves a file 1.5 times as fast.
CHUNK_BYTES: Final = 128 * 1024
#: A client that takes nothing for this long is left.
_STALL_S: Final = 30.0
_ENTITY_TAG: Final = re.compile(r'"[^"]*"')
#: One range. Of several, which no browser asks for, the RFC lets a server send the whole file.
_RANGE: Final = re.compile(r"bytes=(?:(\d{1,18})-(\d{0,18})|-(\d{1,18}))", re.ASCII | re.IGNORECASE)


def has_tag(etag: str, if_none_match: str) -> bool:
    """Whether a list of entity tags, weak ones included, has this one."""
    return if_none_match.strip() == "*" or etag in _ENTITY_TAG.findall(if_none_match)


def find_part(wanted: str, size: int) -> range | None:
    """Return the bytes that a `Range` asks for; None: all of them, the header being absent, broken or for several.

    Raises
    ------
    ServiceError
        416 `range_not_satisfiable`.
    """
    found = _RANGE.fullmatch(wanted.strip())
    if found is None:
        return None
    first, last, from_end = found.groups()
    if from_end:
        part = range(max(0, size - int(from_end)), size)
    elif last and int(last) < int(first):
        return None
    else:
        part = range(int(first), min(int(last) + 1, size) if last else size)
    if not part:
        raise ServiceError(
            "range_not_satisfiable", f"The file has {size} bytes.", headers={"Content-Range": f"bytes */{size}"}
        )
    return part


async def send_head(send: Send, status: int, headers: Iterable[tuple[bytes, bytes]]) -> None:
    """Begin an answer."""
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": list(headers),
        }
    )


async def send_chunk(send: Send, data: bytes, *, last: bool = False) -> None:
    """Send a part of the body. Raises TimeoutError where the client takes nothing for half a minute."""
    async with asyncio.timeout(_STALL_S):
        await send({"type": "http.response.body", "body": data, "more_body": not last})
