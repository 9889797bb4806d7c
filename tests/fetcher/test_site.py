"""Pages of a feed's site, on a server that counts what it is asked for."""

from collections.abc import AsyncIterator

import pytest

from services.fetcher.feed import Entry, ParsedFeed
from services.fetcher.pages import Page
from services.fetcher.site import PAGES_PER_POLL, READ, Site
from services.fetcher.state import News
from shared.sandbox import Sandbox
from shared.web import Web
from tests.servers import Site as Server
from tests.servers import running_site

OG = b"<head><meta property=og:image content='/shared.jpg'></head>"


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    async with running_site() as running:
        yield running


@pytest.fixture
async def web(server: Server) -> AsyncIterator[Web]:
    async with Web(frozenset({server.origin})) as client:
        yield client


@pytest.fixture
async def pages() -> AsyncIterator[Site]:
    sandbox = Sandbox(READ, Page, slots=1, seconds=20, jobs_per_child=100)
    yield Site(sandbox)
    await sandbox.close()


def entry(link: str, **more: object) -> Entry:
    return Entry(identity=link, link=link, **more)  # type: ignore[arg-type]


def news(*new: Entry, updated: tuple[Entry, ...] = ()) -> News:
    return News(new, updated, ())


async def test_the_picture_that_an_articles_page_is_shared_with_is_its_cover(
    web: Web, server: Server, pages: Site
) -> None:
    server.page("/1", OG, Content_Type="text/html")
    found = await pages.with_page_images(web, server.url("/feed"), news(entry(server.url("/1"))))
    assert [item.covers for item in found.new] == [(server.url("/shared.jpg"),)]


async def test_no_page_is_asked_for_where_the_feed_names_a_cover_or_the_article_is_not_new(
    web: Web, server: Server, pages: Site
) -> None:
    named = entry(server.url("/1"), covers=("http://x/a.jpg",), covers_named=1)
    given = news(named, updated=(entry(server.url("/2")),))
    assert (await pages.with_page_images(web, server.url("/feed"), given), server.requests) == (given, [])


async def test_a_feed_cannot_send_us_to_another_domain(web: Web, server: Server, pages: Site) -> None:
    given = news(entry(server.url("/1")), entry(""), entry("http://[/"))
    assert await pages.with_page_images(web, "http://feeds.example/feed", given) == given
    assert server.requests == []


async def test_only_so_many_pages_are_asked_for_each_once(web: Web, server: Server, pages: Site) -> None:
    many = [entry(server.url(f"/{number}")) for number in range(PAGES_PER_POLL + 5)]
    await pages.with_page_images(web, server.url("/feed"), news(*many))
    assert server.paths() == [f"/{number}" for number in range(PAGES_PER_POLL)]


async def test_a_page_that_cannot_be_had_or_is_too_large_is_done_without(web: Web, server: Server, pages: Site) -> None:
    server.page("/large", OG + bytes(5_000_001))
    given = news(entry(server.url("/none")), entry(server.url("/large")), entry("http://127.0.0.1:1/closed"))
    assert await pages.with_page_images(web, server.url("/feed"), given) == given


@pytest.mark.parametrize(
    ("front", "favicon", "icon"),
    [
        (b"<link rel=icon href='/my.png'>", b"", "/my.png"),
        (b"<title>no icon</title>", b"\0\0\1\0", "/favicon.ico"),
        (b"<title>no icon</title>", b"<html>not found, but 200", ""),
        (b"", None, ""),
    ],
)
async def test_the_sites_icon_is_what_its_page_names_or_the_favicon_if_there_is_one(  # noqa: PLR0917 - pytest names them
    web: Web, server: Server, pages: Site, front: bytes, favicon: bytes | None, icon: str
) -> None:
    server.page("/blog/", front)
    if favicon is not None:
        server.page("/favicon.ico", favicon)
    found = await pages.icon(web, server.url("/feed"), ParsedFeed(kind="rss", link=server.url("/blog/")))
    assert found == (server.url(icon) if icon else "")
