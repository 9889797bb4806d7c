"""Which addresses may be reached: public ones only, checked where the connection is made (against SSRF).

The ranges are those of the IANA special-purpose registries (RFC 6890 and successors), and what some of them
wrap: `ipaddress.is_global` alone lets NAT64, 6to4 and a cloud's metadata address through.
"""

import asyncio
import ipaddress
import re
import socket
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import cast
from urllib.parse import urlsplit

import httpcore
from httpcore import AsyncNetworkStream

from shared.errors import Misconfigured, Reject, Retry
from shared.urls import clean_host

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolve = Callable[[str, int], Awaitable[list[str]]]
Origins = frozenset[tuple[str, int]]  # (host, port) as URLs name them

_IPV6_GLOBAL = ipaddress.IPv6Network("2000::/3")
_NEVER = [
    ipaddress.ip_network(text)
    for text in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "168.63.129.16/32",  # a cloud's metadata and DNS service on a public address
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/3",  # multicast, reserved, broadcast
        "2001::/23",  # Teredo and other IETF protocol assignments
        "2001:db8::/32",
        "2002::/16",  # 6to4 wraps an IPv4 address
        "2620:4f:8000::/48",
        "3fff::/20",
    )
]
_RESOLVERS = ThreadPoolExecutor(32, thread_name_prefix="resolve")  # a slow name must not stop the others
_RESOLVE_SECONDS = 10.0
_MAX_PORT = 65535
_DEFAULT_PORTS = {"http": 80, "https": 443}
_OCTET = r"(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)"
_LITERAL = re.compile(rf"{_OCTET}(?:\.{_OCTET}){{3}}", re.ASCII)  # the one spelling that all read alike


class Blocked(Reject):
    """The URL leads where we do not go."""


class Unreachable(Retry):
    """The server did not answer as a server should: no such host, refused, reset, too slow."""


def is_public(text: str) -> bool:
    """Whether an address literal is one of the public Internet's."""
    address: Address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return is_public(str(address.ipv4_mapped))
        if address not in _IPV6_GLOBAL:
            return False
    return not any(address.version == network.version and address in network for network in _NEVER)


async def resolve(host: str, port: int) -> list[str]:
    """Return the host's addresses, as the system resolves it.

    Raises:
        Unreachable: There is no such host, or no answer within 10 s.
    """
    if _LITERAL.fullmatch(host):  # nothing to ask, hence no thread to wait for
        return [host]
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(_RESOLVE_SECONDS):
            found = await loop.run_in_executor(_RESOLVERS, _getaddrinfo, host, port)
    except TimeoutError:
        raise Unreachable(f"no answer from the DNS for {host}") from None
    except (OSError, ValueError) as error:  # ValueError: it cannot be a host, by its characters
        raise Unreachable(f"no such host: {host}") from error
    return list(dict.fromkeys(found))


def _getaddrinfo(host: str, port: int) -> list[str]:
    return [str(entry[4][0]) for entry in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


class GuardedBackend(httpcore.AsyncNetworkBackend):
    """Opens TCP connections to public addresses, and to the few origins that were allowed by name."""

    def __init__(
        self, allowed: Origins, resolver: Resolve = resolve, backend: httpcore.AsyncNetworkBackend | None = None
    ) -> None:
        self._allowed = allowed
        self._resolve = resolver
        network = cast("httpcore.AsyncNetworkBackend", httpcore.AnyIOBackend())  # its type depends on imports
        self._backend = backend or network

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's signature
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> AsyncNetworkStream:
        """Connect to the first of the host's addresses that answers, after all of them were checked.

        Raises:
            Blocked: One of the addresses is not public.
            Unreachable: None of them answered.
        """
        addresses = await self.check(host, port)
        problem: Exception | None = None
        for address in addresses:
            try:
                return await self._backend.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                problem = error
        raise Unreachable(f"cannot connect to {host}:{port}: {_why(problem)}") from problem

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's signature
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> AsyncNetworkStream:
        """Refuse: no feed lives there."""
        del timeout, socket_options
        raise Blocked(f"not on the network: {path}")

    async def sleep(self, seconds: float) -> None:
        """Sleep."""
        await asyncio.sleep(seconds)

    async def check(self, host: str, port: int) -> list[str]:
        """Return the host's addresses, all of which may be reached.

        Raises:
            Blocked: One of the addresses is not public.
            Unreachable: There is none.
        """
        addresses = await self._resolve(host, port)
        _check(addresses, host, port, self._allowed)
        return addresses


def check_address(url: str, allowed: Origins) -> None:
    """Refuse a URL whose host, without asking the DNS, is known not to be public: an address, or `localhost`.

    Raises:
        Blocked: It is none of the public Internet's, nor allowed.
        ValueError: `url` is no absolute http or https URL.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    address = _address(host.rstrip("."))
    if address:
        port = _DEFAULT_PORTS[parts.scheme] if parts.port is None else parts.port
        _check([address], host, port, allowed)


def _check(addresses: Iterable[str], host: str, port: int, allowed: Origins) -> None:
    if (host.lower(), port) in allowed:
        return
    for address in addresses:
        if not is_public(address):
            origin = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
            raise Blocked(
                f"{origin} is not on the public Internet ({address}); "
                f"if it is yours, allow it with --allow-host {origin} or HALFTONE_ALLOW_HOSTS"
            )


def _address(host: str) -> str | None:
    """Return the address that the host is, in whichever spelling; None for a name."""
    if host == "localhost" or host.endswith(".localhost"):  # RFC 6761, section 6.3
        return "127.0.0.1"
    with suppress(ValueError):
        return str(ipaddress.ip_address(host))
    with suppress(OSError):
        return socket.inet_ntoa(socket.inet_aton(host))
    return None


def _why(error: Exception | None) -> str:
    if isinstance(error, httpcore.ConnectTimeout):
        return "timed out"
    return "refused" if "failed" in str(error) else str(error) or "no address"


def parse_origins(text: str) -> Origins:
    """Return the origins named in `HOST:PORT HOST:PORT …` (commas or spaces between).

    Raises:
        Misconfigured: One of them is no HOST:PORT.
    """
    return frozenset(_origin(item) for item in text.replace(",", " ").split())


def _origin(item: str) -> tuple[str, int]:
    host, _, port = item.rpartition(":")
    host = host.strip("[]")
    try:
        return clean_host(f"[{host}]" if ":" in host else host).strip("[]"), _port(port)
    except ValueError as error:
        raise Misconfigured(f"HALFTONE_ALLOW_HOSTS or --allow-host: {item!r} is not HOST:PORT") from error


def _port(text: str) -> int:
    if not (text.isdecimal() and 0 < int(text) <= _MAX_PORT):
        raise ValueError("no port")
    return int(text)
