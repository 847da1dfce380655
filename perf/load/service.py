"""The service to ask: one that runs somewhere, or one of our own."""

import json
import urllib.error
import urllib.request
from typing import Final

import msgspec

from perf.running import RunningService

_ASK_S: Final = 10
_UNAUTHORIZED: Final = 401


class UnknownService(Exception):
    """Nothing answers at the address as the service does, or not with this key."""


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """Whom to ask, and as whom.

    Attributes
    ----------
    other_key
        Another account's; empty where there is none.
    pid
        The process above all of the service's on this machine; None where that is not known.
    """

    url: str
    key: str
    other_key: str = ""
    pid: int | None = None
    version: str = ""
    is_own: bool = False


class OwnService(RunningService):
    """A service for one run, with keys of two accounts that have no limit to speak of."""

    def __init__(self, *, reuse_results: bool) -> None:
        super().__init__({"REUSE_RESULTS": str(reuse_results).lower()})

    def target(self) -> Target:
        """Return how to reach it."""
        url = f"http://127.0.0.1:{self.port}"
        return Target(
            url=url,
            key=self.key,
            other_key=self.make_key("other"),
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
