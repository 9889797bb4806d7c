"""Who may do what: everybody on this machine while there is no token, bearers of tokens from then on."""

import time
from typing import Any
from urllib.parse import urlsplit

from litestar.connection import ASGIConnection
from litestar.exceptions import (
    HTTPException,
    NotAuthorizedException,
    PermissionDeniedException,
    TooManyRequestsException,
)
from litestar.handlers import BaseRouteHandler

from services.api.database import Database
from services.api.settings import ApiSettings
from services.api.tokens import Token, allows, any_token, check_token, ever_a_token
from shared.errors import Misconfigured

COOKIE = "halftone"
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
REMEMBERED_SECONDS = 2.0  # for which a checked token is not looked up again
BURST_SECONDS = 10.0  # how much of the allowance may be used at once
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})

Connection = ASGIConnection[Any, Any, Any, Any]


class Doorkeeper:
    """Lets requests in; `per_minute` is each token's allowance."""

    def __init__(self, database: Database, settings: ApiSettings) -> None:
        self._database = database
        self._own_hosts = LOOPBACK | {urlsplit(settings.url).hostname or ""}
        self._own_netloc = urlsplit(settings.url).netloc
        self._per_second = settings.requests_per_minute / 60
        self._listens_to_all = settings.http_host not in LOOPBACK
        self._checked: dict[str, tuple[float, Token | None]] = {}
        self._closed: tuple[float, bool] = (0.0, False)
        self._used: dict[int, tuple[float, float]] = {}  # token → when it was last used, requests that count still

    async def is_closed(self) -> bool:
        """Tell whether tokens are asked for: from the first one on, and the last one's end opens no door."""
        if self._listens_to_all:
            return True
        at, closed = self._closed
        if time.monotonic() - at > REMEMBERED_SECONDS:
            closed = await ever_a_token(self._database)
            self._closed = (time.monotonic(), closed)
        return closed

    async def token(self, token: str) -> Token | None:
        """Return the token where it is one of ours."""
        at, known = self._checked.get(token, (0.0, None))
        if time.monotonic() - at > REMEMBERED_SECONDS or not at:
            if len(self._checked) > 1_000:  # noqa: PLR2004 - guesses must not fill the memory
                self._checked.clear()
            known = await check_token(self._database, token)
            self._checked[token] = (time.monotonic(), known)
        return known

    def spend(self, token: Token) -> None:
        """Count one request against the token's allowance (a leaky bucket).

        Raises:
            TooManyRequestsException: It is used up.
        """
        now = time.monotonic()
        at, level = self._used.get(token.id, (now, 0.0))
        level = 1 + max(0.0, float(level) - (now - at) * self._per_second)
        if level > self._per_second * BURST_SECONDS:
            raise TooManyRequestsException(
                "this token has used up its requests for now: see HALFTONE_REQUESTS_PER_MINUTE",
                headers={"Retry-After": "1"},
            )
        self._used[token.id] = (now, level)

    async def admit(self, connection: Connection, wanted: str) -> None:
        """Let a request in, or say why not.

        Raises:
            HTTPException: 421, nobody has a token yet, and the request names another host than this one.
            NotAuthorizedException: A token is needed.
            PermissionDeniedException: The token's scope does not hold the wanted one.
            TooManyRequestsException: The token's allowance is used up.
        """
        if not await self.is_closed():
            if not self._own_host(connection.headers.get("host", "")):
                raise HTTPException(
                    "without tokens only this machine is served: make one with `halftone tokens new`, or set "
                    "HALFTONE_PUBLIC_URL to the name that you use",
                    status_code=421,
                )
            return
        token = await self.token(bearer(connection))
        if token is None:
            raise NotAuthorizedException(
                "send `Authorization: Bearer <token>`; `halftone tokens new` makes one",
                headers={"WWW-Authenticate": "Bearer"},
            )
        if not allows(token.scope, wanted):
            raise PermissionDeniedException(f"this token may {token.scope}; this takes one that may {wanted}")
        self.spend(token)

    async def still_lets_in(self, connection: Connection) -> bool:
        """Tell, during a long answer, whether the token with which the request came has its rights still."""
        return not await self.is_closed() or await self.token(bearer(connection)) is not None

    def is_from_elsewhere(self, connection: Connection) -> bool:
        """Tell whether a page of another origin sent the request.

        Browsers say so in `Sec-Fetch-Site`, and where an address is neither https nor loopback in `Origin` alone.
        """
        site = connection.headers.get("sec-fetch-site")
        if site is not None:
            return site not in {"none", "same-origin"}
        origin = connection.headers.get("origin")
        own = {self._own_netloc, connection.headers.get("host", "")}
        return origin is not None and origin.partition("//")[2] not in own

    def _own_host(self, host: str) -> bool:
        """Tell whether a `Host` header names this service: another name means a page that rebinds its DNS to us."""
        try:
            return (urlsplit(f"//{host}").hostname or "") in self._own_hosts
        except ValueError:  # brackets around what is no IPv6 address
            return False


async def let_in(connection: Connection, handler: BaseRouteHandler) -> None:
    """Guard of every route: `scope` in its options says what it takes; `public` asks for nothing.

    Raises:
        NotAuthorizedException, PermissionDeniedException, TooManyRequestsException: See `Doorkeeper.admit`.
    """
    keeper: Doorkeeper = connection.app.state.doorkeeper
    if handler.opt.get("public"):
        return
    scope = handler.opt.get("scope")
    changes = connection.scope.get("method") not in _SAFE or scope not in {None, "read"}
    if changes and keeper.is_from_elsewhere(connection):
        raise PermissionDeniedException("another site sent this request: open Halftone's own page")
    await keeper.admit(connection, scope or ("write" if changes else "read"))


def bearer(connection: Connection) -> str:
    """Return the token that a request carries in its header, or in the page's cookie."""
    kind, _, value = connection.headers.get("authorization", "").partition(" ")
    return value.strip() if kind.lower() == "bearer" else connection.cookies.get(COOKIE, "")


async def check_address(database: Database, host: str) -> None:
    """Refuse to listen for others while everybody would be let in.

    Raises:
        Misconfigured: There is no token and `host` is not loopback.
    """
    if host not in LOOPBACK and not await any_token(database):
        raise Misconfigured(
            f"{host} (--host, HALFTONE_HTTP_HOST) is open to others and there is no token: whoever reaches it could do "
            "anything. Make one with `halftone tokens new`, or listen on 127.0.0.1"
        )
