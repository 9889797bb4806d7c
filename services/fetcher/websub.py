"""Have hubs push instead of polling: subscribe where a feed names a hub, and renew in time.

What the hub answers reaches the api at the callback, which writes it into the feed's entry of the bucket `websub`.
Feeds without a hub cost nothing, and the others a look into the bucket only when something is due there.
"""

import re
import time
from urllib.parse import urlsplit

import msgspec
import structlog

from services.fetcher.feed import ParsedFeed
from services.fetcher.politeness import ASIDE, Busy, Politeness
from services.fetcher.state import FeedState, Push
from shared.bus import Bus
from shared.errors import HalftoneError
from shared.guard import Origins, is_public
from shared.topology import WEBSUB
from shared.urls import resolve
from shared.web import Web
from shared.websub import (
    Subscription,
    decode_subscription,
    new_subscription,
    next_request_ms,
    request_form,
    usable_topic,
)

log = structlog.get_logger()
SAFETY_NET_MS = 12 * 3_600_000  # between polls of a feed that is pushed
LOOK_MS = 10 * 60_000  # until the first look whether the hub has confirmed
ANSWER_BYTES = 100_000
HUB_SECONDS = 15.0
_LINK = re.compile(r"<([^>]*)>((?:[^,\"]|\"[^\"]*\")*)")
_REL = re.compile(r";\s*rel\s*=\s*\"?([^\";]*)", re.IGNORECASE)


class Subscriber:
    """Keeps the subscriptions of feeds at their hubs.

    Args:
        bus: Where the api finds what it must know.
        web: Reaches the hubs.
        politeness: One request at a time there too.
        public_url: Of the api, as hubs reach it.
        allowed: Origins whose hubs may be told of a callback that is not public.
    """

    def __init__(
        self, bus: Bus, web: Web, politeness: Politeness, public_url: str, allowed: Origins = frozenset()
    ) -> None:
        self._politeness = politeness
        self._bucket = bus.bucket(WEBSUB)
        self._web = web
        self._public_url = public_url
        self._allowed = allowed

    def named(self, state: FeedState, parsed: ParsedFeed, url: str, links: str) -> FeedState:
        """Return the state with the hub that the feed, just read from `url`, names; its `Link` header goes first."""
        hub, topic = _in_links(links, "hub", url) or parsed.hub, _in_links(links, "self", url) or parsed.self_url
        push = None
        if hub and can_call_back(self._public_url, hub, self._allowed):
            push = Push(hub, usable_topic(topic, url))
            if state.push and (state.push.hub, state.push.topic) == (push.hub, push.topic):
                push = state.push
        return msgspec.structs.replace(state, push=push)

    async def keep(self, feed: int, state: FeedState) -> FeedState:
        """Return the state after a poll with what is known of pushes; the hub is asked if it is time to."""
        if state.push is None or _now_ms() < state.push.look_ms:
            return state
        return msgspec.structs.replace(state, push=await self._look(feed, state.push))

    async def _look(self, feed: int, push: Push) -> Push:
        """Return how the subscription is, after it was asked for anew where that is due."""
        entry = await self._bucket.get(str(feed))
        known = decode_subscription(entry.value) if entry else None
        if known is None or (known.hub, known.topic) != (push.hub, push.topic):
            known = new_subscription(push.hub, push.topic)
        if _now_ms() >= next_request_ms(known):
            known = await self._ask(feed, known)
        confirmed = known.confirmed_ms >= known.requested_ms > 0
        look_ms = next_request_ms(known) if confirmed else _now_ms() + LOOK_MS
        return msgspec.structs.replace(push, look_ms=look_ms, until_ms=known.lease_ms)

    async def _ask(self, feed: int, known: Subscription) -> Subscription:
        """Ask the hub; that it cannot be asked now is no failure of the poll."""
        asked = msgspec.structs.replace(known, requested_ms=_now_ms())
        form = request_form(self._public_url, feed, asked)
        try:
            async with self._politeness.turn(asked.hub, ASIDE) as turn:
                await self._bucket.put(str(feed), msgspec.json.encode(asked))  # first: the hub may verify at once
                answer = await self._web.post(asked.hub, form, max_bytes=ANSWER_BYTES, seconds=HUB_SECONDS)
                turn.answered(answer.status, answer.headers)
        except Busy:
            return known
        except HalftoneError as error:
            log.info("hub not reached", feed=feed, hub=asked.hub, reason=str(error))
            return asked
        log.info("asked hub", feed=feed, hub=asked.hub, status=answer.status)
        entry = await self._bucket.get(str(feed))  # some verify before they answer
        return decode_subscription(entry.value) if entry else asked


def can_call_back(public_url: str, hub: str, allowed: Origins) -> bool:
    """Whether a hub can reach us: a loopback or private address means nothing to one on the Internet."""
    host = urlsplit(public_url).hostname or ""
    target = urlsplit(hub)
    port = target.port or (443 if target.scheme == "https" else 80)
    return bool(host) and ((target.hostname or "", port) in allowed or _is_public_host(host))


def stretched(due_ms: int, push: Push | None, now_ms: int) -> int:
    """Return when a feed is due that would be at `due_ms`: later while its hub pushes, but within the lease."""
    if push is None or push.until_ms <= now_ms:
        return due_ms
    return max(due_ms, min(now_ms + SAFETY_NET_MS, push.look_ms))


def _in_links(header: str, rel: str, url: str) -> str | None:
    """Return the first target of that relation in a `Link` header (RFC 8288)."""
    for target, parameters in _LINK.findall(header):
        found = _REL.search(parameters)
        if found and rel in found.group(1).lower().split():
            return resolve(target, url)
    return None


def _is_public_host(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return False
    try:
        return is_public(host)
    except ValueError:  # a name
        return "." in host


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
