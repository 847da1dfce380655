"""One upload, one job from submission to download, or one GET of a picture, and what became of it."""

import asyncio
import time
from types import TracebackType
from typing import Final, NamedTuple, Self
from urllib.parse import urljoin

import aiohttp
from yarl import URL

from perf.load.bodies import Body, Upload
from perf.load.samples import RUDE, judge
from perf.load.unique import Nonces
from perf.load.visits import Visit
from perf.server_timing import read_stages

Request = Body | Visit
_COMPRESS: Final = "/api/v1/compress"
_OK, _ACCEPTED, _FOUND, _UNAVAILABLE = 200, 202, 302, 503
#: Headers that tell the server nothing here.
_UNWANTED: Final = ("User-Agent", "Accept", "Accept-Encoding")


class Outcome(NamedTuple):
    """What became of a request; the instants are on the monotonic clock.

    Attributes
    ----------
    label
        The status of the answer, or what went wrong. A job that was downloaded is a 202.
    headed_at
        The headers of the first answer were there.
    received
        Bytes of the result, 0 where there is none.
    """

    label: str
    headed_at: float
    ended_at: float
    received: int = 0
    cache: str = ""
    timing: str = ""
    variant: str = ""

    def stages_ms(self) -> dict[str, float]:
        """Read `Server-Timing`."""
        return read_stages(self.timing)


class Client:
    """Sends for one account, over as many connections as are needed at a time.

    Parameters
    ----------
    timeout_s
        What is not answered by then has failed.
    poll_s
        How long to wait before asking again how a job stands.
    """

    def __init__(self, url: str, key: str, *, timeout_s: float, poll_s: float) -> None:
        self._url, self._key = url.rstrip("/"), key
        self._timeout_s, self._poll_s = timeout_s, poll_s
        self._nonces = Nonces()

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=_UNWANTED,
            auto_decompress=False,
            timeout=aiohttp.ClientTimeout(total=None),
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def send(self, request: Request) -> Outcome:
        """Send a request and read the answer; a job is waited for. Whatever goes wrong is an outcome too."""
        try:
            async with asyncio.timeout(self._timeout_s):
                return await (self._upload(request) if isinstance(request, Body) else self._visit(request))
        except TimeoutError:
            return _failed("time-out")
        except aiohttp.ClientError as error:
            return _failed(type(error).__name__)
        except OSError as error:
            return _failed(f"OSError {error.errno}")
        except (ValueError, KeyError):
            return _failed("an answer that is not the service's")

    async def _visit(self, visit: Visit) -> Outcome:
        # The signature is over the path as it stands: nothing of it may be encoded anew.
        address = URL(self._url + visit.link.path, encoded=True)
        async with self._session.get(address, headers=visit.headers(), allow_redirects=False) as answer:
            headed_at, label = time.monotonic(), _label(answer)
            content = await answer.read()
            told = answer.headers
        ended_at = time.monotonic()
        if judge(label) != "accepted":
            return Outcome(label, headed_at, ended_at)
        visit.link.etag = told.get("ETag", "")
        cache, timing, variant = (told.get(name, "") for name in ("X-Cache", "Server-Timing", "X-Variant"))
        return Outcome(label, headed_at, ended_at, len(content), cache, timing, variant)

    async def _upload(self, body: Body) -> Outcome:
        upload = Upload(body, self._nonces.draw())
        async with self._session.post(self._url + _COMPRESS, data=upload, headers=self._authorization()) as answer:
            headed_at, label = time.monotonic(), _label(answer)
            if judge(label) != "accepted":
                # It may go on until all of the body is sent. What there is to know has been said: leaving closes.
                await answer.content.readany()
                return Outcome(label, headed_at, time.monotonic())
            content = await answer.read()
            cache, timing = (answer.headers.get(name, "") for name in ("X-Cache", "Server-Timing"))
            ticket = await answer.json() if answer.status == _ACCEPTED else None
        if ticket is not None:
            label, received = await self._follow(ticket["poll_url"])
            return Outcome(label, headed_at, time.monotonic(), received, cache)
        return Outcome(label, headed_at, time.monotonic(), len(content), cache, timing)

    async def _follow(self, poll_url: str) -> tuple[str, int]:
        """Poll until the job has ended, and download; the label and the result's bytes."""
        address = urljoin(self._url + "/", poll_url)
        while True:
            async with self._session.get(address, headers=self._authorization()) as answer:
                if answer.status != _OK:
                    return f"status told {answer.status}", 0
                story = await answer.json()
            if story["status"] == "complete":
                break
            if story["status"] == "failed":
                return f"job failed: {story['error']['code']}", 0
            await asyncio.sleep(self._poll_s)
        address = urljoin(self._url + "/", story["download_url"])
        async with self._session.get(address, headers=self._authorization(), allow_redirects=False) as answer:
            # The link is complete in itself, and may be another host's: the key stays out of it.
            if answer.status == _FOUND:
                address = urljoin(address, answer.headers["Location"])
            else:
                return f"download told {answer.status}", 0
        async with self._session.get(address) as answer:
            content = await answer.read()
            return (str(_ACCEPTED), len(content)) if answer.status == _OK else (f"file told {answer.status}", 0)

    def _authorization(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._key}"}


def _label(answer: aiohttp.ClientResponse) -> str:
    is_rude = answer.status == _UNAVAILABLE and "Retry-After" not in answer.headers
    return RUDE if is_rude else str(answer.status)


def _failed(what: str) -> Outcome:
    now = time.monotonic()
    return Outcome(what, now, now)
