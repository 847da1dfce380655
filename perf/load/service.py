"""The service to ask: one that runs somewhere, or one of our own."""

import json
import urllib.error
import urllib.request
from collections.abc import Iterable
from typing import Final
from urllib.parse import quote

import msgspec

from app.service.cdn.source import OWN
from perf.cdn_customer import CdnCustomer
from perf.running import RunningService

_ASK_S: Final = 10
#: A first picture is fetched and encoded, and so are those before it.
_SERVE_S: Final = 60
_UNAUTHORIZED: Final = 401
#: What a refusal of a signed URL means here.
_WHY: Final = {
    403: ": it does not know the signing key, or the account does not allow this source",
    404: ": there is none of its name at the source",
    502: ": its source does not have it, or does not answer",
}


class UnknownService(Exception):
    """Nothing answers at the address as the service does, or not with these keys."""


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """Whom to ask, and as whom.

    Attributes
    ----------
    key, other_key
        API keys, of two accounts; empty where there is none.
    customer
        Who signs the URLs of pictures; None where nobody asks for any.
    pid
        The process above all of the service's on this machine; None where that is not known.
    """

    url: str
    key: str = ""
    other_key: str = ""
    customer: CdnCustomer | None = None
    pid: int | None = None
    version: str = ""
    is_own: bool = False


class OwnService(RunningService):
    """A service for one run, with keys of two accounts that have no limit to speak of."""

    def __init__(self, *, reuse_results: bool) -> None:
        super().__init__({"REUSE_RESULTS": str(reuse_results).lower()})

    def target(self, customer: CdnCustomer | None = None) -> Target:
        """Return how to reach it, and as whom."""
        url = f"http://127.0.0.1:{self.port}"
        return Target(
            url=url,
            key=self.key,
            other_key=self.make_key("other"),
            customer=customer,
            pid=self.pid,
            version=ask_version(url),
            is_own=True,
        )


def ask_version(url: str) -> str:
    """Return the version that the service's OpenAPI document tells.

    Raises
    ------
    UnknownService
        The address does not answer, or not as this service does.
    """
    try:
        with urllib.request.urlopen(f"{url.rstrip('/')}/openapi.json", timeout=_ASK_S) as answer:  # noqa: S310 - the user's own address
            return str(json.load(answer)["info"]["version"])
    except (OSError, ValueError, KeyError) as error:
        raise UnknownService(f"{url} does not answer as the service does: {error}") from error


def check_key(url: str, key: str) -> None:
    """Make sure that a key is taken, before a run is made of refusals.

    Raises
    ------
    UnknownService
        It is not.
    """
    request = urllib.request.Request(  # noqa: S310 - the user's own address
        f"{url.rstrip('/')}/api/v1/status/0", headers={"Authorization": f"Bearer {key}"}
    )
    try:
        with urllib.request.urlopen(request, timeout=_ASK_S):  # noqa: S310 - as above
            return
    except urllib.error.HTTPError as error:
        if error.code == _UNAUTHORIZED:
            raise UnknownService("The service does not take this key.") from None
    except OSError as error:
        raise UnknownService(f"{url} does not answer: {error}") from error


def name_sources(prefix: str, names: Iterable[str]) -> tuple[str, ...]:
    """Return how a URL names each picture under `prefix`, which is a URL, or ``own:`` and the beginning of a key."""
    if prefix.startswith(OWN):
        folder = prefix.removeprefix(OWN).rstrip("/")
        return tuple(f"{OWN}{folder}/{quote(name)}" if folder else f"{OWN}{quote(name)}" for name in names)
    return tuple(quote(f"{prefix.rstrip('/')}/{quote(name)}", safe="") for name in names)


def check_customer(url: str, customer: CdnCustomer) -> None:
    """Make sure that the first of a customer's pictures is served, before a run is made of refusals.

    Raises
    ------
    UnknownService
        It is not.
    """
    try:
        with urllib.request.urlopen(f"{url.rstrip('/')}{customer.sign('f:auto')}", timeout=_SERVE_S):  # noqa: S310 - as above
            return
    except urllib.error.HTTPError as error:
        why = _WHY.get(error.code, "")
        raise UnknownService(f"The service answers {error.code} to a signed URL of the first picture{why}.") from None
    except OSError as error:
        raise UnknownService(f"{url} does not answer: {error}") from error
