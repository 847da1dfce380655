"""What the tests of the CDN origin share: an account with a key that signs URLs of a source server."""

import json
import os
import threading
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import quote

import httpx

from app.service.cdn.signing import sign
from tests.whole.public import ADDRESS, Answer, Web
from tests.whole.service import Api, Service

HOST = f"http://{ADDRESS}"
#: What Chrome, and a client that knows nothing modern, send for an image.
MODERN = "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8"
PLAIN = "image/png,image/*;q=0.8,*/*;q=0.5"


class Customer:
    """An account whose URLs may name everything on the source server."""

    def __init__(self, service: Service) -> None:
        self.account = f"cdn-{os.urandom(4).hex()}"
        self.service = service
        made = self._run("create-key", "--account", self.account)
        self._bearer = ""
        self.key_id, self.secret = made["id"], made["secret"]
        self._run("allow", f"{HOST}/", "--account", self.account)
        # Without an API key, and without what httpx says by itself: CDNs have none.
        self.client = Api(service.url, None, service.net)
        self.client.headers.clear()

    def path(self, source: str, options: str = "f:auto,q:60") -> str:
        """The signed path of a source, which begins with a slash or is ``own:`` and a key."""
        return sign(self.secret, self.key_id, options, source if source.startswith("own:") else f"{HOST}{source}")

    def spellings(self, source: str, options: str) -> list[str]:
        """The signed paths of a source in each way to write one."""
        url = f"{HOST}{source}"
        encoded = "b64:" + urlsafe_b64encode(url.encode()).decode()
        return [sign(self.secret, self.key_id, options, text) for text in (url, quote(url, safe=""), encoded)]

    def purge(self, source: str) -> httpx.Response:
        """Purge a source by its URL, with an API key of the account."""
        return self.client.post("/api/v1/purge", json={"url": f"{HOST}{source}"}, headers=self.authorization())

    def ask(self, path: str) -> httpx.Response:
        """Get a path of the API, with an API key of the account."""
        return self.client.get(path, headers=self.authorization())

    def get(
        self, source: str, options: str = "f:auto,q:60", accept: str = PLAIN, method: str = "GET", **headers: str
    ) -> httpx.Response:
        fields = {"Accept": accept} | {name.replace("_", "-"): value for name, value in headers.items()}
        return self.client.request(method, self.path(source, options), headers=fields)

    def close(self) -> None:
        self.client.close()

    def authorization(self) -> dict[str, str]:
        """The header with an API key of the account."""
        if not self._bearer:
            limit = ("--plan", "custom", "--per-minute", "100000")
            done = self.service.run("keys", "create", "--account", self.account, "--json", *limit)
            self._bearer = f"Bearer {json.loads(done.stdout)['key']}"
        return {"Authorization": self._bearer}

    def _run(self, *arguments: str) -> Any:
        done = self.service.run("cdn", *arguments, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


def image(
    data: bytes, kind: str = "image/jpeg", *, after_s: float = 0, after: threading.Event | None = None, **headers: str
) -> Answer:
    """Answer with an image, and with 304 to whoever knows its entity tag; late, or once something has happened."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        time.sleep(after_s)
        assert after is None or after.wait(60)
        is_known = "ETag" in headers and request.headers.get("If-None-Match") == headers["ETag"]
        request.send_response(304 if is_known else 200)
        for name, value in {"Content-Type": kind, **headers}.items():
            request.send_header(name.replace("_", "-"), value)
        request.send_header("Content-Length", str(0 if is_known else len(data)))
        request.end_headers()
        if not is_known:
            request.wfile.write(data)

    return answer


def eventually(get: Callable[[], httpx.Response], wanted: Callable[[httpx.Response], bool]) -> httpx.Response:
    """Ask until the answer is what is wanted."""
    end = time.monotonic() + 60
    while not wanted(reply := get()):
        assert time.monotonic() < end, (reply.status_code, dict(reply.headers), reply.content[:200])
        time.sleep(0.05)
    return reply


def served(web: Web, path: str) -> int:
    """How often a source was asked for."""
    return len(web.to(path))
