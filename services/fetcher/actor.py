"""The fetcher: a feed is due ─▶ ask its server ─▶ read it ─▶ tell what is new ─▶ remember ─▶ schedule the next poll.

A feed whose server is being asked enough already is put off for a while, and holds nobody up.
"""

import asyncio
import hashlib
import os
import random
import secrets
import socket
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime
from urllib.parse import urlsplit

import msgspec
import structlog

from services.fetcher import announce
from services.fetcher import state as states
from services.fetcher.answer import Answer
from services.fetcher.feed import ParsedFeed
from services.fetcher.pages import Page
from services.fetcher.polite import Getter, PoliteWeb
from services.fetcher.politeness import ASIDE, ASKED, SCHEDULED, Busy, Politeness
from services.fetcher.poll import Polled, PollError, alternate_of, get, poll, request_headers
from services.fetcher.schedule import next_poll
from services.fetcher.settings import FetcherSettings
from services.fetcher.site import READ, Site
from services.fetcher.websub import Subscriber, stretched
from shared import metrics, tracing
from shared.actor import Actor, Envelope
from shared.bus import Bus
from shared.errors import HalftoneError, Reject, Retry
from shared.feeds import FeedConfig, decode_config
from shared.guard import parse_origins
from shared.messages import AnyMessage, FeedDue, FeedPolled, Message
from shared.sandbox import Sandbox, confinement_level
from shared.topology import FEED_CONFIGS, FEED_STATES, FETCHER
from shared.web import Web
from shared.working import Working

log = structlog.get_logger()
PARSE = "services.fetcher.parsing:parse"  # what the sandbox runs
DEFAULT_CONCURRENCY = 32
KEEP_ALIVE = 4  # connections: the next feed is at another host
_JITTER = random.Random()  # noqa: S311 - not a secret
PARSES_PER_CHILD = 500  # then a fresh one: whatever a parser leaks goes with it


class Outcome(msgspec.Struct, frozen=True):
    """What a poll came to."""

    about: FeedPolled
    after: states.FeedState
    answer: Answer
    articles: Sequence[Message] = ()
    jobs: Sequence[Message] = ()


