"""Polls of feeds whose host is being asked enough already, or wants to be left alone."""

import time
from collections.abc import AsyncIterator, Sequence

import msgspec
import pytest

from services.fetcher.actor import PARSE, Fetcher
from services.fetcher.feed import ParsedFeed
from services.fetcher.politeness import HostState
from services.fetcher.settings import FetcherSettings
from shared.actor import Envelope
from shared.feeds import FeedConfig, encode_config
from shared.memory import MemoryBus
from shared.messages import FeedDue, FeedPolled, Message
from shared.sandbox import Sandbox
from shared.topology import FEED_CONFIGS, FEED_STATES, HOSTS
from shared.web import Web
from tests.servers import Site, running_site

FEED = b"<rss version='2.0'><channel><title>Feed</title></channel></rss>"
ENVELOPE = Envelope(sequence=5, published=1_700_000_000.0, tries=1)


class Polls:
    """A fetcher that may ask a host once a minute, and two feeds of one host."""

    def __init__(self, bus: MemoryBus, site: Site, fetcher: Fetcher) -> None:
        self.bus = bus
        self.site = site
        self.fetcher = fetcher

    async def of(self, feed: int, asked: str = "") -> Sequence[Message]:
        """What a poll of the feed sends."""
        due = FeedDue(feed=feed, request_id=asked)
        return [message async for batch in self.fetcher.handle(due, ENVELOPE) for message in batch]


@pytest.fixture
async def polls() -> AsyncIterator[Polls]:
    bus = MemoryBus()
    parser = Sandbox(PARSE, ParsedFeed, slots=1, seconds=20, jobs_per_child=100)
    async with running_site() as site, Web(frozenset({site.origin})) as web:
        for feed in (1, 2):
            config = FeedConfig(feed=feed, url=site.url(f"/{feed}"), subscribed=True)
            await bus.bucket(FEED_CONFIGS).put(str(feed), encode_config(config))
        yield Polls(bus, site, Fetcher(bus, web, parser, FetcherSettings(host_rate=1)))
    await parser.close()
    await bus.close()


async def test_a_feed_of_a_busy_host_says_nothing_and_comes_again(polls: Polls) -> None:
    polls.site.page("/1", FEED)
    polls.site.page("/2", FEED)
    assert len(await polls.of(1)) == 1
    assert (await polls.of(2), polls.site.paths()) == ([], ["/1"])
    assert await polls.bus.scheduled() == {1, 2}
    assert await polls.bus.bucket(FEED_STATES).get("2") is None


async def test_who_asks_for_a_feed_of_a_host_that_wants_quiet_is_told_so(polls: Polls) -> None:
    polls.site.page("/1", status="429 Too Many Requests", Retry_After="3600")
    await polls.of(1)
    (told,) = await polls.of(2, asked="r")
    assert isinstance(told, FeedPolled)
    assert (told.ok, told.http_status, polls.site.paths()) == (False, 429, ["/1"])
    assert "wants to be left alone for 60 min" in told.error
    assert told.next_ms
    assert told.next_ms > told.started_ms + 3_500_000


async def test_the_schedules_feeds_of_such_a_host_come_again_when_it_may_be_asked(polls: Polls) -> None:
    polls.site.page("/1", status="503 Service Unavailable", Retry_After="3600")
    await polls.of(1)
    assert (await polls.of(2), polls.site.paths()) == ([], ["/1"])
    assert await polls.bus.bucket(FEED_STATES).get("2") is None


async def test_the_time_of_a_fetch_is_told_without_the_waiting(polls: Polls) -> None:
    polls.site.page("/1", FEED)
    lease = HostState(holder="another", until_ms=round(time.time() * 1000) + 3_000)
    await polls.bus.bucket(HOSTS).put(f"polite.127.0.0.1_{polls.site.port}", msgspec.json.encode(lease))
    told = (await polls.of(1, asked="r"))[-1]
    assert isinstance(told, FeedPolled)
    assert (told.ok, told.fetch_ms < 2_500) == (True, True)
    assert time.time() * 1000 >= lease.until_ms
