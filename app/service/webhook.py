"""One webhook: signed, sent, and what follows from the answer."""

import asyncio
import base64
import hashlib
import hmac
import random
import re
import time
from collections.abc import Callable
from datetime import UTC
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Final

import aiohttp
import msgspec

from app.ports.deliveries import Delivery
from app.service.netguard import HTTPS_ONLY, ForbiddenUrl, UnresolvableHost
from app.service.outbound import Outbound, RequestFailed

TIMEOUT_S: Final = 15.0
#: Waits after the first attempt, the second ...; after the last of them comes the last attempt.
WAITS_S: Final = (5, 5 * 60, 30 * 60, 2 * 3600, 5 * 3600, 10 * 3600)
#: Waits are spread by as much, so that what failed together does not come back together.
JITTER: Final = 0.2
#: The longest `Retry-After` that is obeyed: the longest wait of ours. Within a day of its job the result is gone.
MAX_RETRY_AFTER_S: Final = WAITS_S[-1]
SECRET_PREFIX: Final = "whsec_"  # noqa: S105 - the published prefix of secrets
#: As much of an answer's body is read, and dropped: a connection that is closed before reads as an error over there.
_ANSWER_BYTES: Final = 4096
_SECONDS: Final = re.compile(r"[0-9]{1,9}")


class Result(msgspec.Struct, frozen=True):
    """What one attempt came to.

    Attributes
    ----------
    text
        The status or why there was none, for those who look after webhooks.
    is_final
        No further attempt is wanted.
    retry_after_s
        How long the receiver asked to be left alone.
    """

    text: str
    is_delivered: bool = False
    is_final: bool = False
    retry_after_s: float = 0.0


def sign(secret: str, delivery_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """Make the headers by which a receiver knows that the body is ours.

    ``X-Compressorize-Signature`` is the hexadecimal HMAC-SHA256 of the body under the whole secret, as text. The others
    are those of Standard Webhooks 1.0.0, whose key is what the secret holds in base64 behind its prefix.
    """
    key = base64.b64decode(secret.removeprefix(SECRET_PREFIX))
    content = b"%s.%d.%s" % (delivery_id.encode(), timestamp, body)
    return {
        "X-Compressorize-Signature": hmac.new(secret.encode(), body, hashlib.sha256).hexdigest(),
        "webhook-id": delivery_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": "v1," + base64.b64encode(hmac.digest(key, content, "sha256")).decode(),
    }


def next_attempt(delivery: Delivery, result: Result, now: float) -> Delivery:
    """Give the delivery as it stands after an attempt that ended at `now`, in Unix seconds.

    The jitter comes from the delivery's id, so that the same arguments give the same answer.
    """
    attempts = delivery.attempts + 1
    after = msgspec.structs.replace(delivery, attempts=attempts, last_result=result.text)
    if result.is_delivered:
        return msgspec.structs.replace(after, state="delivered")
    if result.is_final or attempts > len(WAITS_S):
        return msgspec.structs.replace(after, state="failed")
    spread = random.Random(f"{delivery.id}.{attempts}").uniform(1 - JITTER, 1 + JITTER)  # noqa: S311 - no secret
    wait_s = max(WAITS_S[attempts - 1] * spread, min(result.retry_after_s, MAX_RETRY_AFTER_S))
    return msgspec.structs.replace(after, next_at=now + wait_s)


class WebhookSender:
    """Sends webhooks to public addresses over https."""

    def __init__(
        self, outbound: Outbound, *, timeout_s: float = TIMEOUT_S, clock: Callable[[], float] = time.time
    ) -> None:
        self._outbound = outbound
        self._timeout_s = timeout_s
        self._clock = clock

    async def send(self, delivery: Delivery, body: bytes, secret: str) -> Result:
        """Make one attempt, which takes at most `timeout_s` seconds; any 2xx is a success, a redirect is none.

        Nothing of the network's is raised: it is in the result.
        """
        headers = {
            "Content-Type": "application/json",
            **sign(secret, delivery.id, int(self._clock()), body),
        }
        result = None
        try:
            async with asyncio.timeout(self._timeout_s):
                target = self._outbound.judge(delivery.url, schemes=HTTPS_ONLY)
                async with self._outbound.request(
                    "POST", target, headers=headers, body=body, idle_s=self._timeout_s
                ) as response:
                    result = self._judge(response)
                    await response.content.read(_ANSWER_BYTES)
        except (ForbiddenUrl, UnresolvableHost, RequestFailed) as error:
            return result or Result(str(error))
        except TimeoutError:
            return result or Result(f"No answer within {self._timeout_s:g} seconds.")
        return result

    def _judge(self, response: aiohttp.ClientResponse) -> Result:
        return Result(
            f"The receiver answered with status {response.status}.",
            is_delivered=HTTPStatus.OK <= response.status < HTTPStatus.MULTIPLE_CHOICES,
            is_final=response.status == HTTPStatus.GONE,
            retry_after_s=_retry_after_s(response.headers.get("Retry-After", ""), self._clock()),
        )


def _retry_after_s(text: str, now: float) -> float:
    """Read either form of ``Retry-After`` (RFC 9110, section 10.2.3); 0 where it is neither or lies in the past."""
    if _SECONDS.fullmatch(text):
        return float(text)
    try:
        at = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return 0.0
    return max(0.0, at.replace(tzinfo=at.tzinfo or UTC).timestamp() - now)
