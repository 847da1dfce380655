"""Blobs as objects of S3, or of a server that speaks its protocol; their links are presigned and lead there."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any, Final
from urllib.parse import urlsplit

import aioboto3
import structlog
from aiobotocore.config import AioConfig
from aiohttp import ClientError as HttpError
from botocore.exceptions import BotoCoreError, ClientError

from app.adapters.blob_names import check_name
from app.adapters.breaker import Breaker
from app.ports.blobs import BlobLink, BlobMissing, BlobsUnavailable

_log = structlog.get_logger(__name__)
_CHUNK_BYTES: Final = 1024 * 1024
#: A larger blob has as long as this rate takes.
_SLOWEST_BYTES_S: Final = 512 * 1024
_ANSWER_S: Final = 1.0
_CONNECT_S: Final = 1.0
_ATTEMPTS: Final = 2
_MOST_CONNECTIONS: Final = 32
#: What the protocol calls an absent object; HEAD has no room for a name.
_MISSING: Final = frozenset({"NoSuchKey", "404"})
#: A server with an address of its own is mostly in no region, but signatures name one.
_ANY_REGION: Final = "us-east-1"


class S3Blobs:
    """`Blobs` in a bucket, which keeps one version of an object. Credentials are found as by any program for AWS.

    One for each event loop. The first call makes the client, which occupies the loop for 0.3 s: let that be `answers`,
    before requests come.

    Parameters
    ----------
    url
        ``s3://bucket`` or ``s3://bucket/prefix``; with a prefix, nothing outside it is touched.
    endpoint
        ``http://`` or ``https://`` address of the server; empty: AWS.
    region
        Empty: what the environment says.
    timeout_s
        For one request, attempts included. Writing more than 2 MB has longer; reading has this for each chunk.
    most_puts
        Under way at once, each with its own copy of the bytes; others wait, first come first served.

    Raises
    ------
    ValueError
        `url` or `endpoint` is none.
    """

    def __init__(
        self, url: str, *, endpoint: str = "", region: str = "", timeout_s: float = 5.0, most_puts: int = 8
    ) -> None:
        place = urlsplit(url)
        if place.scheme != "s3" or not place.netloc or place.query or place.fragment:
            raise ValueError(f"Not the address of a bucket, s3://bucket/prefix: {url}")
        self._bucket = place.netloc
        self._prefix = f"{check_name(place.path.strip('/'))}/" if place.path.strip("/") else ""
        if endpoint and not (urlsplit(endpoint).scheme in {"http", "https"} and urlsplit(endpoint).hostname):
            raise ValueError(f"Not the address of an S3 server, https://...: {endpoint}")
        self._settings: dict[str, Any] = {
            "endpoint_url": endpoint or None,
            "region_name": region or (_ANY_REGION if endpoint else None),
            "config": _config(endpoint, timeout_s),
        }
        self._timeout_s = timeout_s
        self._puts = asyncio.Semaphore(most_puts)
        self._breaker = Breaker()
        self._opening = asyncio.Lock()
        self._opened = AsyncExitStack()
        self._client: Any = None

    async def put(self, name: str, data: bytes | memoryview) -> None:
        """Write a blob; see `Blobs.put`."""
        key = self._key(name)
        async with self._puts:
            # A copy: what has been handed to the socket is sent even after a time-out, when the buffer of `data` may
            # hold the bytes of somebody else.
            body = bytes(data)
            async with self._calling(max(self._timeout_s, len(body) / _SLOWEST_BYTES_S)) as client:
                await client.put_object(Bucket=self._bucket, Key=key, Body=body)

    async def put_many(self, blobs: Mapping[str, bytes]) -> None:
        """Write blobs side by side; see `Blobs.put_many`."""
        puts = await asyncio.gather(*(self.put(name, data) for name, data in blobs.items()), return_exceptions=True)
        # Not before all have ended: nobody would wait for the others.
        for failure in filter(None, puts):
            raise failure

    async def read(self, name: str) -> AsyncIterator[bytes]:
        """Stream a blob; see `Blobs.read`."""
        async with self._calling(self._timeout_s) as client:
            blob = await client.get_object(Bucket=self._bucket, Key=self._key(name))
        body = blob["Body"]
        # What `async with` gives here reads without checking the length.
        async with body:
            while True:
                async with self._bounded(self._timeout_s):
                    chunk: bytes = await body.read(_CHUNK_BYTES)
                if not chunk:
                    return
                yield chunk

    async def copy(self, source: str, name: str) -> None:
        """Copy a blob within the server; see `Blobs.copy`."""
        origin = {"Bucket": self._bucket, "Key": self._key(source)}
        key = self._key(name)
        async with self._calling(self._timeout_s) as client:
            await client.copy_object(Bucket=self._bucket, Key=key, CopySource=origin)

    async def delete(self, name: str) -> None:
        """Remove a blob or all below a name; see `Blobs.delete`."""
        key = self._key(name)
        async with self._calling(self._timeout_s) as client:
            pages = client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=f"{key}/")
            below = [found["Key"] async for page in pages for found in page.get("Contents", ())]
        # One by one: many servers refuse botocore's DeleteObjects for want of a Content-MD5 (s3fs-fuse issue 2639).
        for one in (*below, key):
            with suppress(BlobMissing):
                async with self._calling(self._timeout_s) as client:
                    await client.delete_object(Bucket=self._bucket, Key=one)

    async def link(self, name: str, link: BlobLink, *, valid_s: int) -> str:
        """Make a presigned URL; see `Blobs.link`. It ends sooner where temporary credentials do."""
        wanted = {
            "Bucket": self._bucket,
            "Key": self._key(name),
            "ResponseContentType": link.content_type,
            "ResponseContentDisposition": link.disposition,
            # No age: it would count from a download that may come when the link is nearly over.
            "ResponseCacheControl": "private, no-cache",
        }
        # The server is not asked; at most, somebody is for credentials.
        try:
            async with asyncio.timeout(self._timeout_s):
                client = await self._connected()
                url: str = await client.generate_presigned_url("get_object", Params=wanted, ExpiresIn=valid_s)
        except (BotoCoreError, HttpError, OSError) as error:
            raise BlobsUnavailable(f"A link cannot be signed: {error!r}") from error
        return url

    async def answers(self) -> bool:
        """Whether the bucket is there and lets us in; see `Blobs.answers`."""
        try:
            async with asyncio.timeout(self._timeout_s):
                client = await self._connected()
            async with asyncio.timeout(_ANSWER_S):
                await client.head_bucket(Bucket=self._bucket)
        except (ClientError, BotoCoreError, HttpError, OSError) as error:
            _log.warning("store_does_not_answer", reason=str(error) or repr(error))
            return False
        self._breaker.succeed()
        return True

    async def close(self) -> None:
        """Give connections back."""
        await self._opened.aclose()

    def _key(self, name: str) -> str:
        return self._prefix + check_name(name)

    async def _connected(self) -> Any:
        async with self._opening:
            if self._client is None:
                client = aioboto3.Session().client("s3", **self._settings)
                self._client = await self._opened.enter_async_context(client)
        return self._client

    @asynccontextmanager
    async def _calling(self, timeout_s: float) -> AsyncIterator[Any]:
        """Give the client, for calls that end within `timeout_s`; refuse while the server is known to be away."""
        if not self._breaker.allows():
            raise BlobsUnavailable("S3 does not answer")
        async with self._bounded(timeout_s):
            yield await self._connected()

    @asynccontextmanager
    async def _bounded(self, timeout_s: float) -> AsyncIterator[None]:
        """End what it surrounds within `timeout_s`, and tell its errors in the port's terms."""
        try:
            async with asyncio.timeout(timeout_s):
                yield
        except ClientError as error:
            code = error.response.get("Error", {}).get("Code", "")
            if code in _MISSING:
                self._breaker.succeed()
                raise BlobMissing(str(error)) from None
            self._breaker.fail()
            raise BlobsUnavailable(f"S3 answered {code}") from error
        except TimeoutError:
            self._breaker.fail()
            raise BlobsUnavailable(f"S3 did not answer within {timeout_s:g} s") from None
        except (BotoCoreError, HttpError, OSError) as error:
            self._breaker.fail()
            raise BlobsUnavailable(f"S3: {error}") from error
        self._breaker.succeed()


def _config(endpoint: str, timeout_s: float) -> AioConfig:
    return AioConfig(
        signature_version="s3v4",
        s3={
            # Few servers of one's own have a host name for every bucket.
            "addressing_style": "path" if endpoint else "auto",
            # TLS guards the bytes already; without it, their digest does.
            "payload_signing_enabled": endpoint.startswith("http:"),
        },
        # Servers that do not know the newer checksums refuse them.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        connect_timeout=_CONNECT_S,
        read_timeout=timeout_s,
        retries={"total_max_attempts": _ATTEMPTS, "mode": "standard"},
        max_pool_connections=_MOST_CONNECTIONS,
    )
