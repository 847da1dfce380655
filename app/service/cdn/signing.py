"""Signatures of the CDN origin's URLs: ``/cdn/{key_id}.{signature}/{options}/{source}``.

The signature is the base64url, without padding, of HMAC-SHA256 over everything behind it exactly as it is sent: no
percent-encoding is touched, and a query string, with its ``?``, is part of it. So whatever a proxy rewrites and
whatever anybody appends is refused.
"""

import hmac
import re
import secrets
from base64 import urlsafe_b64encode
from typing import Final

import msgspec

from app.errors import ServiceError
from app.ports.cdn_accounts import SigningKey
from app.service.cdn.options import EXPIRES

PREFIX: Final = "/cdn/"
#: What browsers and caches in front take without question.
MAX_TARGET_CHARACTERS: Final = 8000

#: Visible ASCII without the fragment's ``#``: whatever else a URL means has to be percent-encoded (RFC 3986).
_TARGET: Final = re.compile(r"/cdn/([0-9A-Za-z_]{1,32})\.([0-9A-Za-z_-]{43})/(([!-.0-~]+)/([!\"$-~]+))")
#: Longer numbers are left to `parse_options`, which refuses them.
_EXPIRY: Final = re.compile(rf"(?:^|,){EXPIRES}:([0-9]{{1,11}})(?=,|$)", re.ASCII)
#: Stands in for the secret of a key that there is none of, so that refusing it takes as long.
_NO_SECRET: Final = secrets.token_urlsafe(32)


class SignedTarget(msgspec.Struct, frozen=True):
    """A request's target, taken apart and not yet believed.

    Attributes
    ----------
    signed
        `options`, a slash and `source`: what the signature covers.
    options, source
        As they are sent, percent-encoding and all.
    """

    key_id: str
    signature: str
    signed: str
    options: str
    source: str


def sign(secret: str, key_id: str, options: str, source: str) -> str:
    """Return the path, from ``/cdn/`` on, under which the picture may be asked for.

    Parameters
    ----------
    options, source
        As they shall stand in the URL: `source` percent-encoded already, or ``b64:`` and base64url.

    Raises
    ------
    ValueError
        What they make is no URL of the CDN origin: a character that has to be percent-encoded, nothing, or too much.
    """
    signed = f"{options}/{source}"
    path = f"{PREFIX}{key_id}.{_digest(secret, signed)}/{signed}"
    found = _TARGET.fullmatch(path)
    if found is None or found[4] != options or len(path) > MAX_TARGET_CHARACTERS:
        raise ValueError("The key's id, the options and the source make no URL: percent-encode the source")
    return path


def split_target(raw_path: bytes, query: bytes = b"") -> SignedTarget:
    """Take apart what was requested, as it came over the wire.

    Parameters
    ----------
    raw_path
        ASGI's `raw_path`: nothing of it is decoded.
    query
        ASGI's `query_string`.

    Raises
    ------
    ServiceError
        403 `bad_signature`: it has not the form of a signed URL.
    """
    target = raw_path + b"?" + query if query else raw_path
    found = _TARGET.fullmatch(target.decode("latin-1")) if len(target) <= MAX_TARGET_CHARACTERS else None
    if found is None:
        raise _refused()
    return SignedTarget(*found.groups())


def check(target: SignedTarget, key: SigningKey | None, *, now: float) -> None:
    """Believe `target`, or refuse it; the time taken does not depend on why.

    Parameters
    ----------
    key
        The live key of `target.key_id`; None where there is none.
    now
        Unix seconds.

    Raises
    ------
    ServiceError
        403 `bad_signature`, in the same words for an unknown key, a wrong signature and an `exp` that is over.
    """
    expected = _digest(key.secret if key else _NO_SECRET, target.signed)
    is_genuine = hmac.compare_digest(expected, target.signature)
    # More than one is refused by `parse_options`, of which none may be believed before.
    is_over = any(int(moment) <= now for moment in _EXPIRY.findall(target.options))
    if key is None or not is_genuine or is_over:
        raise _refused()


def _digest(secret: str, signed: str) -> str:
    return urlsafe_b64encode(hmac.digest(secret.encode(), signed.encode(), "sha256")).rstrip(b"=").decode()


def _refused() -> ServiceError:
    return ServiceError("bad_signature", "This URL is not signed, or no longer good.")
