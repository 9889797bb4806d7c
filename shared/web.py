"""The outbound HTTP client: public addresses only, with limits on size, time and redirects."""

import asyncio
import base64
import re
from collections.abc import Mapping, Sequence
from typing import Self
from urllib.parse import unquote

import httpcore
import httpx
import msgspec

from shared.guard import Blocked, GuardedBackend, Origins, Resolve, Unreachable, resolve
from shared.inflate import ACCEPT_ENCODING, Inflater
from shared.urls import same_origin

USER_AGENT = "Halftone/0.1 (+https://github.com/halftone/halftone)"
MAX_REDIRECTS = 10
PERMANENT = frozenset({301, 308})
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_USERINFO = re.compile(r"\A((?:[^/?#:]*:)?/*)[^/?#]*@")
_IDLE_SECONDS = 20.0  # for a connection, and between two pieces of a body
_KEEP_ALIVE_SECONDS = 30.0


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
        keep_alive: Idle ones at the most, kept for the next request to the same host. The pool looks at each of them
            with every request: keep few where the hosts are many.
        proxies: URLs of proxies that may be used although they are not public: the operator's own.
        backend: Opens the connections that the guard lets through; None: the network.
    """

    def __init__(
        self,
        allowed: Origins = frozenset(),
        *,
        resolver: Resolve = resolve,
        connections: int = 100,
        keep_alive: int = 50,
        proxies: Sequence[str] = (),
        backend: httpcore.AsyncNetworkBackend | None = None,
    ) -> None:
        self._connections = connections
        self._guard = GuardedBackend(allowed, resolver, backend)
        self._proxy_guard = GuardedBackend(allowed | {_origin(_checked(proxy)) for proxy in proxies}, resolver, backend)
        self._direct = _GuardedTransport(_pool(self._guard, connections, keep_alive))
        self._proxied: dict[str, _GuardedTransport] = {}

    async def get(
        self, url: str, *, max_bytes: int, seconds: float, headers: Mapping[str, str] | None = None, proxy: str = ""
    ) -> Answer:
        """Return the answer to a GET, redirects followed, the body inflated.

        Args:
            url: http or https; a user and password in it are told to its own origin alone (RFC 7617).
            max_bytes: Of the inflated body.
            seconds: For everything together.
            headers: Besides our own, or instead of them; dropped when a redirect leaves the origin, but for the
                Referer. Those that frame the message (`Host`, `Content-Length` …) stay ours.
            proxy: URL of the HTTP proxy to go through; it is handed names whose addresses we have checked.

        Raises:
            Blocked: The URL, or one that it redirects to, leads where we do not go.
            TooLarge: The body is over `max_bytes`.
            BadEncoding: The body is not what its Content-Encoding says.
            Unreachable: No proper answer, or not in time.
        """
        target, credentials = _without_user(_checked(url))
        sent = httpx.Headers({**credentials, **_changeable(headers or {})})
        try:
            async with asyncio.timeout(seconds):
                return await self._follow(target, max_bytes, sent, proxy)
        except TimeoutError:
            raise Unreachable(f"{target}: no complete answer within {seconds:.0f} s") from None

    async def post(self, url: str, form: Mapping[str, str], *, max_bytes: int, seconds: float) -> Answer:
        """Return the answer to a form that is sent once: redirects are not followed; raises as `get` does."""
        target, credentials = _without_user(_checked(url))
        request = _request(target, httpx.Headers(credentials), httpx.Cookies(), form)
        try:
            async with asyncio.timeout(seconds):
                response = await self._send(request, "")
                try:
                    body = await _read(response, max_bytes, str(target))
                finally:
                    await response.aclose()
        except TimeoutError:
            raise Unreachable(f"{target}: no complete answer within {seconds:.0f} s") from None
        return Answer(response.status_code, str(target), response.headers, body)

    async def close(self) -> None:
        """Close all connections."""
        for transport in (self._direct, *self._proxied.values()):
            await transport.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _follow(self, url: httpx.URL, max_bytes: int, headers: httpx.Headers, proxy: str) -> Answer:
        hops: list[Hop] = []
        cookies = httpx.Cookies()  # for this request alone
        while True:
            request = _request(url, headers, cookies)
            response = await self._send(request, proxy)
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
            (url, _), previous = _without_user(_checked(target, base=url)), url  # a stranger's password is nobody's
            if not same_origin(str(url), str(previous)):
                headers = httpx.Headers([pair for pair in headers.items() if pair[0].lower() in _CROSS_ORIGIN])

    async def _send(self, request: httpx.Request, proxy: str) -> httpx.Response:
        transport = self._direct
        if proxy:
            await self._guard.check(*_origin(request.url))
            transport = self._through(proxy)
        try:
            response = await transport.handle_async_request(request)
        except httpx.TransportError as error:
            raise Unreachable(f"{request.url}: {_reason(error)}") from error
        response.request = request
        return response

    def _through(self, proxy: str) -> "_GuardedTransport":
        if proxy not in self._proxied:
            url, credentials = _without_user(_checked(proxy))
            pool = _proxy_pool(self._proxy_guard, self._connections, url, credentials)
            self._proxied[proxy] = _GuardedTransport(pool)
        return self._proxied[proxy]


_CROSS_ORIGIN = frozenset({"accept", "referer", "user-agent"})
_FRAMING = frozenset({"accept-encoding", "connection", "content-length", "host", "te", "trailer", "transfer-encoding"})


class _GuardedTransport(httpx.AsyncHTTPTransport):
    """httpx's own transport on a pool whose connections the guard opens."""

    def __init__(self, pool: httpcore.AsyncConnectionPool) -> None:
        super().__init__(verify=_SSL)
        self._pool = pool


