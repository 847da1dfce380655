"""The one way out by HTTP to hosts that customers name, through three gates.

1. `Outbound.judge`: the text of the URL.
2. `resolve_public`: every address of its host, in one look-up a request. The connection is pinned to what was checked.
3. `Outbound._open_socket`: the address of each socket, just before it connects, whatever was decided above.

Cookies, proxies, credentials from the environment and redirects are off. No connection is used twice: a pool would know
it by its host's name, and the name may have another address by then.
"""

import socket
import ssl
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from contextvars import ContextVar
from importlib.metadata import version
from ipaddress import ip_address
from typing import Final, NoReturn

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from app.service.addresses import Address, is_public
from app.service.netguard import (
    LOOKUP_TIMEOUT_S,
    PORTS,
    ForbiddenUrl,
    Resolver,
    Target,
    parse_public_url,
    parse_redirect,
    resolve_public,
)
from app.service.system_resolver import SystemResolver

CONNECT_TIMEOUT_S: Final = 5.0
#: Requests under way at once in one event loop; others wait.
MAX_CONNECTIONS: Final = 512
#: Addresses of one host that are tried. They are tried side by side, and a hostile name may have hundreds.
MAX_ADDRESSES: Final = 4
#: Bounds on an answer's status line, on each header and on how many there are.
MAX_HEADER_BYTES: Final = 8190
MAX_HEADERS: Final = 100
#: The reader stops the sender at twice as much.
_READ_AHEAD_BYTES: Final = 64 * 1024

_pinned: ContextVar[tuple[str, Sequence[Address]]] = ContextVar("pinned")


class RequestFailed(Exception):
    """No whole answer came; the text says why and is fit for a customer: no address, no error of ours is in it."""


class _ForbiddenSocket(OSError):
    """What the third gate raises: aiohttp lets no other error of a socket through."""


class Outbound:
    """Sends requests; for one event loop, and to be closed in it.

    Parameters
    ----------
    resolver
        The system's by default.
    lookup_timeout_s, connect_timeout_s
        Bounds on a look-up, and on the connections to a host with TLS' handshake.
    tls
        Whose certificates are trusted: the system's authorities by default.
    allowed, ports
        What the gates let through; only tests, whose servers are on this machine, give others.
    """

    def __init__(
        self,
        resolver: Resolver | None = None,
        *,
        lookup_timeout_s: float = LOOKUP_TIMEOUT_S,
        connect_timeout_s: float = CONNECT_TIMEOUT_S,
        max_connections: int = MAX_CONNECTIONS,
        tls: ssl.SSLContext | None = None,
        allowed: Callable[[Address], bool] = is_public,
        ports: frozenset[int] = PORTS,
    ) -> None:
        self._resolver = resolver or SystemResolver()
        self._lookup_timeout_s = lookup_timeout_s
        self._connect_timeout_s = connect_timeout_s
        self._max_connections = max_connections
        self._tls = tls
        self._allowed = allowed
        self._ports = ports
        self._session: aiohttp.ClientSession | None = None

    def judge(self, url: str, *, schemes: frozenset[str]) -> Target:
        """Pass a URL through the first gate. Raises ForbiddenUrl; see `parse_public_url`."""
        return parse_public_url(url, schemes=schemes, ports=self._ports)

    def judge_redirect(self, location: str, base: Target) -> Target:
        """Pass a ``Location`` through the first gate. Raises ForbiddenUrl; see `parse_redirect`."""
        return parse_redirect(location, base, ports=self._ports)

    @asynccontextmanager
    async def request(
        self, method: str, target: Target, *, headers: Mapping[str, str], body: bytes | None = None, idle_s: float
    ) -> AsyncGenerator[aiohttp.ClientResponse]:
        """Send a request and give the answer, whose body is to be read within the context.

        There is no bound on the whole: the caller sets it with `asyncio.timeout`. The body comes as it was sent, with
        its content coding. On leaving, the connection is closed, whatever of the body has not been read.

        Parameters
        ----------
        target
            From `judge` or `judge_redirect`.
        idle_s
            How long the server may send nothing.

        Raises
        ------
        ForbiddenUrl
            An address of the host is not public.
        UnresolvableHost
            The host has no address that can be found.
        RequestFailed
            There was no connection or no whole answer; also from reading the body.
        """
        addresses = await resolve_public(
            target, self._resolver, timeout_s=self._lookup_timeout_s, allowed=self._allowed
        )
        timeout = aiohttp.ClientTimeout(sock_connect=self._connect_timeout_s, sock_read=idle_s)
        # As it was judged: yarl would write it anew.
        url = URL(target.url, encoded=True)
        pin = _pinned.set((target.host, addresses[:MAX_ADDRESSES]))
        try:
            response = await self._open_session().request(
                method, url, headers=headers, data=body, timeout=timeout, allow_redirects=False
            )
        except aiohttp.ClientError as error:
            _tell(error, target)
        finally:
            _pinned.reset(pin)
        try:
            yield response
        except aiohttp.ClientError as error:
            _tell(error, target)
        finally:
            _hang_up(response)

    def _open_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(
                resolver=_PinnedResolver(),
                use_dns_cache=False,
                socket_factory=self._open_socket,
                force_close=True,
                limit=self._max_connections,
                ssl=self._tls or True,
            )
            self._session = aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,
                auto_decompress=False,
                headers={
                    "User-Agent": f"Compressorize/{version('compressorize')}",
                    "Accept-Encoding": "identity",
                },
                read_bufsize=_READ_AHEAD_BYTES,
                max_line_size=MAX_HEADER_BYTES,
                max_field_size=MAX_HEADER_BYTES,
                max_headers=MAX_HEADERS,
            )
        return self._session

    def _open_socket(self, endpoint: aiohttp.AddrInfoType) -> socket.socket:
        """The third gate."""
        family, kind, protocol, _, place = endpoint
        if family not in {socket.AF_INET, socket.AF_INET6} or not self._allowed(ip_address(place[0])):
            raise _ForbiddenSocket("not a public address")
        return socket.socket(family, kind, protocol)

    async def close(self) -> None:
        """End all connections."""
        if self._session is not None:
            await self._session.close()


