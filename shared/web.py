"""The outbound HTTP client: public addresses only, with limits on size, time and redirects."""

import asyncio
from collections.abc import Mapping
from typing import Self

import httpcore
import httpx
import msgspec

from shared.guard import Blocked, GuardedBackend, Origins, Resolve, Unreachable, resolve
from shared.inflate import ACCEPT_ENCODING, Inflater

USER_AGENT = "Halftone/0.1 (+https://github.com/halftone/halftone)"
MAX_REDIRECTS = 10
PERMANENT = frozenset({301, 308})
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_IDLE_SECONDS = 20.0  # for a connection, and between two pieces of a body


class Hop(msgspec.Struct, frozen=True):
    """A redirect that was followed."""

    status: int
    url: str  # that redirected


class Answer(msgspec.Struct, frozen=True):
    """What came of a GET in the end."""

    status: int
    url: str  # that answered, after redirects
    headers: httpx.Headers
    body: bytes  # inflated
    hops: tuple[Hop, ...] = ()

    @property
    def statuses(self) -> tuple[int, ...]:
        """The status of every response on the way, the last included."""
        return (*(hop.status for hop in self.hops), self.status)


class Web:
    """Gets URLs that strangers wrote.

    Args:
        allowed: Origins that may be reached although they are not public.
        resolver: How hosts become addresses.
        connections: At the most, over all hosts.
    """

    def __init__(self, allowed: Origins = frozenset(), *, resolver: Resolve = resolve, connections: int = 100) -> None:
        self._transport = _GuardedTransport(GuardedBackend(allowed, resolver), connections)

    async def get(
        self, url: str, *, max_bytes: int, seconds: float, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Return the answer to a GET, redirects followed, the body inflated.

        Args:
            url: http or https.
            max_bytes: Of the inflated body.
            seconds: For everything together.
            headers: Besides our own; dropped when a redirect leaves the origin, but for the Referer.

        Raises:
            Blocked: The URL, or one that it redirects to, leads where we do not go.
            TooLarge: The body is over `max_bytes`.
            BadEncoding: The body is not what its Content-Encoding says.
            Unreachable: No proper answer, or not in time.
        """
        try:
            async with asyncio.timeout(seconds):
                return await self._follow(_checked(url), max_bytes, dict(headers or {}))
        except TimeoutError:
            raise Unreachable(f"{url}: no complete answer within {seconds:.0f} s") from None

    async def close(self) -> None:
        """Close all connections."""
        await self._transport.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _follow(self, url: httpx.URL, max_bytes: int, headers: dict[str, str]) -> Answer:
        hops: list[Hop] = []
        cookies = httpx.Cookies()  # for this request alone
        while True:
            request = _request(url, headers, cookies)
            response = await self._send(request)
            try:
                target = response.headers.get("location")
                if response.status_code not in _REDIRECTS or not target:
                    body = await _read(response, max_bytes, str(url))
                    return Answer(response.status_code, str(url), response.headers, body, tuple(hops))
            finally:
                await response.aclose()
            hops.append(Hop(response.status_code, str(url)))
            if len(hops) > MAX_REDIRECTS:
                raise Blocked(f"{hops[0].url}: more than {MAX_REDIRECTS} redirects")
            cookies.extract_cookies(response)
            url, previous = _checked(target, base=url), url
            if (url.scheme, url.host, url.port) != (previous.scheme, previous.host, previous.port):
                headers = {name: value for name, value in headers.items() if name.lower() in _CROSS_ORIGIN}

    async def _send(self, request: httpx.Request) -> httpx.Response:
        try:
            response = await self._transport.handle_async_request(request)
        except httpx.TransportError as error:
            raise Unreachable(f"{request.url}: {_reason(error)}") from error
        response.request = request
        return response


_CROSS_ORIGIN = frozenset({"accept", "referer", "user-agent"})


class _GuardedTransport(httpx.AsyncHTTPTransport):
    """httpx's own transport, its connections opened by the guard."""

    def __init__(self, backend: httpcore.AsyncNetworkBackend, connections: int) -> None:
        super().__init__(trust_env=False)
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=httpx.create_ssl_context(trust_env=False),
            max_connections=connections,
            max_keepalive_connections=connections // 2,
            keepalive_expiry=30.0,
            network_backend=backend,
        )


def _checked(url: str, base: httpx.URL | None = None) -> httpx.URL:
    """Return the URL, made absolute.

    Raises:
        Blocked: It is no http or https URL with a host.
    """
    try:
        parsed = base.join(url) if base is not None else httpx.URL(url)
    except (httpx.InvalidURL, UnicodeError, ValueError) as error:
        raise Blocked(f"not a URL: {url[:200]}: {error}") from error
    if parsed.scheme not in {"http", "https"} or not parsed.host:
        raise Blocked(f"not an http or https URL: {str(parsed)[:200]}")
    return parsed


def _request(url: httpx.URL, headers: Mapping[str, str], cookies: httpx.Cookies) -> httpx.Request:
    timeout = httpx.Timeout(_IDLE_SECONDS).as_dict()
    request = httpx.Request(
        "GET",
        url.copy_with(fragment=None),
        headers={"User-Agent": USER_AGENT, "Accept": "*/*", "Accept-Encoding": ACCEPT_ENCODING, **headers},
        extensions={"timeout": timeout},
    )
    cookies.set_cookie_header(request)
    return request


async def _read(response: httpx.Response, max_bytes: int, url: str) -> bytes:
    inflater = Inflater(response.headers.get("content-encoding", ""), max_bytes, url)
    try:
        return b"".join([inflater.feed(chunk) async for chunk in response.aiter_raw()])
    except httpx.TransportError as error:
        raise Unreachable(f"{url}: the answer broke off: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    if isinstance(error, httpx.TimeoutException):
        return "too slow"
    return str(error) or type(error).__name__
