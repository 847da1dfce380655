"""`GET|HEAD /cdn/{signature}/{options}/{source}`: what is in memory is answered in front of everything else.

A hit or a 304 there asks no router, no log and no Redis. The rest goes through the application as any other request.
"""

import time
from collections import OrderedDict
from collections.abc import MutableMapping
from typing import Any, Final, NamedTuple, cast

import msgspec
from litestar import Request, Router, route
from litestar.enums import HttpMethod
from litestar.types import Receive, Scope, Send

from app.api.conditional import CHUNK_BYTES, find_part, has_tag, send_chunk, send_head
from app.api.edge import ASGIApp
from app.errors import ServiceError
from app.ports.cdn_accounts import CdnAccount, CdnAccounts, CdnAccountsUnavailable, SigningKey
from app.ports.meter import Meter
from app.service.cdn.lifetimes import end_within
from app.service.cdn.memory import Headers, Held
from app.service.cdn.negotiation import negotiate
from app.service.cdn.options import parse_options
from app.service.cdn.recipe import Recipe
from app.service.cdn.serve import Cdn, CdnCacheState, Served
from app.service.cdn.signing import PREFIX, check, split_target
from app.service.cdn.source import read_source

#: Request headers that may have a say in what the answer is: whatever `negotiate` reads.
_NEGOTIATING: Final = (b"accept", b"save-data", b"sec-ch-dpr", b"sec-ch-width")
_PATH: Final = "/{signature:str}/{options:str}/{source:path}"
#: As Litestar names it.
_ROUTE: Final = f"{PREFIX.rstrip('/')}{_PATH}"
#: Targets whose signature was found good, with what they stand for: about 1 kB each.
_MOST_RECALLED: Final = 20_000

Recall = tuple[bytes, bytes, bytes | None, bytes | None, bytes | None, bytes | None]


class _Recalled(msgspec.Struct, frozen=True):
    """What a target with these headers stood for when its signature was checked."""

    key: SigningKey
    account: CdnAccount
    expires: int | None
    variant_key: str


class _Found(NamedTuple):
    """What is in memory for a target, and the Unix second from which that is refused."""

    held: Held
    expires: int | None


class CdnDoor:
    """Lets requests in: checks signatures, and recalls what it has checked."""

    def __init__(self, cdn: Cdn, accounts: CdnAccounts, *, smart_distance: float) -> None:
        self._cdn = cdn
        self._accounts = accounts
        self._smart_distance = smart_distance
        self._recalled: OrderedDict[Recall, _Recalled] = OrderedDict()

    async def recall(self, scope: MutableMapping[str, Any], headers: dict[bytes, bytes]) -> _Found | None:
        """Return what is in memory, fresh and allowed, for a target that came before."""
        name = _name_of(scope, headers)
        recalled = self._recalled.get(name)
        if recalled is None:
            return None
        self._recalled.move_to_end(name)
        now = time.time()
        try:
            key = await self._accounts.find_key(recalled.key.id)
            account = await self._accounts.find_account(recalled.account.account)
        except CdnAccountsUnavailable:
            return None
        if key != recalled.key or account != recalled.account or (recalled.expires or now + 1) <= now:
            self._recalled.pop(name, None)
            return None
        held = self._cdn.shelf.memory.find(recalled.variant_key)
        if held is None or held.variant.fresh_until <= now or held.variant.kind == "failure":
            return None
        return _Found(held, recalled.expires)

    async def admit(self, request: Request[Any, Any, Any]) -> Recipe:
        """Check a request, and tell what it asks for.

        Raises
        ------
        ServiceError
            403 `bad_signature`, and nothing else before that; 400, 403 by what is wrong with options or source.
        """
        scope: Any = request.scope
        target = split_target(scope["raw_path"], scope["query_string"])
        try:
            key = await self._accounts.find_key(target.key_id)
            check(target, key, now=time.time())
            if key is None:  # `check` lets none through
                raise ServiceError("bad_signature", "This URL is not signed.")
            account = await self._accounts.find_account(key.account)
        except CdnAccountsUnavailable:
            raise ServiceError(
                "unavailable", "Signatures cannot be checked right now. Try again.", headers={"Retry-After": "2"}
            ) from None
        options = parse_options(target.options)
        source = read_source(target.source, account)
        headers = {name: ", ".join(request.headers.getall(name)) for name in request.headers}
        recipe = Recipe(account, source, options, negotiate(options, headers, account), self._smart_distance)
        fields = dict(scope["headers"])
        if len(fields) == len(scope["headers"]):
            self._recalled[_name_of(scope, fields)] = _Recalled(key, account, options.expires, recipe.key())
            if len(self._recalled) > _MOST_RECALLED:
                self._recalled.popitem(last=False)
        return recipe


