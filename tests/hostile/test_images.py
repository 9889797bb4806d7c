"""A feed whose images are at hosts of every bad kind, end to end: fetcher, transcoder and uploader on one bus."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

import pytest

from services.fetcher.actor import start as start_fetcher
from services.fetcher.settings import FetcherSettings
from services.transcoder.actor import start as start_transcoder
from services.transcoder.settings import TranscoderSettings
from services.uploader.actor import start as start_uploader
from services.uploader.settings import UploaderSettings
from shared.feeds import FeedConfig, encode_config
from shared.memory import MemoryBus
from shared.messages import FeedDue, FeedPolled, ImageFailed, ImageMirrored, decode
from shared.topology import FEED_CONFIGS
from tests.hostile.images import ARTICLE, CASES, Case
from tests.servers import Request, Site, response, running_site

pytestmark = pytest.mark.live
Settled = ImageMirrored | ImageFailed
SECONDS = 90.0  # five tries of what is unreachable, with their pauses


def feed_of(sources: list[str]) -> bytes:
    """Return a feed with one article for each image, all with the same link but for a number."""
    items = "".join(
        f"<item><guid>{number}</guid><title>{number}</title><link>{ARTICLE}</link>"
        f"<description>&lt;img src='{source}'&gt;</description></item>"
        for number, source in enumerate(sources)
    )
    return f"<rss version='2.0'><channel><title>Hostile</title>{items}</channel></rss>".encode()


def behave(site: Site, case: Case) -> None:
    """Have the site do what the case says, whatever it is asked for."""

    def answer(request: Request) -> object:
        return case.answer(request, site.url("").rstrip("/"))

    for path in ("/image.png", "/again.png", "/there.png", "/hotlink.png"):
        site.pages[path] = answer  # type: ignore[assignment]


@asynccontextmanager
async def running_services(folder: Path, allowed: str) -> AsyncGenerator[MemoryBus]:
    bus = MemoryBus()
    transcoder = TranscoderSettings(allow_hosts=allowed, download_seconds=2, source_max_bytes=5_000_000, concurrency=16)
    running = [
        await start_uploader(bus, UploaderSettings(data=folder)),
        await start_transcoder(bus, transcoder),
        await start_fetcher(bus, FetcherSettings(allow_hosts=allowed, pages=False)),
    ]
    yield bus
    for service in running:
        await service.abort()
    await bus.close()


async def settle(bus: MemoryBus, url: str, sources: set[str]) -> dict[str, Settled]:
    """Poll the feed and return how its images were settled, by source, once these all are or time is up."""
    settled: dict[str, Settled] = {}
    await bus.bucket(FEED_CONFIGS).put("1", encode_config(FeedConfig(feed=1, url=url)))
    events = bus.follow("evt.>")
    first = asyncio.ensure_future(anext(events))
    await asyncio.sleep(0)
    await bus.publish(FeedDue(feed=1, request_id="r"))
    _, data = await first
    with suppress(TimeoutError):
        async with asyncio.timeout(SECONDS):
            while True:
                event = decode(data)
                assert not isinstance(event, FeedPolled) or event.ok, event
                if isinstance(event, ImageMirrored | ImageFailed):
                    settled[event.source] = event
                    if sources <= settled.keys():
                        break
                _, data = await anext(events)
    return settled


async def test_every_image_is_settled_as_its_hosts_manners_want(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        feed = await stack.enter_async_context(running_site())
        sites = {name: await stack.enter_async_context(running_site()) for name in CASES}
        for name, case in CASES.items():
            behave(sites[name], case)
        feed.page("/feed", feed_of([site.url("/image.png") for site in sites.values()]))
        allowed = " ".join(f"127.0.0.1:{site.port}" for site in (feed, *sites.values()))
        bus = await stack.enter_async_context(running_services(tmp_path, allowed))
        settled = await settle(bus, feed.url("/feed"), {site.url("/image.png") for site in sites.values()})
    found = {name: said(settled.get(site.url("/image.png")), CASES[name], site) for name, site in sites.items()}
    assert {name: problem for name, problem in found.items() if problem} == {}


def said(settled: Settled | None, case: Case, site: Site) -> str:
    """Return in which way the outcome is not the expected one; empty where it is."""
    if settled is None:
        return f"not settled: {site.requests}"
    if isinstance(settled, ImageMirrored) != case.mirrored:
        return f"{settled} {site.requests}"
    if isinstance(settled, ImageMirrored):
        if case.way and settled.attempts[-1].way != case.way:
            return f"came by {settled.attempts[-1].way}"
    elif case.reason not in settled.reason or not settled.reason:
        return f"failed because {settled.reason}"
    if case.requests is not None and len(site.requests) != case.requests:
        return f"{len(site.requests)} requests: {site.paths()}"
    return ""


async def test_lazy_images_and_source_sets_come_as_the_largest_that_there_is(tmp_path: Path) -> None:
    names = {"photo.png", "large.png", "missing.webp", "noscript.png", "poster.png", "twin.png"}
    picture = CASES["plain"].answer(Request("GET", "/", {}), "")
    assert isinstance(picture, bytes)
    async with running_site() as site:
        for name in ("photo", "large", "fallback", "noscript", "poster", "twin"):
            site.pages[f"/{name}.png"] = picture
        bodies = [
            "<img src='data:image/gif;base64,R0lGODlhAQABAAAAACw=' data-src='/photo.png'>",
            "<img src='/small.png' srcset='/small.png 100w, /large.png 1600w'>",
            "<picture><source srcset='/missing.webp 2000w, /fallback.png 800w'><img src='/fallback.png'></picture>",
            "<noscript><img src='/noscript.png'></noscript>",
            "<video poster='/poster.png'></video>",
            "<img class='lazy' src='/blank.gif' data-original='/twin.png'><noscript><img src='/twin.png'></noscript>",
        ]
        items = "".join(
            f"<item><guid>{i}</guid><link>{site.url('/')}{i}</link><description><![CDATA[{body}]]></description></item>"
            for i, body in enumerate(bodies)
        )
        site.pages["/feed"] = response(f"<rss version='2.0'><channel>{items}</channel></rss>".encode())
        async with running_services(tmp_path, f"127.0.0.1:{site.port}") as bus:
            settled = await settle(bus, site.url("/feed"), {site.url(f"/{name}") for name in names})
    mirrored = {source.rpartition("/")[2] for source, result in settled.items() if isinstance(result, ImageMirrored)}
    assert mirrored == names, settled
