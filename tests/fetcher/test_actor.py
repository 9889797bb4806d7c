"""The fetcher's story on a bus in memory, against a real server: what it tells, in which order, what it remembers."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence

import msgspec
import pytest

from services.fetcher.actor import PARSE, Fetcher, start
from services.fetcher.feed import ParsedFeed
from services.fetcher.settings import FetcherSettings
from services.fetcher.state import FeedState, Redirect
from shared.actor import Envelope
from shared.errors import Reject, Retry
from shared.feeds import FeedConfig, encode_config
from shared.memory import MemoryBus
from shared.messages import ArticleFound, ArticleUpdated, FeedDue, FeedPolled, ImageJob, Message
from shared.sandbox import Sandbox
from shared.topology import FEED_CONFIGS, FEED_STATES
from shared.web import Web
from tests.servers import Site, running_site

ENVELOPE = Envelope(sequence=5, published=1_700_000_000.0, tries=1)


def rss(*items: str, channel: str = "") -> bytes:
    return f"<rss version='2.0'><channel><title>Feed</title>{channel}{''.join(items)}</channel></rss>".encode()


def item(name: str, body: str = "") -> str:
    return f"<item><guid>{name}</guid><link>http://x.example/{name}</link><description>{body}</description></item>"


def picture(name: str) -> str:
    return f"&lt;img src='http://x.example/{name}.jpg'&gt;"


class Recording(MemoryBus):
    """A bus that remembers what was published, and whether the feed's state had been saved by then."""

    def __init__(self) -> None:
        super().__init__()
        self.published: list[Message] = []
        self.saved_before: list[bool] = []

    async def publish(self, message: Message, *, headers: Mapping[str, str] | None = None) -> None:
        self.published.append(message)
        self.saved_before.append(await self.bucket(FEED_STATES).get("7") is not None)
        await super().publish(message, headers=headers)


class Story:
    """A fetcher, the one feed that it polls, and the server of that feed."""

    def __init__(self, bus: Recording, site: Site, fetcher: Fetcher) -> None:
        self.bus = bus
        self.site = site
        self.fetcher = fetcher

    async def subscribe(self, path: str = "/feed", **more: object) -> None:
        config = FeedConfig(feed=7, url=self.site.url(path), **{"subscribed": True, **more})  # type: ignore[arg-type]
        await self.bus.bucket(FEED_CONFIGS).put("7", encode_config(config))

    async def poll(self, asked: str = "", envelope: Envelope = ENVELOPE) -> list[Message]:
        """What one poll publishes, in order."""
        self.bus.published.clear()
        async for batch in self.fetcher.handle(FeedDue(feed=7, request_id=asked), envelope):
            for message in batch:
                await self.bus.publish(message)
        return list(self.bus.published)

    async def polled(self, asked: str = "") -> FeedPolled:
        """What one poll says at its end."""
        *_, last = await self.poll(asked)
        assert isinstance(last, FeedPolled)
        return last

    async def state(self) -> FeedState:
        entry = await self.bus.bucket(FEED_STATES).get("7")
        assert entry is not None
        return msgspec.json.decode(entry.value, type=FeedState)


@pytest.fixture(scope="module")
def parser() -> Iterator[Sandbox[ParsedFeed]]:
    """One sandbox for all stories: they run one after the other."""
    sandbox = Sandbox(PARSE, ParsedFeed, slots=1, seconds=10, jobs_per_child=1000)
    yield sandbox
    asyncio.run(sandbox.close())


@pytest.fixture
async def story(parser: Sandbox[ParsedFeed]) -> AsyncIterator[Story]:
    bus = Recording()
    async with running_site() as site, Web(frozenset({site.origin})) as web:
        settings = FetcherSettings(instance="one", host_rate=0)
        told = Story(bus, site, Fetcher(bus, web, parser, settings))
        await told.subscribe()
        yield told
    await bus.close()


def kinds(messages: Sequence[Message]) -> list[str]:
    return [type(message).__name__ for message in messages]