class CdnFront:
    """Answers what is in memory, and hands everything else on."""

    def __init__(self, app: ASGIApp, door: CdnDoor, meter: Meter) -> None:
        self._app = app
        self._door = door
        self._meter = meter

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Serve one connection event; the ASGI entry point."""
        if scope["type"] == "http" and scope["path"].startswith(PREFIX) and scope["method"] in {"GET", "HEAD"}:
            pairs = scope["headers"]
            headers = dict(pairs)
            # Fields that come twice are for those who read them all.
            if len(headers) == len(pairs) and b"range" not in headers:
                begun = time.perf_counter()
                found = await self._door.recall(scope, headers)
                if found is not None:
                    is_head = scope["method"] == "HEAD"
                    sent = await _send(send, found.held, "hit", headers, expires=found.expires, is_head=is_head)
                    self._meter.count_request(
                        _ROUTE,
                        sent.status,
                        took_s=time.perf_counter() - begun,
                        bytes_in=0,
                        bytes_out=sent.size,
                        refusal=None,
                    )
                    return
        await self._app(scope, receive, send)  # type: ignore[arg-type]  # Litestar's types tell messages apart


def router(cdn: Cdn, door: CdnDoor) -> Router:
    """Make the route for what is not in memory. The signature is the key."""

    @route(_PATH, http_method=[HttpMethod.GET, HttpMethod.HEAD])
    async def serve(request: Request[Any, Any, Any]) -> _Answer:
        """Send a variant."""
        recipe = await door.admit(request)
        return _Answer(await cdn.answer(recipe), recipe.options.expires)

    return Router(PREFIX, route_handlers=[serve])


class _Sent(NamedTuple):
    """What went out: the status, and bytes of the body."""

    status: int
    size: int


class _Answer:
    """The answer, as an ASGI application."""

    def __init__(self, served: Served, expires: int | None) -> None:
        self._served = served
        self._expires = expires

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        held, cache, timings_ms = self._served
        timing = ", ".join(f"{stage};dur={ms:.1f}" for stage, ms in timings_ms.items())
        asked = cast("dict[str, Any]", scope)
        wanted, is_head = _joined(asked["headers"]), asked["method"] == "HEAD"
        await _send(send, held, cache, wanted, expires=self._expires, is_head=is_head, timing=timing)


async def _send(
    send: Send,
    held: Held,
    cache: CdnCacheState,
    wanted: dict[bytes, bytes],
    *,
    expires: int | None,
    is_head: bool,
    timing: str = "",
) -> _Sent:
    variant, data = held.variant, held.data
    now = time.time()
    told = [(b"x-cache", cache.encode())]
    if timing:
        told.append((b"server-timing", timing.encode()))
    known = wanted.get(b"if-none-match")
    if known is not None and has_tag(variant.etag, known.decode("latin-1")):
        await send_head(send, 304, _until(held.bare_headers(now), expires, now) + told)
        await send_chunk(send, b"", last=True)
        return _Sent(304, 0)
    # An `If-Range` that is a date matches nothing: there is no Last-Modified.
    etag = variant.etag.encode()
    may_be_part = b"range" in wanted and not is_head and wanted.get(b"if-range", etag) == etag
    part = find_part(wanted[b"range"].decode("latin-1"), variant.size) if may_be_part else None
    if part is not None:
        told.append((b"content-range", b"bytes %d-%d/%d" % (part.start, part.stop - 1, variant.size)))
        data = data[part.start : part.stop]
    told.append((b"content-length", b"%d" % len(data)))
    status = 200 if part is None else 206
    await send_head(send, status, _until(held.headers(now), expires, now) + told)
    if is_head:
        data = b""
    for start in range(0, len(data), CHUNK_BYTES):
        # The whole of a short one is itself: nothing is copied.
        end = start + CHUNK_BYTES
        await send_chunk(send, data[start:end], last=end >= len(data))
    if not data:
        await send_chunk(send, b"", last=True)
    return _Sent(status, len(data))


def _joined(pairs: list[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """Make fields that come several times one list each (RFC 9110, section 5.3): so may entity tags come."""
    fields: dict[bytes, bytes] = {}
    for name, value in pairs:
        fields[name] = fields[name] + b", " + value if name in fields else value
    return fields


def _until(headers: Headers, expires: int | None, now: float) -> Headers:
    """Let no cache keep a picture beyond the end of its URL."""
    if expires is None:
        return headers
    return [
        (name, end_within(value.decode(), expires - now).encode() if name == b"cache-control" else value)
        for name, value in headers
    ]


def _name_of(scope: MutableMapping[str, Any], headers: dict[bytes, bytes]) -> Recall:
    accept, save_data, dpr, width = map(headers.get, _NEGOTIATING)
    return scope["raw_path"], scope["query_string"], accept, save_data, dpr, width
