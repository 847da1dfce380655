"""Reads a compress request: its parameters, and its file straight from the socket into shared memory.

Order of judgement, whatever the order of the fields: 413 by Content-Length, the body itself, 400 parameters,
400 source, 413 counted, 415. To hold it where the file comes first, a file that will be refused is read on and
dropped, but no further than `_GRACE_BYTES`: beyond that the refusal is told with the fields that have come.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec
from litestar import Request

from app.api.multipart import MalformedForm, MultipartParser, boundary_of
from app.api.parameters import BODY, MAX_BODY_BYTES, Parameters, parse_json, parse_parameters, parse_urlencoded
from app.api.replies import ClientGone
from app.errors import ServiceError, invalid_param
from app.service.targets import check_source_url, check_webhook_url
from app.service.upload import Upload, too_large
from app.settings import Settings

#: Room for boundaries, part headers and fields beside the largest file.
_FORM_OVERHEAD_BYTES = 128 * 1024
#: A chunk is handed on in pieces of this size, so that buffers need no more room beyond what they hold.
PIECE_BYTES: Final = 512 * 1024
#: How much is read after a file turned out to be of no use, so that fields behind it are judged first.
_GRACE_BYTES = 64 * 1024


class Form(msgspec.Struct):
    """A compress request, read and judged; `has_file` tells whether its source came with it."""

    parameters: Parameters
    has_file: bool


async def read_form(request: Request[Any, Any, Any], upload: Upload, settings: Settings) -> Form:
    """Read a request's body, the file into `upload`, which stays the caller's to release.

    Raises
    ------
    ServiceError
        What is wrong with it, first things first.
    ClientGone
        The client hung up.
    """
    if _promised_bytes(request) > settings.max_bytes + _FORM_OVERHEAD_BYTES:
        raise too_large(settings.max_bytes)
    content_type = request.headers.get("content-type", "")
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        return await _read_multipart(request, content_type, upload, settings)
    if kind in {"application/x-www-form-urlencoded", "application/json"}:
        body = await read_small_body(request, settings)
        parse = parse_json if kind == "application/json" else parse_urlencoded
        return Form(_judge(parse(body), has_file=False), has_file=False)
    raise ServiceError("missing_source", "Send the image as 'file' in multipart/form-data, or its address as 'url'.")


def promises_at_least(request: Request[Any, Any, Any], size: int) -> bool:
    """Whether a request says that its body brings a file of `size` bytes or more."""
    return _promised_bytes(request) >= size + _FORM_OVERHEAD_BYTES


def _promised_bytes(request: Request[Any, Any, Any]) -> int:
    length = request.headers.get("content-length", "0")
    return int(length) if length.isascii() and length.isdigit() else 0


async def _read_multipart(
    request: Request[Any, Any, Any], content_type: str, upload: Upload, settings: Settings
) -> Form:
    end = settings.max_bytes + _FORM_OVERHEAD_BYTES
    received = 0
    try:
        parser = MultipartParser(boundary_of(content_type), upload)

        async def feed(chunk: bytes) -> bool:
            nonlocal received, end
            received += len(chunk)
            for start in range(0, len(chunk), PIECE_BYTES):
                # The whole of a short one is itself: nothing is copied.
                parser.feed(chunk[start : start + PIECE_BYTES])
                await upload.flush()
            if upload.is_supported is False:
                end = min(end, received + _GRACE_BYTES)
            return received <= end

        whole = await _read_body(request, feed, settings)
        if whole:
            parser.finish()
    except MalformedForm as error:
        raise invalid_param(BODY, str(error)) from None
    parameters = _judge(parser.fields, has_file=parser.has_file)
    if parser.has_file:
        upload.check()
    if not whole:
        raise too_large(settings.max_bytes)
    return Form(parameters, has_file=parser.has_file)


def _judge(fields: list[tuple[str, str]], *, has_file: bool) -> Parameters:
    parameters = parse_parameters(fields, has_file=has_file, check_webhook=check_webhook_url)
    if parameters.url is not None:
        check_source_url(parameters.url)
    return parameters


async def read_small_body(request: Request[Any, Any, Any], settings: Settings) -> bytes:
    """Read a body that brings fields alone.

    Raises
    ------
    ServiceError
        400 `invalid_param`: it is too large. 408 `request_timeout`: it comes too slowly.
    ClientGone
        The client hung up.
    """
    body = bytearray()

    async def feed(chunk: bytes) -> bool:
        body.extend(chunk)
        return len(body) <= MAX_BODY_BYTES

    if not await _read_body(request, feed, settings):
        raise invalid_param(BODY, f"The body is larger than {MAX_BODY_BYTES} bytes.")
    return bytes(body)


async def _read_body(
    request: Request[Any, Any, Any], feed: Callable[[bytes], Awaitable[bool]], settings: Settings
) -> bool:
    """Feed the body until it ends (True) or `feed` has had enough (False).

    Raises
    ------
    ServiceError
        408 `request_timeout`: it stood still, or came too slowly for too long.
    ClientGone
        The client hung up.
    """
    loop = asyncio.get_running_loop()
    begun, received = loop.time(), 0
    try:
        async with asyncio.timeout(min(settings.body_idle_s, settings.body_timeout_s)) as timer:
            while True:
                message: Any = await request.receive()
                if message["type"] == "http.disconnect":
                    raise ClientGone
                chunk = message["body"]
                received += len(chunk)
                enough = not await feed(chunk)
                if enough or not message["more_body"]:
                    return not enough
                patience_s = max(settings.body_timeout_s, received / settings.body_min_bytes_s)
                timer.reschedule(min(loop.time() + settings.body_idle_s, begun + patience_s))
    except TimeoutError:
        raise ServiceError("request_timeout", "The request's body came too slowly.") from None
