"""One webhook: its signatures as receivers check them, what counts as delivered, and when it is tried again."""

import asyncio
import hashlib
import hmac
import json
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from email.utils import formatdate
from typing import Any

import msgspec
import pytest
import trustme
from hypothesis import given, settings
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from app.ports.deliveries import Delivery
from app.ports.jobs import Job
from app.service.webhook import (
    JITTER,
    MAX_RETRY_AFTER_S,
    WAITS_S,
    Result,
    WebhookSender,
    _retry_after_s,
    next_attempt,
    sign,
)
from pixels.options import Options
from tests.app.loopback import (
    PRIVATE,
    PUBLIC,
    Handler,
    Names,
    Request,
    Web,
    answer,
    client_side,
    outbound,
    run,
    server_side,
    serving,
    stall,
)

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # noqa: S105 - of the published example
BODY = b'{"id":"abc123xyz","status":"complete"}'
NOW = 1_700_000_000.0


def delivery(url: str = "https://pub.test/hook", **fields: Any) -> Delivery:
    job = Job(
        id="abc123xyz",
        account="ada",
        lane="paid",
        options=Options(),
        original_size=10,
        created=NOW,
        webhook_url=url,
        state="complete",
    )
    return Delivery(id="msg_1", job=job, created=NOW, **fields)


# Signatures.


