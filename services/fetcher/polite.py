"""The outbound client as polls use it: each request waits for its domain's turn."""

from collections.abc import Mapping
from typing import Protocol

from services.fetcher.politeness import Manner, Politeness
from shared.metrics import Stopwatch
from shared.web import Answer, Web


class Getter(Protocol):
    """What gets a URL: `Web`, or `PoliteWeb`."""

    async def get(
        self, url: str, *, max_bytes: int, seconds: float, headers: Mapping[str, str] | None = None, proxy: str = ""
    ) -> Answer:
        """See `Web.get`."""
        ...


class PoliteWeb:
    """Gets URLs for one poll.

    Args:
        web: Does it.
        politeness: Gives out the turns.
        manner: How they are waited for.
    """

    def __init__(self, web: Web, politeness: Politeness, manner: Manner) -> None:
        self._web = web
        self._politeness = politeness
        self._manner = manner
        self.took_ms = 0  # all exchanges together, without the waiting

    async def get(
        self, url: str, *, max_bytes: int, seconds: float, headers: Mapping[str, str] | None = None, proxy: str = ""
    ) -> Answer:
        """Return the answer; see `Web.get` and `Politeness.turn` for what else it raises."""
        async with self._politeness.turn(url, self._manner) as turn:
            watch = Stopwatch()
            try:
                answer = await self._web.get(url, max_bytes=max_bytes, seconds=seconds, headers=headers, proxy=proxy)
            finally:
                self.took_ms += watch.ms
            turn.answered(answer.status, answer.headers)
        return answer
