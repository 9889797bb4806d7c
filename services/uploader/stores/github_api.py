"""GitHub's REST and GraphQL APIs over HTTP: paced by the budget, repeated after dropped connections, failures typed."""

import asyncio
import functools
import ssl
import time
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import httpx
import msgspec

from services.uploader.accounts_file import GitHubSettings
from services.uploader.stores import github_budget as rules
from services.uploader.stores.github_budget import Budget, Limits
from services.uploader.stores.store import RateLimited
from services.uploader.stores.turns import Turn
from shared.errors import Retry

PATIENCE_SECONDS = 20.0  # a longer pause is for the uploader to know: other accounts may have rate left
TRIES = 3  # of a request that got a 5xx or no answer
FIRST_BACKOFF = 0.5  # seconds, doubling
TIMEOUT = httpx.Timeout(30.0, connect=5.0)
_RATE_WORDS = ("rate limit", "abuse")


class GitHubApi:
    """One token's access."""

    def __init__(self, settings: GitHubSettings) -> None:
        api = settings.api_url.rstrip("/")
        self._graphql = graphql_url(api)
        self._client = httpx.AsyncClient(
            base_url=api,
            headers={
                "Authorization": f"Bearer {settings.token.reveal()}",
                "Accept": "application/vnd.github+json",
                "X-GitHub-Api-Version": "2022-11-28",
                "User-Agent": "halftone",
            },
            timeout=TIMEOUT,
            verify=tls(),
            trust_env=False,
            follow_redirects=True,  # a renamed repository answers 301
        )
        self.limits = Limits(
            requests_per_hour=settings.requests_per_hour,
            writes_per_minute=settings.writes_per_minute,
            writes_per_hour=settings.writes_per_hour,
            seconds_between_writes=settings.seconds_between_writes,
            seconds_between_commits=settings.seconds_between_commits,
        )
        self._turn: Turn | None = None
        self._alone = Budget()

    @property
    def budget(self) -> Budget:
        """What was spent: the ledger's word while we have the turn."""
        return self._turn.ledger.budget if self._turn else self._alone

    @budget.setter
    def budget(self, budget: Budget) -> None:
        if self._turn:
            self._turn.ledger = msgspec.structs.replace(self._turn.ledger, budget=budget)
        self._alone = budget

    def enter(self, turn: Turn) -> None:
        """Go on with the budget that the last writer left, and what we were told since."""
        told_us = self._alone.blocked_until
        self._turn = turn
        self.budget = msgspec.structs.replace(self.budget, blocked_until=max(told_us, self.budget.blocked_until))

    def leave(self) -> None:
        """End our turn; what we read without one counts in this replica alone."""
        self._turn = None

    async def commit_allowed(self) -> None:
        """Wait until the next commit may begin. Raises `RateLimited` where that is long."""
        await self._pause(rules.commit_wait(self.budget, self.limits, time.time()))

    def committed(self) -> None:
        """Note that a branch moved."""
        self.budget = rules.committed(self.budget, time.time())

    async def graphql(self, query: str, variables: Mapping[str, Any], *, write: bool) -> httpx.Response:
        """Ask the GraphQL API."""
        return await self.ask("POST", self._graphql, {"query": query, "variables": variables}, write=write)

    async def read(
        self, path: str, params: Mapping[str, str] | None = None, *, accept: str | None = None
    ) -> httpx.Response:
        """GET a path below the API's root."""
        return await self.ask("GET", path, None, params=params, headers={"Accept": accept} if accept else None)

    async def ask(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None,
        *,
        write: bool = False,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """Return the answer: any status below 500 but those that refuse the token or the rate.

        Every request that we make may be repeated: what it makes is named by its content.

        Raises:
            RateLimited: No rate left, by our count or by the server's word.
            Retry: No answer, a 5xx three times, or the token is refused.
        """
        if self._client.is_closed:
            raise Retry(f"GitHub {method} {path}: the uploader is stopping")
        failure = ""
        for attempt in range(TRIES):
            if attempt:
                await asyncio.sleep(FIRST_BACKOFF * 2 ** (attempt - 1))
            await self._afford(write=write)
            try:
                answer = await self._client.request(method, path, json=body, params=params, headers=headers)
            except httpx.TransportError as error:
                failure = f"no answer ({type(error).__name__})"
                continue
            self._learn(f"GitHub {method} {path}", answer)
            if (
                answer.status_code < HTTPStatus.INTERNAL_SERVER_ERROR
                or answer.status_code == HTTPStatus.NOT_IMPLEMENTED
            ):
                return answer
            failure = f"HTTP {answer.status_code}"
        raise Retry(f"GitHub {method} {path}: {failure}")

    async def close(self) -> None:
        """Let go of the connections."""
        await self._client.aclose()

    async def _afford(self, *, write: bool) -> None:
        while pause := rules.wait(self.budget, self.limits, time.time(), write=write):
            await self._pause(pause)
        if write and self._turn and not self._turn.held:
            raise Retry("GitHub: we were away for so long that another uploader may be writing")
        self.budget = rules.spent(self.budget, time.time(), write=write)

    async def _pause(self, seconds: float) -> None:
        if seconds > PATIENCE_SECONDS:
            raise RateLimited(f"GitHub: no rate left for {seconds:.0f} s", after=seconds)
        await asyncio.sleep(seconds)

    def _learn(self, what: str, answer: httpx.Response) -> None:
        limited = answer.status_code == HTTPStatus.TOO_MANY_REQUESTS or (
            answer.status_code == HTTPStatus.FORBIDDEN and _is_about_rate(answer)
        )
        now = time.time()
        self.budget = rules.told(self.budget, answer.headers, now, refused=limited)
        if limited:
            pause = rules.wait(self.budget, self.limits, now, write=True)
            raise RateLimited(f"{what}: no rate left ({answer.status_code})", after=pause)
        if answer.status_code in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            raise Retry(f"{what}: token refused ({answer.status_code})")


@functools.cache
def tls() -> ssl.SSLContext:
    """Return the certificates that we trust; reading them takes longer than most requests."""
    return httpx.create_ssl_context(trust_env=False)


def graphql_url(api: str) -> str:
    """Return where GraphQL is: beside REST's `/api/v3` on an Enterprise Server, below REST's root elsewhere."""
    return f"{api.removesuffix('/v3')}/graphql"


def _is_about_rate(answer: httpx.Response) -> bool:
    """Tell a limit from a lack of permission: GitHub answers 403 to both."""
    if "retry-after" in answer.headers or answer.headers.get("x-ratelimit-remaining") == "0":
        return True
    return any(word in answer.text.lower() for word in _RATE_WORDS)