def test_the_published_example_of_standard_webhooks_has_its_published_signature() -> None:
    headers = sign(SECRET, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert headers["webhook-id"] == "msg_p5jXN8AQM9LWM0D4loKWxJek"
    assert headers["webhook-timestamp"] == "1614265330"
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_the_library_of_standard_webhooks_verifies_ours_and_no_other_body() -> None:
    headers = sign(SECRET, "msg_1", int(time.time()), BODY)
    assert Webhook(SECRET).verify(BODY, headers) == json.loads(BODY)
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(BODY + b" ", headers)


def test_the_published_snippet_for_python_verifies_ours() -> None:
    class request:  # noqa: N801 - the snippet's name
        headers = sign(SECRET, "msg_1", 0, BODY)

    expected = hmac.new(SECRET.encode(), BODY, hashlib.sha256).hexdigest()
    assert hmac.compare_digest(expected, request.headers["X-Compressorize-Signature"])


NODE_SNIPPET = """
const { secret, body, signature } = JSON.parse(require("fs").readFileSync(0))
const crypto = require("crypto")
const expected = crypto.createHmac("sha256", secret).update(body).digest("hex")
const verified = crypto.timingSafeEqual(Buffer.from(expected), Buffer.from(signature))
console.log(verified)
"""


@pytest.mark.skipif(shutil.which("node") is None, reason="no node on the PATH")
@pytest.mark.parametrize("body", [BODY, '{"message":"Grüße"}'.encode()])
def test_the_published_snippet_for_node_verifies_ours(body: bytes) -> None:
    signature = sign(SECRET, "msg_1", 0, body)["X-Compressorize-Signature"]
    given = json.dumps({"secret": SECRET, "body": body.decode(), "signature": signature})
    node = subprocess.run(["node", "-e", NODE_SNIPPET], input=given, capture_output=True, text=True, timeout=60)
    assert (node.stdout, node.stderr) == ("true\n", "")


# The schedule.


def test_a_webhook_that_never_arrives_is_tried_seven_times_on_the_published_schedule() -> None:
    now, waits, tried = NOW, [], delivery()
    while tried.state == "waiting":
        tried = next_attempt(tried, Result("No answer within 15 seconds."), now)
        if tried.state == "waiting":
            waits.append(tried.next_at - now)
            now = tried.next_at
    assert (tried.state, tried.attempts, tried.last_result) == ("failed", 7, "No answer within 15 seconds.")
    for wait_s, planned_s in zip(waits, [5, 300, 1800, 7200, 18_000, 36_000], strict=True):
        assert 0.8 * planned_s <= wait_s <= 1.2 * planned_s
    assert now - NOW < 24 * 3600  # while the result can be downloaded


def test_waits_are_spread_over_webhooks_and_the_same_for_the_same_one() -> None:
    def wait_s(name: str) -> float:
        return next_attempt(msgspec.structs.replace(delivery(), id=name), Result("500"), NOW).next_at - NOW

    waits = [wait_s(f"msg_{number}") for number in range(300)]
    assert min(waits) < WAITS_S[0] * (1 - 0.8 * JITTER) < WAITS_S[0] * (1 + 0.8 * JITTER) < max(waits)
    assert wait_s("msg_7") == waits[7]


def test_a_webhook_that_arrived_is_not_sent_again() -> None:
    after = next_attempt(delivery(attempts=2), Result("200", is_delivered=True), NOW)
    assert (after.state, after.attempts, after.last_result) == ("delivered", 3, "200")


def test_a_final_answer_stops_the_schedule() -> None:
    after = next_attempt(delivery(), Result("410", is_final=True), NOW)
    assert (after.state, after.attempts) == ("failed", 1)


@pytest.mark.parametrize(
    ("asked_s", "waits_s"), [(1, 5), (120, 120), (MAX_RETRY_AFTER_S, MAX_RETRY_AFTER_S), (10**9, MAX_RETRY_AFTER_S)]
)
def test_a_receiver_may_ask_for_a_longer_wait_but_not_for_ever(asked_s: float, waits_s: float) -> None:
    after = next_attempt(delivery(), Result("503", retry_after_s=asked_s), NOW)
    assert after.next_at - NOW == pytest.approx(waits_s, rel=JITTER if asked_s < 5 else 0)


@pytest.fixture
def in_tokyo(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Put this machine's clock nine hours ahead of the world's."""
    with monkeypatch.context() as environment:
        environment.setenv("TZ", "Asia/Tokyo")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        ("120", 120),
        (formatdate(NOW + 90, usegmt=True), 90),
        (formatdate(NOW + 90).replace("-0000", "+0000"), 90),
        (formatdate(NOW + 90), 90),
        (formatdate(NOW - 90, usegmt=True), 0),
        ("", 0),
        ("soon", 0),
        ("-5", 0),
        ("1.5", 0),
        ("\uff11\uff12", 0),
        ("9" * 400, 0),
        ("Wed, 21 Oct 99999 07:28:00 GMT", 0),
    ],
)
def test_retry_after_is_read_in_both_its_forms(text: str, seconds: float, in_tokyo: None) -> None:
    assert _retry_after_s(text, NOW) == pytest.approx(seconds, abs=1)


@settings(deadline=None)
@given(st.text(max_size=40) | st.from_regex(r"\w{3}, \d+ (Jan|Dec|xyz) \d+ \d+:\d+(:\d+)? ([A-Z]{3}|[+-]\d+)"))
def test_no_retry_after_breaks_anything(text: str) -> None:
    assert _retry_after_s(text, NOW) >= 0


# Sending.


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@asynccontextmanager
async def sending(
    handler: Handler | bytes, authority: trustme.CA, **options: Any
) -> AsyncIterator[tuple[WebhookSender, Web, Delivery]]:
    """Give a sender, a receiver on https, and a webhook that goes there."""
    async with (
        serving(handler, tls=server_side(authority, "pub.test")) as web,
        outbound(port=web.port, tls=client_side(authority)) as client,
    ):
        yield WebhookSender(client, **options), web, delivery(f"https://pub.test:{web.port}/hook?for=us")


def sent(handler: Handler | bytes, authority: trustme.CA, **options: Any) -> Result:
    async def scenario() -> Result:
        async with sending(handler, authority, **options) as (sender, _, webhook):
            return await sender.send(webhook, BODY, SECRET)

    return run(scenario())


def test_the_receiver_gets_the_body_with_both_signatures(authority: trustme.CA) -> None:
    async def scenario() -> None:
        async with sending(answer("204 No Content"), authority) as (sender, web, webhook):
            result = await sender.send(webhook, BODY, SECRET)
            assert result == Result("The receiver answered with status 204.", is_delivered=True)
            [got] = web.requests
            assert (got.method, got.target, got.body) == ("POST", "/hook?for=us", BODY)
            assert got.headers["Content-Type"] == "application/json"
            assert got.headers["User-Agent"].startswith("Compressorize/")
            assert got.headers["webhook-id"] == "msg_1"
            assert Webhook(SECRET).verify(got.body, dict(got.headers))
            expected = hmac.new(SECRET.encode(), got.body, hashlib.sha256).hexdigest()
            assert got.headers["X-Compressorize-Signature"] == expected

    run(scenario())


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_every_2xx_is_a_delivery(status: int, authority: trustme.CA) -> None:
    assert sent(answer(f"{status} So"), authority).is_delivered


@pytest.mark.parametrize("status", [301, 302, 304, 307, 308, 400, 401, 404, 409, 410, 429, 500, 503])
def test_every_other_answer_is_none_and_only_410_is_the_last_word(status: int, authority: trustme.CA) -> None:
    result = sent(answer(f"{status} So", Location="/elsewhere"), authority)
    assert result == Result(f"The receiver answered with status {status}.", is_final=status == 410)


def test_a_redirect_is_not_followed(authority: trustme.CA) -> None:
    async def scenario() -> None:
        async with sending(answer("307 Temporary Redirect", Location="/other"), authority) as (sender, web, webhook):
            await sender.send(webhook, BODY, SECRET)
            assert web.connections == 1

    run(scenario())


def test_what_a_busy_receiver_asks_for_is_in_the_result(authority: trustme.CA) -> None:
    assert sent(answer("503 Busy", Retry_After="77"), authority).retry_after_s == 77
    in_a_minute = formatdate(NOW + 60, usegmt=True)
    later = sent(answer("429 So", Retry_After=in_a_minute), authority, clock=lambda: NOW)
    assert later.retry_after_s == 60


def test_a_receiver_that_does_not_answer_in_time_has_not_got_it(authority: trustme.CA) -> None:
    assert sent(stall, authority, timeout_s=0.2) == Result("No answer within 0.2 seconds.")


def test_an_answer_counts_once_its_status_is_there(authority: trustme.CA) -> None:
    async def never_end(_: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(answer("200 OK", Content_Length="100"))
        await stall()

    assert sent(never_end, authority, timeout_s=3).is_delivered
    assert sent(answer("200 OK", Content_Length="100"), authority).is_delivered


def test_of_a_long_answer_only_the_beginning_is_read(authority: trustme.CA) -> None:
    async def pour(_: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(answer("200 OK", Content_Length=str(10**12)))
        while True:
            writer.write(bytes(10_000))
            await writer.drain()

    async def scenario() -> None:
        async with sending(pour, authority) as (sender, web, webhook):
            assert (await sender.send(webhook, BODY, SECRET)).is_delivered
            async with asyncio.timeout(30):
                await web.hung_up.wait()

    run(scenario())


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("http://pub.test/", "The URL's scheme must be https."),
        ("https://127.0.0.1/", "The URL's host is not a public address."),
        ("https://meta.test/", "The host meta.test has an address that is not public."),
        ("https://nx.test/", "The host nx.test could not be resolved."),
        ("https://pub.test:25/", None),
    ],
)
def test_a_target_is_judged_at_every_attempt(url: str, text: str | None) -> None:
    async def scenario() -> None:
        names = Names({"pub.test": PUBLIC, "meta.test": PRIVATE})
        async with serving(answer("200 OK"), address=PRIVATE) as canary, outbound(names, port=canary.port) as client:
            result = await WebhookSender(client).send(delivery(url), BODY, SECRET)
            assert not result.is_delivered
            assert not result.is_final
            assert text in {None, result.text}
            assert canary.connections == 0

    run(scenario())


def test_a_receiver_without_a_valid_certificate_gets_nothing(authority: trustme.CA) -> None:
    async def scenario() -> None:
        async with (
            serving(answer("200 OK"), tls=server_side(authority, "pub.test")) as web,
            outbound(port=web.port) as client,
        ):
            result = await WebhookSender(client).send(delivery(f"https://pub.test:{web.port}/"), BODY, SECRET)
            assert result == Result("The TLS certificate of pub.test is not valid.")
            assert web.requests == []

    run(scenario())
