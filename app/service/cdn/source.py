"""Which source a URL of the CDN origin names, and whether its account may use it.

Three spellings: a URL, percent-encoded as a whole or, where it begins with its scheme, as it stands; ``b64:`` and its
base64url; ``own:`` and the percent-encoded key of an object in the account's part of the store.
"""

import re
from base64 import b64decode
from typing import Final
from urllib.parse import unquote

import msgspec

from app.errors import ServiceError
from app.ports.cdn_accounts import AllowedOrigin, CdnAccount
from app.service.netguard import HTTP_SCHEMES, PORTS, ForbiddenUrl, Target, parse_public_url

PARAM: Final = "source"

_BASE64: Final = "b64:"
#: What a source begins with that is an object of the account.
OWN: Final = "own:"
_PLAIN: Final = ("https://", "http://")
_ANY_NAME: Final = "*."
#: What a blob's name is made of: `ports.blobs`. The longest leaves room for the prefix.
_PART: Final = r"(?!\.{1,2}(?:/|\Z))[A-Za-z0-9._-]{1,200}"
_KEY: Final = re.compile(f"{_PART}(?:/{_PART})*")
_MAX_KEY_CHARACTERS: Final = 400
_BASE64_TEXT: Final = re.compile(r"[0-9A-Za-z_-]+={0,2}")


class CdnSource(msgspec.Struct, frozen=True):
    """A source that its account may use: either `url` or `blob` is set.

    Attributes
    ----------
    url
        Where to fetch it, in the one spelling of `netguard`; its addresses are still to be judged.
    blob
        Its full name in the object store.
    """

    url: str | None = None
    blob: str | None = None

    def canonical(self) -> str:
        """Name it in the one way, for keys of caches and for purging: the URL, or ``own:`` and the full name."""
        return self.url if self.url is not None else f"{OWN}{self.blob}"


def read_source(text: str, account: CdnAccount, *, ports: frozenset[int] = PORTS) -> CdnSource:
    """Read the source as it stands in the path.

    Parameters
    ----------
    text
        ASCII, the percent-encoding untouched.
    ports
        Those that a URL may have; tests have servers elsewhere.

    Raises
    ------
    ServiceError
        400 `invalid_url`: it is malformed, or no public address. 403 `source_forbidden`: it is none of the account's.
    """
    if text.startswith(OWN):
        return CdnSource(blob=_read_own(text.removeprefix(OWN), account))
    try:
        target = parse_public_url(_read_url(text), schemes=HTTP_SCHEMES, ports=ports)
    except ForbiddenUrl as error:
        raise _malformed(str(error)) from None
    # Checked against the origin's path, which servers resolve in ways of their own.
    if any(part in {".", ".."} for part in re.split(r"[/\\]", unquote(_path(target)))):
        raise _malformed("The URL's path must not contain '.' or '..' as a part.")
    if not any(_is_within(origin, target) for origin in account.origins):
        raise ServiceError("source_forbidden", "The account does not allow this source.", param=PARAM)
    return CdnSource(url=target.url)


def parse_origin(text: str, *, ports: frozenset[int] = PORTS) -> AllowedOrigin:
    """Read an allowed origin: ``https://img.example.com``, ``https://*.example.com``, ``https://example.com/photos/``.

    Raises
    ------
    ValueError
        It is no such URL, or not public; the text says why.
    """
    scheme, mark, rest = text.partition("://")
    is_family = rest.startswith(_ANY_NAME)
    try:
        target = parse_public_url(f"{scheme}{mark}{rest.removeprefix(_ANY_NAME)}", schemes=HTTP_SCHEMES, ports=ports)
    except ForbiddenUrl as error:
        raise ValueError(f"{text}: {error}") from None
    path = _path(target)
    if "?" in target.url or "#" in text or any(part in {".", ".."} for part in unquote(path).split("/")):
        raise ValueError(f"{text}: an origin has a scheme, a host, and at most a port and a plain path")
    if is_family and target.address is not None:
        raise ValueError(f"{text}: an address has no names below it")
    return AllowedOrigin(
        scheme="https" if target.scheme == "https" else "http",
        host=f"{_ANY_NAME}{target.host}" if is_family else target.host,
        port=target.port,
        path=path if path.endswith("/") else f"{path}/",
    )


def _read_url(text: str) -> str:
    if text.startswith(_BASE64):
        return _read_base64(text.removeprefix(_BASE64))
    # Nobody encodes what can stand as it is twice.
    return text if text.startswith(_PLAIN) else _decode_percent(text)


def _read_base64(text: str) -> str:
    if not _BASE64_TEXT.fullmatch(text):
        raise _malformed("The source is no base64url.")
    bare = text.rstrip("=")
    try:
        return b64decode(bare + "=" * (-len(bare) % 4), altchars=b"-_").decode()
    except ValueError:  # UnicodeDecodeError is one
        raise _malformed("The source is no base64url of a URL in UTF-8.") from None


def _decode_percent(text: str) -> str:
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise _malformed("The source is no percent-encoded UTF-8.") from None


def _read_own(text: str, account: CdnAccount) -> str:
    key = _decode_percent(text)
    if len(key) > _MAX_KEY_CHARACTERS or not _KEY.fullmatch(key):
        raise _malformed("A key has parts of ASCII letters, digits, '-', '_' and '.', divided by '/'.")
    if account.bucket_prefix is None:
        raise ServiceError("source_forbidden", "The account has no objects of its own.", param=PARAM)
    return f"{account.bucket_prefix}/{key}"


def _is_within(origin: AllowedOrigin, target: Target) -> bool:
    if (origin.scheme, origin.port) != (target.scheme, target.port):
        return False
    is_family = origin.host.startswith(_ANY_NAME)
    is_host = target.host.endswith(origin.host[1:]) if is_family else target.host == origin.host
    return is_host and _path(target).startswith(origin.path)


def _path(target: Target) -> str:
    """Return the path as it is requested, without the query."""
    return "/" + target.url.partition("://")[2].partition("/")[2].partition("?")[0]


def _malformed(message: str) -> ServiceError:
    return ServiceError("invalid_url", message, param=PARAM)
