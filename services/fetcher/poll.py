"""Ask a feed's server whether the feed has changed, and take its answer apart."""

import hashlib
import time
from http import HTTPStatus
from urllib.parse import urlsplit

import msgspec

from services.fetcher.answer import Answer, read_answer
from services.fetcher.polite import Getter
from services.fetcher.politeness import Held
from services.fetcher.settings import FetcherSettings
from services.fetcher.state import FeedState, settled_redirect
from shared.errors import HalftoneError
from shared.feeds import FeedConfig
from shared.urls import same_origin
from shared.web import PERMANENT
from shared.web import Answer as WebAnswer

ACCEPT = "application/atom+xml, application/rss+xml, application/feed+json, application/xml;q=0.9, */*;q=0.5"
DAY_MS = 86_400_000
REDIRECT_HELD_MS = 3 * DAY_MS  # a permanent redirect is believed once it has held so long
_DELTA = 226  # IM Used (RFC 3229): a feed of only what is new


class PollError(HalftoneError):
    """The feed could not be had; `answer` says what its server wants of us next."""

    def __init__(self, reason: str, answer: Answer) -> None:
        super().__init__(reason)
        self.answer = answer


class Polled(msgspec.Struct, frozen=True, kw_only=True):
    """A feed's answer."""

    url: str  # that answered
    answer: Answer
    content_type: str
    body: bytes  # empty where nothing changed
    body_hash: str
    unchanged: bool  # 304, or the bytes of last time
    home: str  # where to find it next time: after permanent redirects
    moved_to: str | None  # where permanent redirects have led, now or for days already
    links: str = ""  # the `Link` header: where a server may name the hub (WebSub, section 4)


async def poll(web: Getter, settings: FetcherSettings, config: FeedConfig, state: FeedState) -> Polled:
    """Return the feed's answer.

    Raises:
        PollError: There was none, or none that is a feed's.
        Busy: It is not its domain's turn.
    """
    url = address(config, state)
    polled = await get(
        web, settings, url, _headers(config, state, url), known_hash=state.body_hash, proxy=config.proxy or ""
    )
    if url == config.url or polled.moved_to:
        return polled
    return msgspec.structs.replace(polled, moved_to=url)  # it still is where it had moved to


def address(config: FeedConfig, state: FeedState) -> str:
    """Return where the feed is now: where it was subscribed to, or where it has moved to for good."""
    now_ms = time.time_ns() // 1_000_000
    return settled_redirect(state, now_ms=now_ms, after_ms=REDIRECT_HELD_MS) or config.url


async def get(
    web: Getter,
    settings: FetcherSettings,
    url: str,
    headers: dict[str, str],
    *,
    known_hash: str = "",
    proxy: str = "",
) -> Polled:
    """Return what `url` answers; see `poll`."""
    try:
        got = await web.get(
            url,
            max_bytes=settings.feed_max_bytes,
            seconds=settings.feed_seconds,
            headers=headers,
            proxy=proxy,
        )
    except Held as held:
        raise PollError(str(held), Answer(status=held.status, retry_after=held.seconds)) from held
    except HalftoneError as error:
        raise PollError(str(error), Answer()) from error
    answer = read_answer(got.status, got.headers, now_ms=time.time_ns() // 1_000_000)
    if got.status not in {HTTPStatus.OK, HTTPStatus.NOT_MODIFIED, _DELTA}:
        raise PollError(f"{got.url} answered HTTP {_named(got.status)}", answer)
    body_hash = hashlib.sha256(got.body).hexdigest()[:32]
    unchanged = got.status == HTTPStatus.NOT_MODIFIED or body_hash == known_hash
    return Polled(
        url=got.url,
        answer=answer,
        content_type=got.headers.get("content-type", ""),
        body=b"" if unchanged else got.body,
        body_hash=body_hash,
        unchanged=unchanged,
        home=_moved_to(url, got) or url,
        moved_to=_moved_to(url, got),
        links=got.headers.get("link", ""),
    )


def request_headers(config: FeedConfig, url: str) -> dict[str, str]:
    """Return the headers that a request for the feed carries to `url`.

    The subscriber's own may hold a secret: they go to the origin that they were given for and no other.
    """
    agent = {"User-Agent": config.user_agent} if config.user_agent else {}
    own = config.headers if same_origin(url, config.url) else {}
    return {"Accept": ACCEPT, "A-IM": "feed", **agent, **own}


def _headers(config: FeedConfig, state: FeedState, url: str) -> dict[str, str]:
    headers = request_headers(config, url)
    if state.validators.etag:
        headers["If-None-Match"] = state.validators.etag
    if state.validators.last_modified:
        headers["If-Modified-Since"] = state.validators.last_modified
    return headers


def _moved_to(asked: str, got: WebAnswer) -> str | None:
    """Return where the answer came from, if every redirect on the way was permanent.

    Not for an address with a password, which the new one would lack.
    """
    moved = got.hops and all(hop.status in PERMANENT for hop in got.hops)
    return got.url if moved and not urlsplit(asked).username else None


def _named(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)


def alternate_of(alternates: tuple[str, ...], page: Polled) -> str:
    """Return the feed that a page names first.

    Raises:
        PollError: It names only itself.
    """
    found = next((url for url in alternates if url != page.url), None)
    if found is None:
        raise PollError(f"{page.url} is a web page that names only itself as its feed", page.answer)
    return found