class _PinnedResolver(AbstractResolver):
    """Gives aiohttp the addresses that were checked for the request under way, and nothing for another host."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Give what was pinned. aiohttp does not ask for hosts that are addresses themselves."""
        pinned_host, addresses = _pinned.get()
        if host != pinned_host:
            raise _ForbiddenSocket("not the host that was checked")
        return [
            {
                "hostname": host,
                "host": str(address),
                "port": port,
                "family": socket.AF_INET if address.version == 4 else socket.AF_INET6,
                "proto": 0,
                "flags": socket.AI_NUMERICHOST,
            }
            for address in addresses
        ]

    async def close(self) -> None:
        """Hold nothing."""


def _hang_up(response: aiohttp.ClientResponse) -> None:
    # A polite end of TLS waits for the other side's, and reads on meanwhile, for up to half a minute.
    if response.connection is not None and response.connection.transport is not None:
        response.connection.transport.abort()
    response.close()


def _tell(error: aiohttp.ClientError, target: Target) -> NoReturn:
    """Say what went wrong in our own words: those of the libraries name addresses."""
    if isinstance(error, aiohttp.ClientConnectorError) and isinstance(error.os_error, _ForbiddenSocket):
        raise ForbiddenUrl(f"The host {target.host} has an address that is not public.") from error
    if isinstance(error, aiohttp.ClientSSLError):
        text = f"The TLS handshake with {target.host} failed."
        if isinstance(error, aiohttp.ClientConnectorCertificateError):
            text = f"The TLS certificate of {target.host} is not valid."
    elif isinstance(error, aiohttp.ConnectionTimeoutError | aiohttp.ClientConnectorError):
        text = f"No connection to {target.host} could be made."
    elif isinstance(error, aiohttp.ServerTimeoutError):
        text = f"The host {target.host} sent nothing for too long."
    else:
        text = f"The answer of {target.host} was broken off or is not valid HTTP."
    raise RequestFailed(text) from error
