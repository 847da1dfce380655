"""A public address on this machine: a network of our own, in which the service meets servers of the tests.

The service has no switch that lets it talk to loopback, and gets none. So it runs in a network namespace whose
loopback also has an address that is public elsewhere.
"""

import base64
import hashlib
import hmac
import ssl
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple

import httpx

from tests.namespaces import Namespace

ADDRESS = "93.184.216.34"


class PublicNet(Namespace):
    """A network namespace with `ADDRESS`; skips the test where none can be made."""

    def __init__(self) -> None:
        super().__init__()
        self.ip(f"addr add {ADDRESS}/32 dev lo")


class NetTransport(httpx.BaseTransport):
    """Sends a client's requests from within a network."""

    def __init__(self, net: Namespace, tls: ssl.SSLContext) -> None:
        self._net = net
        self._inner = httpx.HTTPTransport(verify=tls)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        def ask() -> httpx.Response:
            reply = self._inner.handle_request(request)
            reply.read()
            return reply

        return self._net.run(ask)

    def close(self) -> None:
        self._inner.close()


class Received(NamedTuple):
    """One request to a server of the tests."""

    path: str
    headers: dict[str, str]
    body: bytes
    at: float


def is_signed(one: Received, secret: str) -> bool:
    """Verify a webhook as the published page does, and as Standard Webhooks does."""
    expected = hmac.new(secret.encode(), one.body, hashlib.sha256).hexdigest()
    signed = f"{one.headers['webhook-id']}.{one.headers['webhook-timestamp']}.".encode() + one.body
    standard = hmac.digest(base64.b64decode(secret.removeprefix("whsec_")), signed, "sha256")
    return (
        hmac.compare_digest(expected, one.headers["x-compressorize-signature"])
        and one.headers["webhook-signature"] == f"v1,{base64.b64encode(standard).decode()}"
        and abs(int(one.headers["webhook-timestamp"]) - one.at) < 30
    )


Answer = Callable[[BaseHTTPRequestHandler], None]


class Web:
    """A web server at an address of the network; every path answers as the test says, or with 204."""

    def __init__(self, net: PublicNet, port: int, *, tls: ssl.SSLContext | None = None, address: str = ADDRESS) -> None:
        self.received: list[Received] = []
        self._answers: dict[str, Answer] = {}
        self._server = net.run(lambda: ThreadingHTTPServer((address, port), self._handler()))
        self._server.daemon_threads = True
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def on(self, path: str, answer: Answer) -> None:
        self._answers[path] = answer

    def to(self, path: str) -> list[Received]:
        return [one for one in self.received if one.path == path]

    def wait_for(self, path: str, count: int = 1, within_s: float = 60) -> list[Received]:
        """Wait for so many requests to a path."""
        end = time.monotonic() + within_s
        while len(self.to(path)) < count:
            assert time.monotonic() < end, f"{len(self.to(path))} of {count} requests came to {path}"
            time.sleep(0.05)
        return self.to(path)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        web = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                headers = {name.lower(): value for name, value in self.headers.items()}
                web.received.append(Received(self.path, headers, body, time.time()))
                web._answers.get(self.path, status(204))(self)

            do_GET = do_POST  # noqa: N815 - the standard library's name

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        return Handler


def status(code: int, **headers: str) -> Answer:
    """Answer with a status alone."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(code)
        for name, value in headers.items():
            request.send_header(name.replace("_", "-"), value)
        request.send_header("Content-Length", "0")
        request.end_headers()

    return answer


def file(data: bytes, *, kind: str = "image/jpeg", length: int | None = None) -> Answer:
    """Answer with a file; `length` is what the header says, right or wrong."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("Content-Type", kind)
        request.send_header("Content-Length", str(len(data) if length is None else length))
        request.end_headers()
        request.wfile.write(data)

    return answer


def in_turn(*answers: Answer) -> Answer:
    """Answer the first request with the first, and so on; the last answers all that follow."""
    left = list(answers)

    def answer(request: BaseHTTPRequestHandler) -> None:
        (left.pop(0) if len(left) > 1 else left[0])(request)

    return answer
