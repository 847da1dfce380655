"""`url` end to end: fetched from a public address, answered at once or turned into a job while it streams."""

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler

import httpx
import pytest

from tests.whole.conftest import FETCH_S
from tests.whole.jobs import MB, QUICK, SMALL, download, is_soon, new_source, stored, wait_for_end
from tests.whole.pictures import opened, padded_jpeg
from tests.whole.public import ADDRESS, Answer, PublicNet, Web, file, status
from tests.whole.service import COMPRESS, Api, Service, error_of

HOST = f"http://{ADDRESS}"


@pytest.fixture(scope="module")
def client(outbound_service: Service) -> Iterator[Api]:
    with outbound_service.client() as client:
        yield client


def ask(client: Api, path: str, headers: dict[str, str] | None = None, **fields: str) -> httpx.Response:
    return client.post(COMPRESS, json={"url": HOST + path, **QUICK, **fields}, headers=headers)


def test_a_small_picture_is_answered_at_once_however_it_is_asked_for(client: Api, web: Web) -> None:
    web.on("/small", file(SMALL))
    fields = {"url": f"{HOST}/small", "format": "webp", **QUICK}
    replies = [
        client.post(COMPRESS, json=fields),
        client.post(COMPRESS, data=fields),
        client.post(COMPRESS, files={name: (None, value) for name, value in fields.items()}),
    ]
    for reply in replies:
        assert reply.status_code == 200, reply.text
        assert reply.headers["X-Original-Size"] == str(len(SMALL))
        assert opened(reply.content).size == (160, 120)
    assert "compressorize" in web.to("/small")[0].headers["user-agent"].lower()


def test_a_large_picture_becomes_a_job_while_it_streams(outbound_service: Service, client: Api, web: Web) -> None:
    """Its first parts are in the store before its last bytes have been sent."""
    source, go_on = new_source(6 * MB), threading.Event()

    def half(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.end_headers()  # without a length
        request.wfile.write(source[: 5 * MB])
        request.wfile.flush()
        assert go_on.wait(20)
        request.wfile.write(source[5 * MB :])

    web.on("/large", half)
    replies: list[httpx.Response] = []
    asking = threading.Thread(target=lambda: replies.append(ask(client, "/large")))
    asking.start()
    try:
        assert is_soon(lambda: stored(outbound_service, "*/source.0"), FETCH_S - 1)
    finally:
        go_on.set()
        asking.join()
    assert replies[0].status_code == 202, replies[0].text
    job = replies[0].json()["id"]
    assert wait_for_end(client, job)["original_size"] == len(source)
    assert opened(download(client, job).content).size == (160, 120)


def chunks(piece: bytes, pause_s: float) -> Answer:
    """Answer slowly, and for as long as somebody listens."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.end_headers()
        try:
            while True:
                request.wfile.write(piece)
                time.sleep(pause_s)
        except OSError:
            return

    return answer


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (status(404), (422, "fetch_failed")),
        (status(204), (422, "fetch_failed")),
        (file(b""), (422, "fetch_failed")),
        (file(b"<!doctype html><title>Not found</title>" + b" " * 999, kind="image/jpeg"), (415, "unsupported_format")),
        (chunks(b"<html>" * 999, 0.05), (415, "unsupported_format")),
        (chunks(SMALL[:1], 0.2), (422, "fetch_failed")),
        (file(SMALL, length=len(SMALL) + 1), (422, "fetch_failed")),
        (file(new_source(5 * MB), length=6 * MB), (422, "fetch_failed")),
        (file(SMALL, length=26 * MB), (413, "file_too_large")),
        (chunks(padded_jpeg(SMALL, 2 * MB)[: MB + 999], 0), (413, "file_too_large")),
        (status(302, Location="http://127.0.0.1/canary"), (400, "invalid_url")),
        (status(302, Location="http://localhost:8000/canary"), (400, "invalid_url")),
    ],
    ids=[
        *("404", "204", "empty", "HTML", "endless HTML", "slow", "cut off", "cut off, large"),
        *("says 26 MB", "endless", "to loopback", "to loopback by name"),
    ],
)
def test_what_cannot_be_fetched_is_told_and_leaves_nothing(
    outbound_service: Service, client: Api, web: Web, answer: Answer, told: tuple[int, str]
) -> None:
    before = set(stored(outbound_service))
    web.on("/bad", answer)
    assert error_of(ask(client, "/bad"))[:2] == told
    assert is_soon(lambda: set(stored(outbound_service)) <= before)


def test_a_redirect_is_followed(client: Api, web: Web) -> None:
    web.on("/small", file(SMALL))
    web.on("/moved", status(302, Location="/small"))
    assert ask(client, "/moved").status_code == 200


def test_nothing_private_is_ever_asked(net: PublicNet, client: Api) -> None:
    canary = Web(net, 80, address="127.0.0.1")
    try:
        for url in ("http://127.0.0.1/", "http://2130706433/", "http://[::ffff:127.0.0.1]/", "http://localhost/"):
            assert error_of(client.post(COMPRESS, json={"url": url}))[:2] == (400, "invalid_url"), url
        assert not canary.received
    finally:
        canary.close()


@pytest.mark.parametrize("source", [SMALL, new_source()], ids=["small", "large"])
def test_a_repetition_fetches_nothing(client: Api, web: Web, source: bytes) -> None:
    path = f"/once/{len(source)}"
    web.on(path, file(source))
    first, second = (ask(client, path, {"Idempotency-Key": path}) for _ in range(2))
    assert first.status_code == second.status_code
    assert first.headers["X-Job-Id"] == second.headers["X-Job-Id"]
    assert len(web.to(path)) == 1
    other = ask(client, path + "?", {"Idempotency-Key": path})
    assert error_of(other)[:2] == (409, "idempotency_conflict")
