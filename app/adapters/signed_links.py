"""Links to files that the service serves itself: the URL says what it grants, and an HMAC vouches for it.

``/api/v1/files/NAME?type=image/webp&filename=compressed.webp&expires=1763900000&key=1a2b3c4d&signature=HEX``
"""

import hmac
import math
import time
from collections.abc import Callable
from typing import Final
from urllib.parse import parse_qs, urlencode

from app.adapters.blob_names import check_name
from app.ports.blobs import FILES_PATH, BlobLink, GrantedLink, LinkRefused

_SIGNATURE: Final = "&signature="
#: A link to GET serves HEAD too, and nothing else: the method is part of what is signed.
_METHOD: Final = "GET"
_KEY_ID_CHARACTERS: Final = 8


class SignedLinks:
    """Makes and checks links; any process with the same secret checks those of another.

    Parameters
    ----------
    secret
        Whoever knows it can make links to everything.
    clock
        Unix seconds.
    """

    def __init__(self, secret: bytes, *, clock: Callable[[], float] = time.time) -> None:
        self._secret = secret
        self._clock = clock
        # Tells a link of another installation, or of a secret since replaced, from one that was changed.
        self._key_id = self._digest("key id")[:_KEY_ID_CHARACTERS]

    def make(self, name: str, link: BlobLink, *, valid_s: int) -> str:
        """Make a link to `name`, relative to the service's own address, for `valid_s` seconds from now.

        Raises ValueError for what is no name: whatever is signed is one.
        """
        query = urlencode(
            {
                "type": link.content_type,
                "filename": link.filename,
                "expires": math.floor(self._clock()) + valid_s,
                "key": self._key_id,
            },
            safe="/",
        )
        return f"{FILES_PATH}{check_name(name)}?{query}{_SIGNATURE}{self._sign(name, query)}"

    def check(self, name: str, query: str) -> GrantedLink:
        """Tell what the link to `name` with this query grants.

        Raises
        ------
        LinkRefused
            It was not made by `make` with this secret, or its time is over.
        """
        signed, _, signature = query.rpartition(_SIGNATURE)
        # Nothing of the query is taken apart before it is known to be ours; bytes, because text must be ASCII here.
        if not hmac.compare_digest(self._sign(name, signed).encode(), _encode(signature)):
            if f"&key={self._key_id}" in signed:
                raise LinkRefused("This link was changed: its signature does not match.")
            raise LinkRefused("This link is not signed by this service.")
        fields = {field: values[0] for field, values in parse_qs(signed, strict_parsing=True).items()}
        expires = int(fields["expires"])
        if expires <= self._clock():
            raise LinkRefused("This link has expired. Ask for the download again to get another.")
        return GrantedLink(BlobLink(fields["type"], fields["filename"]), expires)

    def _sign(self, name: str, query: str) -> str:
        return self._digest(f"{_METHOD} {FILES_PATH}{name}?{query}")

    def _digest(self, text: str) -> str:
        return hmac.digest(self._secret, _encode(text), "sha256").hex()


def _encode(text: str) -> bytes:
    # A path may hold anything: it was percent-encoded.
    return text.encode(errors="surrogatepass")