_SSL = httpx.create_ssl_context(trust_env=False)


def _pool(backend: httpcore.AsyncNetworkBackend, connections: int, keep_alive: int) -> httpcore.AsyncConnectionPool:
    return httpcore.AsyncConnectionPool(
        ssl_context=_SSL,
        max_connections=connections,
        max_keepalive_connections=keep_alive,
        keepalive_expiry=_KEEP_ALIVE_SECONDS,
        network_backend=backend,
    )


def _proxy_pool(
    backend: httpcore.AsyncNetworkBackend, connections: int, proxy: httpx.URL, credentials: Mapping[str, str]
) -> httpcore.AsyncConnectionPool:
    return httpcore.AsyncHTTPProxy(
        str(proxy),
        proxy_headers=[(b"Proxy-Authorization", value.encode()) for value in credentials.values()],
        ssl_context=_SSL,
        proxy_ssl_context=_SSL if proxy.scheme == "https" else None,
        max_connections=connections,
        keepalive_expiry=_KEEP_ALIVE_SECONDS,
        network_backend=backend,
    )


def _origin(url: httpx.URL) -> tuple[str, int]:
    return url.raw_host.decode("ascii"), url.port or (443 if url.scheme == "https" else 80)


def _without_user(url: httpx.URL) -> tuple[httpx.URL, dict[str, str]]:
    """Return the URL without its user and password, and the header that says them: Basic, UTF-8 (RFC 7617)."""
    if not url.userinfo:
        return url, {}
    user, _, password = url.userinfo.decode("ascii").partition(":")
    secret = base64.b64encode(f"{unquote(user)}:{unquote(password)}".encode()).decode("ascii")
    return url.copy_with(userinfo=b""), {"Authorization": f"Basic {secret}"}


def _changeable(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.lower() not in _FRAMING}


def _checked(url: str, base: httpx.URL | None = None) -> httpx.URL:
    """Return the URL, made absolute.

    Raises:
        Blocked: It is no http or https URL with a host.
    """
    try:
        parsed = base.join(url) if base is not None else httpx.URL(url)
    except (httpx.InvalidURL, UnicodeError, ValueError) as error:
        raise Blocked(f"not a URL: {_public(url)}: {error}") from error
    if parsed.scheme not in {"http", "https"} or not parsed.host:
        raise Blocked(f"not an http or https URL: {_public(str(parsed))}")
    return parsed


def _public(url: str) -> str:
    """Return the start of what may be no URL for people to read, without user and password."""
    return _USERINFO.sub(r"\1", url)[:200]


def _request(
    url: httpx.URL, headers: httpx.Headers, cookies: httpx.Cookies, form: Mapping[str, str] | None = None
) -> httpx.Request:
    all_headers = httpx.Headers({"User-Agent": USER_AGENT, "Accept": "*/*", "Accept-Encoding": ACCEPT_ENCODING})
    all_headers.update(headers)
    request = httpx.Request(
        "GET" if form is None else "POST",
        url.copy_with(fragment=None),
        headers=all_headers,
        data=form,
        extensions={"timeout": httpx.Timeout(_IDLE_SECONDS).as_dict()},
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