class Fetcher:
    """Polls one feed per message."""

    consumer = FETCHER
    max_tries = 5

    def __init__(
        self,
        bus: Bus,
        web: Web,
        parser: Sandbox[ParsedFeed],
        settings: FetcherSettings,
        site: Site | None = None,  # None: no page is looked at
    ) -> None:
        self._bus = bus
        self._site = site
        self._web = web
        self._parser = parser
        self._settings = settings
        self._configs = bus.bucket(FEED_CONFIGS)
        self._states = bus.bucket(FEED_STATES)
        me = f"{settings.instance}.{secrets.token_hex(4)}"
        self._politeness = Politeness(bus, rate=settings.host_rate, me=me)
        allowed = parse_origins(settings.allow_hosts)
        self._hubs = Subscriber(bus, web, self._politeness, settings.public_url, allowed)
        self._address_md5 = hashlib.md5(_own_address(settings.nats_url).encode(), usedforsecurity=False).hexdigest()

    async def handle(self, message: AnyMessage, envelope: Envelope) -> AsyncIterator[Sequence[Message]]:
        """Poll the feed; see `Handler.handle`."""
        assert isinstance(message, FeedDue)  # noqa: S101 - its subject holds nothing else
        config = await self._config(message.feed)
        if config is None and message.request_id:
            raise Reject(f"there is no feed {message.feed}: it was removed")
        if config is None or (config.paused and not message.request_id):
            return  # removed or paused since it was scheduled
        try:
            outcome = await self._poll(config, await self._state(message.feed), self._about(message, envelope))
        except Busy as busy:
            metrics.POLLS.labels("put off").inc()
            await self._bus.schedule(message, datetime.fromtimestamp(busy.at_ms / 1000, UTC))
            return
        if config.subscribed and not config.paused:
            outcome = msgspec.structs.replace(outcome, after=await self._hubs.keep(message.feed, outcome.after))
        due_ms = _due(config, outcome)
        yield outcome.articles
        yield outcome.jobs
        yield [msgspec.structs.replace(outcome.about, next_ms=due_ms)]
        await self._remember(message.feed, outcome.after, due_ms)

    def settle_failed(self, message: AnyMessage, envelope: Envelope, error: Reject | Retry) -> Sequence[Message]:
        """Say that the poll failed; see `Handler.settle_failed`."""
        if not isinstance(message, FeedDue):
            return []
        return [msgspec.structs.replace(self._about(message, envelope), ok=False, error=str(error))]

    async def _poll(self, config: FeedConfig, state: states.FeedState, about: FeedPolled) -> Outcome:
        """Return what the poll came to, failures too."""
        try:
            with tracing.span("poll", {}, about.request_id):
                outcome = await self._ask(config, state, about)
        except HalftoneError as error:
            metrics.POLLS.labels("failed").inc()
            log.info("poll failed", feed=about.feed, reason=str(error))
            answer = error.answer if isinstance(error, PollError) else Answer()
            metrics.POLL_FAILURES.labels(metrics.status_class(answer.status)).inc()
            about = msgspec.structs.replace(about, ok=False, error=str(error), http_status=answer.status)
            after = states.failed(state, str(error), now_ms=_now_ms())
            return Outcome(about, states.watch_redirect(after, None, now_ms=_now_ms()), answer)
        metrics.POLLS.labels("unchanged" if outcome.about.unchanged else "changed").inc()
        return outcome

    async def _ask(self, config: FeedConfig, state: states.FeedState, about: FeedPolled) -> Outcome:
        web = PoliteWeb(self._web, self._politeness, ASKED if about.asked else SCHEDULED)
        with metrics.stage("poll"):
            polled = await poll(web, self._settings, config, state)
        about = _with_http(about, polled, web.took_ms)
        if polled.unchanged:
            after = states.unchanged(state, now_ms=_now_ms(), validators=polled.answer.validators)
            return Outcome(about, states.watch_redirect(after, polled.moved_to, now_ms=_now_ms()), polled.answer)
        return await self._read(web, config, state, about, polled)

    async def _read(
        self, web: Getter, config: FeedConfig, state: states.FeedState, about: FeedPolled, polled: Polled
    ) -> Outcome:
        website = None
        validators, body_hash = polled.answer.validators, polled.body_hash
        with metrics.stage("parse") as watch:
            parsed = await self._parse(polled, state.seen)
            if parsed.kind == "html":
                website, validators, body_hash = polled.url, states.Validators(), ""  # the feed's are not the page's
                polled, parsed = await self._follow(web, config, state, alternate_of(parsed.alternates, polled))
            news = states.diff(state, parsed)
        after = states.advance(state, parsed, now_ms=_now_ms(), validators=validators, body_hash=body_hash)
        after = self._hubs.named(after, parsed, polled.url, polled.links)
        if self._site:
            news, after = await self._look_around(self._site, polled.url, parsed, news, after)
            parsed = msgspec.structs.replace(parsed, icon=parsed.icon or after.site_icon or None)
        metrics.ARTICLES.labels("found").inc(len(news.new))
        metrics.ARTICLES.labels("updated").inc(len(news.updated))
        about = msgspec.structs.replace(about, handle_ms=watch.ms)
        about = announce.tell(about, parsed, news, url=polled.home, website=website)
        return Outcome(
            about,
            states.watch_redirect(after, None if website else polled.moved_to, now_ms=_now_ms()),
            polled.answer,
            announce.articles(parsed, news, about),
            announce.jobs(parsed, news, about),
        )

    async def _follow(
        self, web: Getter, config: FeedConfig, state: states.FeedState, url: str
    ) -> tuple[Polled, ParsedFeed]:
        """Return the feed that a web page names, for an address that is the page's and not the feed's."""
        polled = await get(web, self._settings, url, request_headers(config, url), proxy=config.proxy or "")
        parsed = await self._parse(polled, state.seen)
        if parsed.kind == "html":
            raise PollError(f"{url}, which a web page names as its feed, is a web page too", polled.answer)
        return polled, parsed

    async def _look_around(
        self, site: Site, url: str, parsed: ParsedFeed, news: states.News, after: states.FeedState
    ) -> tuple[states.News, states.FeedState]:
        """Return the news and the state with what the pages of the feed's site tell."""
        web = PoliteWeb(self._web, self._politeness, ASIDE)
        news = await site.with_page_images(web, url, news)
        if parsed.icon or after.site_icon is not None:
            return news, after
        return news, msgspec.structs.replace(after, site_icon=await site.icon(web, url, parsed))

    async def _parse(self, polled: Polled, seen: Mapping[str, str]) -> ParsedFeed:
        metrics.FEED_BYTES.inc(len(polled.body))
        try:
            return await self._parser.run(polled.body, polled.url, polled.content_type or None, dict(seen))
        except (Reject, Retry) as error:
            raise PollError(str(error), polled.answer) from error

    def _about(self, due: FeedDue, envelope: Envelope) -> FeedPolled:
        return FeedPolled(
            request_id=due.request_id or _request_id(due.feed, envelope),
            feed=due.feed,
            asked=bool(due.request_id),
            ok=True,
            started_ms=_now_ms(),
            fetcher=self._settings.instance,
            address_md5=self._address_md5,
        )

    async def _config(self, feed: int) -> FeedConfig | None:
        entry = await self._configs.get(str(feed))
        return decode_config(entry.value) if entry else None

    async def _state(self, feed: int) -> states.FeedState:
        entry = await self._states.get(str(feed))
        return msgspec.json.decode(entry.value, type=states.FeedState) if entry else states.FeedState()

    async def _remember(self, feed: int, after: states.FeedState, due_ms: int | None) -> None:
        """Save what was seen and have the next poll scheduled: last, so that nothing untold counts as seen."""
        after = msgspec.structs.replace(after, next_ms=due_ms)
        await self._states.put(str(feed), msgspec.json.encode(after))
        if due_ms is not None:
            await self._bus.schedule(FeedDue(feed=feed), datetime.fromtimestamp(due_ms / 1000, UTC))


