"""The gate before every request to a URL that a customer names.

A URL is judged twice: by its text, without the network, and by the addresses of its host. Whoever connects must connect
to the addresses that `resolve_public` returned and never look the name up again: the second answer could be another
one (DNS rebinding). The errors know no HTTP status: the caller maps them.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import Final, TypeAlias, TypeVar
from urllib.parse import quote, urljoin

import idna
import msgspec

from app.service.addresses import Address, is_public

#: What RFC 9110, section 4.1, asks every server to support.
MAX_URL_LENGTH: Final = 8000
#: RFC 1035, section 2.3.4, without the length octet of the first label and the root.
MAX_HOST_LENGTH: Final = 253
#: Where web servers listen. Everything else could be another protocol that swallows HTTP (Redis, SMTP).
PORTS: Final = frozenset({80, 443, 8080, 8443})
LOOKUP_TIMEOUT_S: Final = 5.0

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
#: Endings that only a private resolver answers: RFC 6761, 6762 (appendix G), 8375, ICANN's .internal, the names that
#: Kubernetes and Consul give to services, and what Linux calls itself. `.arpa` has no web servers at all.
_INTERNAL_ENDINGS: Final = frozenset(
    {"arpa", "consul", "corp", "home", "internal", "intranet", "lan", "local", "localdomain", "localhost"}
    | {"localdomain6", "private", "svc"}
)

#: What images may be fetched over.
HTTP_SCHEMES: Final = frozenset({"http", "https"})
HTTPS_ONLY: Final = frozenset({"https"})

_FORBIDDEN_CHARACTERS: Final = re.compile(r"[\x00-\x20\x7f-\x9f\s\\\ud800-\udfff]")
#: RFC 3986, section 3, with an authority that must be there: scheme, authority, path and query, and the fragment.
_URL: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://([^/?#]+)([^#]*)(?:#.*)?")
#: A reference that begins so is absolute (RFC 3986, section 4.1). "http:x" too, which urljoin() takes for a path.
_ABSOLUTE: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
#: Host and port. The brackets admit no zone identifier, the port no leading zero.
_AUTHORITY: Final = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([^\[\]:]+))(?::([1-9][0-9]{0,4}))?")
#: Underscores are no host names by RFC 1123, yet buckets and image hosts have them.
_LABEL: Final = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
#: A last label that inet_aton() and browsers read as a number (WHATWG URL, "ends in a number").
_NUMBER: Final = re.compile(r"[0-9]+|0x[0-9a-f]*")
#: What RFC 3986 allows in a path and a query, and "%": a signed URL must arrive as it was written.
_KEPT: Final = "/?:@!$&'()*+,;=%[]"

_Literal = TypeVar("_Literal", IPv4Address, IPv6Address)
#: Finds every address of a host in one look-up. Raises OSError (socket.gaierror is one) where it cannot.
Resolver: TypeAlias = Callable[[str], Awaitable[Sequence[Address]]]


class ForbiddenUrl(Exception):
    """The URL must not be requested; the text says why and is fit for a customer."""


class UnresolvableHost(Exception):
    """The look-up of the host failed, took too long or found nothing; the text is fit for a customer."""


class Target(msgspec.Struct, frozen=True):
    """A URL whose text was judged, in the one spelling that is used from here on.

    Attributes
    ----------
    url
        What to request: only the characters of RFC 3986, no fragment, no default port.
    scheme
        Lower case.
    host
        ASCII in lower case, without a trailing dot; an IPv6 address without brackets.
    port
        One of `PORTS`, or of those that were given instead.
    address
        The host where it is an address and no name; public.
    """

    url: str
    scheme: str
    host: str
    port: int
    address: Address | None = None


def parse_public_url(text: str, *, schemes: frozenset[str], ports: frozenset[int] = PORTS) -> Target:
    """Judge a URL by its text alone; a name's addresses are left to `resolve_public`.

    Stricter than RFC 3986 and than browsers wherever two parsers could read a different host: nothing is repaired,
    save that a path and a query are percent-encoded and an internationalised name is mapped by UTS 46.

    Parameters
    ----------
    text
        An absolute URL of at most `MAX_URL_LENGTH` characters.
    schemes
        Those of ``http`` and ``https`` that may be used.
    ports
        Those that may be used; tests have servers elsewhere.

    Raises
    ------
    ForbiddenUrl
        The URL is malformed or ambiguous, has another scheme, another port than `ports` or credentials, or its host
        is internal by its name or its address.
    """
    if len(text) > MAX_URL_LENGTH:
        raise ForbiddenUrl(f"The URL is longer than {MAX_URL_LENGTH} characters.")
    if _FORBIDDEN_CHARACTERS.search(text):
        raise ForbiddenUrl("The URL contains a space, a control character or a backslash.")
    parts = _URL.fullmatch(text)
    if parts is None:
        raise ForbiddenUrl("The URL is not absolute: it needs a scheme and a host.")
    scheme, authority, rest = parts[1].lower(), parts[2], parts[3]
    if scheme not in schemes:
        raise ForbiddenUrl(f"The URL's scheme must be {' or '.join(sorted(schemes))}.")
    if "@" in authority:
        raise ForbiddenUrl("The URL must not contain credentials.")
    place = _AUTHORITY.fullmatch(authority)
    if place is None:
        raise ForbiddenUrl("The URL's host or port is malformed.")
    host = _parse_literal(place[1], IPv6Address) if place[1] else _parse_host(place[2])
    port = int(place[3] or _DEFAULT_PORTS[scheme])
    if port not in ports:
        raise ForbiddenUrl(f"The URL's port must be one of {', '.join(map(str, sorted(ports)))}.")
    netloc = f"[{host}]" if isinstance(host, IPv6Address) else str(host)
    if port != _DEFAULT_PORTS[scheme]:
        netloc += f":{port}"
    path = quote(rest if rest.startswith("/") else f"/{rest}", safe=_KEPT)
    return Target(
        url=f"{scheme}://{netloc}{path}",
        scheme=scheme,
        host=str(host),
        port=port,
        address=None if isinstance(host, str) else host,
    )


def parse_redirect(location: str, base: Target, *, ports: frozenset[int] = PORTS) -> Target:
    """Judge where an answer of `base` redirects to, as strictly as a customer's URL, and never from https to http.

    Parameters
    ----------
    location
        What its ``Location`` says: an absolute URL, or a reference relative to `base`.

    Raises
    ------
    ForbiddenUrl
        As `parse_public_url`.
    """
    # Before urljoin(), which would drop some of these.
    if _FORBIDDEN_CHARACTERS.search(location):
        raise ForbiddenUrl("The URL redirects to one with a space, a control character or a backslash.")
    schemes = HTTPS_ONLY if base.scheme == "https" else HTTP_SCHEMES
    try:
        text = location if _ABSOLUTE.match(location) else urljoin(base.url, location)
    except ValueError:  # of brackets, and of characters that stand for others in a host
        raise ForbiddenUrl("The URL redirects to one that is malformed.") from None
    try:
        return parse_public_url(text, schemes=schemes, ports=ports)
    except ForbiddenUrl as error:
        raise ForbiddenUrl(f"The URL redirects to one that is refused. {error}") from None


def _parse_host(text: str) -> str | IPv4Address:
    """Give the one spelling of a host outside brackets: a name in ASCII, or an address."""
    try:
        # Only what needs it is mapped: IDNA 2008 refuses ASCII names that exist ("r3---sn.example", "a_b.example").
        name = text.lower() if text.isascii() else idna.encode(text, uts46=True).decode()
    except idna.IDNAError:
        raise ForbiddenUrl("The URL's host is no valid internationalised name.") from None
    # The mapping can make dots, digits and "localhost" out of other characters: all checks come after it.
    name = name.removesuffix(".")
    labels = name.split(".")
    if _NUMBER.fullmatch(labels[-1]):
        return _parse_literal(name, IPv4Address)
    if len(name) > MAX_HOST_LENGTH or not all(map(_LABEL.fullmatch, labels)):
        raise ForbiddenUrl("The URL's host is no valid name.")
    if len(labels) == 1 or labels[-1] in _INTERNAL_ENDINGS:
        raise ForbiddenUrl("The URL's host is the name of an internal host.")
    return name


def _parse_literal(text: str, kind: type[_Literal]) -> _Literal:
    try:
        # Refuses what inet_aton() takes: octal, hexadecimal and missing octets.
        address = kind(text)
    except AddressValueError:
        raise ForbiddenUrl("The URL's host is no valid IP address.") from None
    if not is_public(address):
        raise ForbiddenUrl("The URL's host is not a public address.")
    return address


async def resolve_public(
    target: Target,
    resolver: Resolver,
    *,
    timeout_s: float = LOOKUP_TIMEOUT_S,
    allowed: Callable[[Address], bool] = is_public,
) -> tuple[Address, ...]:
    """Find the addresses of a target's host, in one look-up; in none where the host is an address itself.

    One address that is not public spoils them all: such a record is an attempt, or belongs to somebody's own network.

    Parameters
    ----------
    allowed
        Which addresses are public; tests have servers on others.

    Returns
    -------
    tuple of addresses
        At least one, all public, in the resolver's order.

    Raises
    ------
    ForbiddenUrl
        An address of the host is not public.
    UnresolvableHost
        There is no answer within `timeout_s` seconds, or no address in it.
    """
    literal = target.address
    addresses = [literal] if literal is not None else await _look_up(target.host, resolver, timeout_s)
    if not all(map(allowed, addresses)):
        raise ForbiddenUrl(f"The host {target.host} has an address that is not public.")
    return tuple(addresses)


async def _look_up(host: str, resolver: Resolver, timeout_s: float) -> Sequence[Address]:
    try:
        async with asyncio.timeout(timeout_s):
            addresses = await resolver(host)
    except OSError as error:  # TimeoutError is one
        raise UnresolvableHost(f"The host {host} could not be resolved.") from error
    if not addresses:
        raise UnresolvableHost(f"The host {host} has no addresses.")
    return addresses
