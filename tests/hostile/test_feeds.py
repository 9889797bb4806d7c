"""Feeds whose servers misbehave: what a poll says, and that the next one is due in good time."""

import asyncio
import gzip
import time
from collections.abc import AsyncIterator, Callable

import pytest

from services.fetcher.actor import start
from services.fetcher.settings import FetcherSettings
from shared.feeds import FeedConfig, encode_config
from shared.memory import MemoryBus
from shared.messages import FeedDue, FeedPolled, decode
from shared.topology import FEED_CONFIGS
from tests.hostile.images import away
from tests.servers import Reply, Request, Site, response, running_site

pytestmark = pytest.mark.live
FEED = b"<rss version='2.0'><channel><title>T</title><item><guid>1</guid><link>http://x.example/1</link></item></channel></rss>"


async def trickle(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    while True:
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.1)


async def endless(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        writer.write(b"10000\r\n" + b"<item>" * 10_922 + b"1234" + b"\r\n")
        await writer.drain()


async def hang_up(writer: asyncio.StreamWriter) -> None:
    writer.close()


def redirected(target: str) -> Callable[[Request], Reply]:
    return lambda request: away(target)(request, "")


GOOD: dict[str, Reply] = {
    "says it is an image": response(FEED, headers={"Content-Type": "image/png"}),
    "says another charset than it has": response(
        FEED.replace(b"T</t", "Ü</t".encode()), headers={"Content-Type": "text/xml; charset=ascii"}
    ),
    "has characters that XML forbids": response(FEED.replace(b"T</t", b"a\x0b\x00b</t")),
    "breaks off": response(FEED[:-30]),
    "is gzipped": response(gzip.compress(FEED), headers={"Content-Encoding": "gzip"}),
    "is longer than it says": response(FEED + b"<!-- -->", headers={"Content-Length": str(len(FEED))}),
    "comes after white space": response(b"\n\n  " + FEED),
    "has an entity that it never declares": response(FEED.replace(b"T</t", b"&nope; &hellip;</t")),
}
BAD: dict[str, tuple[Reply | Callable[[Request], Reply], str]] = {
    "trickles": (lambda _: trickle, "no complete answer within"),
    "never ends": (lambda _: endless, "larger than"),
    "hangs up": (lambda _: hang_up, "disconnected without"),
    "is a gzip bomb": (
        response(gzip.compress(bytes(40_000_000)), headers={"Content-Encoding": "gzip"}),
        "larger than",
    ),
    "is no gzip": (response(FEED, headers={"Content-Encoding": "gzip"}), "Content-Encoding"),
    "is shorter than it says": (response(FEED, headers={"Content-Length": "100000"}), ""),
    "leads to a private address": (redirected("http://192.168.0.1/feed"), "not on the public Internet"),
    "leads to the cloud's metadata": (redirected("http://169.254.169.254/latest/"), "not on the public Internet"),
    "leads in a circle": (redirected("/feed"), "more than 10 redirects"),
    "leads to a file": (redirected("file:///etc/passwd"), "not an http"),
    "is a web page without a feed": (response(b"<!doctype html><title>Hello</title>"), ""),
    "is a web page that names itself": (
        response(b"<!doctype html><link rel=alternate type=application/rss+xml href='/feed'>"),
        "",
    ),
    "is empty": (response(b""), ""),
    "is an image": (response(b"\x89PNG\r\n\x1a\n" + bytes(500)), ""),
    "is gone": (response(b"", "410 Gone"), "HTTP 410"),
    "wants a password": (response(b"", "401 Unauthorized"), "HTTP 401"),
    "has more attributes than a parser can bear": (
        response(FEED.replace(b"<item>", b"<item " + b" ".join(b"a%d='1'" % n for n in range(60_000)) + b">")),
        "",
    ),
    "has entities within entities": (
        response(
            b"<!DOCTYPE r [<!ENTITY a0 'ha'>"
            + b"".join(b"<!ENTITY a%d '%s'>" % (n, b"&a%d;" % (n - 1) * 10) for n in range(1, 10))
            + b"]><rss version='2.0'><channel><title>&a9;</title></channel></rss>"
        ),
        "",
    ),
}
MAY_BE_READ = {"has entities within entities", "has more attributes than a parser can bear"}


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    async with running_site() as running:
        yield running


async def polled(site: Site) -> FeedPolled:
    """What the poll of the site's feed comes to, and nobody waits for it for long."""
    bus = MemoryBus()
    settings = FetcherSettings(
        allow_hosts=f"127.0.0.1:{site.port}", feed_seconds=3, feed_max_bytes=2_000_000, parse_seconds=6, pages=False
    )
    running = await start(bus, settings)
    config = FeedConfig(feed=1, url=site.url("/feed"), subscribed=True)
    await bus.bucket(FEED_CONFIGS).put("1", encode_config(config))
    event = asyncio.ensure_future(anext(_told(bus)))
    await asyncio.sleep(0)
    await bus.publish(FeedDue(feed=1, request_id="r"))
    async with asyncio.timeout(60):
        found = await event
    await running.drain()
    assert await bus.scheduled() == {1}
    await running.abort()
    await bus.close()
    return found


async def _told(bus: MemoryBus) -> AsyncIterator[FeedPolled]:
    async for _, data in bus.follow("evt.feed.polled"):
        event = decode(data)
        assert isinstance(event, FeedPolled)
        yield event


@pytest.mark.parametrize("name", GOOD)
async def test_a_feed_is_read_although_it(site: Site, name: str) -> None:
    site.pages["/feed"] = GOOD[name]
    event = await polled(site)
    assert (event.error, event.ok, event.entries) == ("", True, 1)


@pytest.mark.parametrize("name", BAD)
async def test_a_feed_fails_with_its_reason_and_is_polled_again_when_it(site: Site, name: str) -> None:
    page, reason = BAD[name]
    site.pages["/feed"] = page
    event = await polled(site)
    assert event.next_ms
    assert event.next_ms - time.time() * 1000 > 200_000
    if not (event.ok and name in MAY_BE_READ):
        assert (event.ok, reason in event.error, bool(event.error)) == (False, True, True), event.error


@pytest.mark.parametrize("status", ["429 Too Many Requests", "503 Service Unavailable"])
async def test_a_feed_is_left_alone_for_as_long_as_its_server_asks(site: Site, status: str) -> None:
    site.page("/feed", status=status, Retry_After="7200")
    event = await polled(site)
    assert event.next_ms
    assert 7_100_000 < event.next_ms - time.time() * 1000 < 9_000_000