async def start(bus: Bus, settings: FetcherSettings) -> Working:
    """Start fetching."""
    web = Web(parse_origins(settings.allow_hosts), keep_alive=KEEP_ALIVE)
    parser = Sandbox(
        PARSE,
        ParsedFeed,
        slots=os.cpu_count() or 1,
        seconds=settings.parse_seconds,
        jobs_per_child=PARSES_PER_CHILD,
    )
    pages = Sandbox(READ, Page, slots=1, seconds=settings.parse_seconds, jobs_per_child=PARSES_PER_CHILD)
    await asyncio.gather(*(box.warm() for box in ((parser, pages) if settings.pages else (parser,))))
    log.info("feeds are read in a sandbox", layers=confinement_level())
    fetcher = Fetcher(bus, web, parser, settings, Site(pages) if settings.pages else None)
    actor = Actor(bus, fetcher, tasks=settings.concurrency or DEFAULT_CONCURRENCY)
    return Working(actor, web, (parser, pages))


def _with_http(about: FeedPolled, polled: Polled, fetch_ms: int) -> FeedPolled:
    return msgspec.structs.replace(
        about,
        fetch_ms=fetch_ms,
        http_status=polled.answer.status,
        content_type=polled.content_type.partition(";")[0].strip(),
        unchanged=polled.unchanged,
    )


def _due(config: FeedConfig, outcome: Outcome) -> int | None:
    """Return when the feed is due next; None for one that is polled only when somebody asks."""
    if not config.subscribed or config.paused:
        return None
    now_ms = _now_ms()
    due_ms = next_poll(
        now_ms,
        outcome.after.published_ms,
        outcome.after.hints,
        outcome.answer,
        errors=outcome.after.errors,
        random=_JITTER,
        interval=config.interval_s,
    )
    asked_for = outcome.after.errors or config.interval_s
    return due_ms if asked_for else stretched(due_ms, outcome.after.push, now_ms)


def _request_id(feed: int, envelope: Envelope) -> str:
    """Name a poll that nobody asked for: the same name when its tick is delivered again."""
    tick = f"{feed}:{envelope.sequence}:{envelope.published}"
    return f"{hashlib.sha256(tick.encode()).hexdigest()[:32]}_{feed}"


def _own_address(nats_url: str) -> str:
    """Return this machine's address as the broker sees it."""
    target = urlsplit(nats_url.split(",", maxsplit=1)[0])
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect((target.hostname or "127.0.0.1", target.port or 4222))  # sends nothing
            return str(probe.getsockname()[0])
    except OSError:
        return "127.0.0.1"


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
