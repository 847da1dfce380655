"""An account that has pictures of its own for CDNs, and the URLs that it signs."""

import json
from collections.abc import Sequence
from typing import Final

import msgspec

from app.service.cdn.signing import sign
from app.service.cdn.source import OWN
from perf.running import RunningService

_ACCOUNT: Final = "perf"
_PREFIX: Final = "cdn-perf"


class CdnCustomer(msgspec.Struct, frozen=True):
    """Who signs, and what.

    Attributes
    ----------
    sources
        The pictures, as they stand in a URL.
    """

    key_id: str
    secret: str
    sources: tuple[str, ...]

    def sign(self, options: str, picture: int = 0) -> str:
        """Return the path under which one of the pictures may be asked for; `picture` is its place among `sources`.

        Raises
        ------
        ValueError
            Options or source cannot stand in a URL.
        """
        return sign(self.secret, self.key_id, options, self.sources[picture])


def create_customer(service: RunningService, pictures: Sequence[bytes]) -> CdnCustomer:
    """Make an account on a running service, with these files in its part of the store."""
    for place, data in enumerate(pictures):
        service.put_object(f"{_PREFIX}/{place}", data)
    made = json.loads(service.run("cdn", "create-key", "--account", _ACCOUNT, "--json"))
    service.run("cdn", "set", "--account", _ACCOUNT, "--bucket-prefix", _PREFIX)
    return CdnCustomer(made["id"], made["secret"], tuple(f"{OWN}{place}" for place in range(len(pictures))))