async def test_a_poll_tells_its_articles_then_has_images_mirrored_then_says_that_it_ended(story: Story) -> None:
    story.site.page(
        "/feed", rss(item("a", picture("1") + picture("2")), item("b", picture("2"))), Content_Type="text/xml"
    )
    messages = await story.poll()
    assert kinds(messages) == ["ArticleFound", "ArticleFound", "ImageJob", "ImageJob", "FeedPolled"]
    assert [it.source for it in messages if isinstance(it, ImageJob)] == [
        "http://x.example/1.jpg",
        "http://x.example/2.jpg",
    ]
    last = messages[-1]
    assert isinstance(last, FeedPolled)
    assert last.found == tuple(it.article.link_md5 for it in messages if isinstance(it, ArticleFound))
    assert (last.ok, last.asked, last.http_status, last.content_type, last.entries) == (True, False, 200, "text/xml", 2)
    assert (last.fetcher, len(last.address_md5), last.request_id[32:]) == ("one", 32, "_7")


async def test_nothing_is_remembered_before_everything_was_told(story: Story) -> None:
    story.site.page("/feed", rss(item("a", picture("1"))))
    await story.poll()
    assert story.bus.saved_before == [False, False, False]
    assert len((await story.state()).seen) > 0


async def test_a_poll_that_breaks_off_while_telling_finds_the_same_again_under_the_same_names(story: Story) -> None:
    story.site.page("/feed", rss(item("a", picture("1"))))
    batch = await anext(story.fetcher.handle(FeedDue(feed=7), ENVELOPE))
    first = [message.message_id for message in batch]
    again = await story.poll(envelope=msgspec.structs.replace(ENVELOPE, tries=2))
    assert [message.message_id for message in again][:1] == first
    assert await story.bus.scheduled() == {7}


async def test_a_second_poll_tells_only_what_is_new_or_changed(story: Story) -> None:
    story.site.page("/feed", rss(item("a", "first"), item("b", picture("1"))))
    await story.poll()
    story.site.page("/feed", rss(item("c", picture("3")), item("a", "second" + picture("2")), item("b", picture("1"))))
    messages = await story.poll()
    assert kinds(messages) == ["ArticleFound", "ArticleUpdated", "ImageJob", "ImageJob", "FeedPolled"]
    found, updated = messages[:2]
    assert isinstance(found, ArticleFound)
    assert isinstance(updated, ArticleUpdated)
    assert (found.article.link, found.position) == ("http://x.example/c", 0)
    assert (updated.article.link, updated.position) == ("http://x.example/a", 1)
    assert [it.source[-5:] for it in messages if isinstance(it, ImageJob)] == ["3.jpg", "2.jpg"]


async def test_the_same_bytes_again_are_told_as_unchanged(story: Story) -> None:
    story.site.page("/feed", rss(item("a")))
    await story.poll()
    messages = await story.poll()
    last = messages[-1]
    assert isinstance(last, FeedPolled)
    assert (kinds(messages), last.unchanged, last.ok, last.found) == (["FeedPolled"], True, True, ())
    assert (await story.state()).errors == 0


async def test_a_server_that_says_not_modified_is_believed(story: Story) -> None:
    story.site.page("/feed", rss(item("a")), ETag='"1"')
    await story.poll()
    story.site.page("/feed", status="304 Not Modified", ETag='"2"')
    last = await story.polled()
    assert (last.unchanged, last.http_status, last.ok) == (True, 304, True)
    assert story.site.requests[-1].headers["if-none-match"] == '"1"'
    assert (await story.state()).validators.etag == '"2"'


@pytest.mark.parametrize("status", ["410 Gone", "500 Internal Server Error"])
async def test_a_failed_poll_says_why_and_keeps_what_was_seen(story: Story, status: str) -> None:
    story.site.page("/feed", rss(item("a")))
    await story.poll()
    seen = (await story.state()).seen
    story.site.page("/feed", status=status)
    for errors in (1, 2):
        last = await story.polled()
        assert (last.ok, last.http_status) == (False, int(status[:3]))
        assert last.error == f"{story.site.url('/feed')} answered HTTP {status}"
        assert ((await story.state()).errors, (await story.state()).seen) == (errors, seen)
    assert await story.bus.scheduled() == {7}
    story.site.page("/feed", rss(item("a")))
    assert (await story.polled()).ok
    assert (await story.state()).errors == 0


