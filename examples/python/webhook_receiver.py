"""Receive webhooks: `python webhook_receiver.py 9000`; the account's secret is in WEBHOOK_SECRET."""

import hashlib
import hmac
import json
import os
import sys
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

MAX_BODY_BYTES = 65_536
SECRET = os.environ["WEBHOOK_SECRET"]


def is_ours(body: bytes, signature: str) -> bool:
    """Whether the service sent this body: judged by its bytes as they came."""
    expected = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(expected.encode(), signature.encode())


class Receiver(BaseHTTPRequestHandler):
    """Answers one webhook."""

    timeout = 10  # seconds that a sender may be silent

    def do_POST(self) -> None:
        """Take a webhook, or refuse what is none."""
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > MAX_BODY_BYTES:
            self._answer(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
            return
        body = self.rfile.read(int(length))
        if not is_ours(body, self.headers.get("X-Compressorize-Signature", "")):
            self._answer(HTTPStatus.UNAUTHORIZED)
            return
        # Answered before anything is done with it: who takes long is called again.
        self._answer(HTTPStatus.NO_CONTENT)
        handle(json.loads(body))

    def _answer(self, status: HTTPStatus) -> None:
        self.send_response(status)
        self.end_headers()


def handle(job: dict[str, object]) -> None:
    """Do what is to be done; the same job can come twice."""
    print(job["id"], job["status"], job.get("download_url", job.get("error")), flush=True)


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Receiver).serve_forever()