async def test_retry_after_puts_the_next_poll_off(story: Story) -> None:
    story.site.page("/feed", status="503 Service Unavailable", Retry_After="7200")
    last = await story.polled()
    assert last.next_ms is not None
    assert 7200 <= last.next_ms / 1000 - time.time() < 7200 * 1.2
    assert (await story.state()).next_ms == last.next_ms


async def test_what_is_no_feed_is_a_failed_poll_with_the_servers_status(story: Story) -> None:
    story.site.page("/feed", b"just text")
    last = await story.polled()
    assert (last.ok, last.http_status) == (False, 200)
    assert last.error.startswith(f"{story.site.url('/feed')} is not a feed: ")


async def test_a_page_leads_to_the_feed_that_it_names(story: Story) -> None:
    page = b"<!doctype html><html><head><link rel='alternate' type='application/rss+xml' href='/real'></head></html>"
    story.site.page("/feed", page, Content_Type="text/html", ETag='"page"')
    story.site.page("/real", rss(item("a")), Content_Type="text/xml", ETag='"feed"')
    messages = await story.poll()
    last = messages[-1]
    assert isinstance(last, FeedPolled)
    assert last.facts is not None
    assert kinds(messages) == ["ArticleFound", "FeedPolled"]
    assert (last.facts.url, last.facts.website) == (story.site.url("/real"), story.site.url("/feed"))
    story.site.page("/real", rss(item("b"), item("a")), Content_Type="text/xml", ETag='"feed2"')
    assert kinds(await story.poll()) == ["ArticleFound", "FeedPolled"]
    assert all("if-none-match" not in request.headers for request in story.site.requests)


@pytest.mark.parametrize(
    ("target", "reason"),
    [("/feed", "names only itself as its feed"), ("/page", "is a web page too")],
)
async def test_a_page_that_leads_to_no_feed_fails(story: Story, target: str, reason: str) -> None:
    page = f"<!doctype html><html><head><link rel='alternate' type='application/rss+xml' href='{target}'></head></html>"
    story.site.page("/feed", page.encode(), Content_Type="text/html")
    story.site.page("/page", page.encode().replace(b"/page", b"/other"), Content_Type="text/html")
    last = await story.polled()
    assert (last.ok, last.http_status, reason in last.error) == (False, 200, True)


async def test_a_permanent_redirect_is_watched_and_then_followed_for_good(story: Story) -> None:
    story.site.page("/feed", status="301 Moved Permanently", Location="/new")
    story.site.page("/new", rss(item("a")))
    last = await story.polled()
    assert last.facts is not None
    redirect = (await story.state()).redirect
    assert redirect is not None
    assert (redirect.url, last.facts.url) == (story.site.url("/new"), story.site.url("/new"))
    old = msgspec.structs.replace(await story.state(), redirect=Redirect(redirect.url, 1))
    await story.bus.bucket(FEED_STATES).put("7", msgspec.json.encode(old))
    story.site.requests.clear()
    for _ in range(3):
        await story.poll()
    assert story.site.paths() == ["/new"] * 3


async def test_a_feed_that_fails_where_it_had_moved_is_asked_at_its_own_address_again(story: Story) -> None:
    moved = FeedState(redirect=Redirect(story.site.url("/gone"), 1))
    await story.bus.bucket(FEED_STATES).put("7", msgspec.json.encode(moved))
    story.site.page("/feed", rss(item("a")))
    assert [(await story.polled()).ok, (await story.polled()).ok] == [False, True]
    assert story.site.paths() == ["/gone", "/feed"]


async def test_a_temporary_redirect_is_followed_and_forgotten(story: Story) -> None:
    story.site.page("/feed", status="302 Found", Location="/new")
    story.site.page("/new", rss(item("a")))
    last = await story.polled()
    assert last.facts is not None
    assert ((await story.state()).redirect, last.facts.url) == (None, story.site.url("/feed"))


async def test_only_a_subscribed_feed_is_scheduled(story: Story) -> None:
    story.site.page("/feed", rss(item("a")))
    await story.subscribe(subscribed=False)
    last = await story.polled("r1")
    assert (last.request_id, last.asked, last.next_ms, await story.bus.scheduled()) == ("r1", True, None, set())
    await story.subscribe()
    last = await story.polled()
    assert last.next_ms is not None
    assert (last.next_ms > time.time() * 1000, await story.bus.scheduled()) == (True, {7})


async def test_the_subscribers_own_interval_counts(story: Story) -> None:
    story.site.page("/feed", rss(item("a")))
    await story.subscribe(interval_s=1800)
    last = await story.polled()
    assert last.next_ms is not None
    assert 1800 <= last.next_ms / 1000 - time.time() < 1800 * 1.2


async def test_a_paused_feed_is_polled_only_when_asked_for_and_not_scheduled(story: Story) -> None:
    story.site.page("/feed", rss(item("a")))
    await story.subscribe(paused=True)
    assert (await story.poll(), story.site.requests) == ([], [])
    last = await story.polled("r1")
    assert (last.ok, last.next_ms, await story.bus.scheduled()) == (True, None, set())


async def test_a_removed_feed_is_let_go(story: Story) -> None:
    await story.bus.bucket(FEED_CONFIGS).delete("7")
    assert (await story.poll(), await story.bus.scheduled()) == ([], set())


async def test_whoever_asked_for_a_removed_feed_is_told(story: Story) -> None:
    await story.bus.bucket(FEED_CONFIGS).delete("7")
    due = FeedDue(feed=7, request_id="r1")
    with pytest.raises(Reject) as caught:
        await story.poll("r1")
    [told] = story.fetcher.settle_failed(due, ENVELOPE, caught.value)
    assert isinstance(told, FeedPolled)
    assert (told.request_id, told.ok, told.error) == ("r1", False, "there is no feed 7: it was removed")


async def test_a_poll_given_up_is_told_as_failed(story: Story) -> None:
    [told] = story.fetcher.settle_failed(FeedDue(feed=7), ENVELOPE, Retry("no luck"))
    assert isinstance(told, FeedPolled)
    assert (told.ok, told.error, told.request_id[32:]) == (False, "no luck", "_7")


async def test_the_icon_is_mirrored_with_the_sites_link_as_referer(story: Story) -> None:
    icon = "<link>http://x.example/</link><image><url>http://x.example/icon.png</url></image>"
    story.site.page("/feed", rss(channel=icon))
    messages = await story.poll()
    [job] = [it for it in messages if isinstance(it, ImageJob)]
    last = messages[-1]
    assert isinstance(last, FeedPolled)
    assert (job.source, job.referer) == ("http://x.example/icon.png", "http://x.example/")
    assert last.icon is not None
    assert (last.icon.image, last.icon.role) == (job.image, "icon")


async def test_a_started_fetcher_polls_what_is_due_and_drains() -> None:
    bus = Recording()
    async with running_site() as site:
        site.page("/feed", rss(item("a")))
        settings = FetcherSettings(allow_hosts=f"127.0.0.1:{site.port}", host_rate=0)
        config = FeedConfig(feed=7, url=site.url("/feed"))
        await bus.bucket(FEED_CONFIGS).put("7", encode_config(config))
        running = await start(bus, settings)
        following = bus.follow("evt.feed.polled")
        ended = asyncio.ensure_future(anext(following))
        await asyncio.sleep(0)
        await bus.publish(FeedDue(feed=7, request_id="r1"))
        await asyncio.wait_for(ended, 10)
        await running.drain()
        await running.abort()
    assert (running.not_ready(), await bus.scheduled()) == ("", set())
    assert kinds(bus.published) == ["FeedDue", "ArticleFound", "FeedPolled"]
