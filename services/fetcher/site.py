"""Look at the pages of a feed's site: an article's for the picture that it is shared with, the front page for an icon.

All of it is by the way: a page that cannot be had now is done without.
"""

import asyncio
from contextlib import suppress
from http import HTTPStatus
from urllib.parse import urljoin

import msgspec

from services.fetcher.covers import with_page_image
from services.fetcher.feed import ParsedFeed
from services.fetcher.pages import Page
from services.fetcher.polite import Getter
from services.fetcher.politeness import Busy, domain_of
from services.fetcher.state import News
from shared.errors import HalftoneError
from shared.sandbox import Sandbox

READ = "services.fetcher.page_reading:read"  # what the sandbox runs
PAGE_BYTES = 5_000_000
ICON_BYTES = 1_000_000
PAGE_SECONDS = 10.0  # for one page
PAGES_PER_POLL = 10
SECONDS_PER_POLL = 20.0  # for all of a poll's pages


class Site:
    """Gets pages and reads them in a sandbox."""

    def __init__(self, reader: Sandbox[Page]) -> None:
        self._reader = reader

    async def with_page_images(self, web: Getter, feed: str, news: News) -> News:
        """Return the news with their pages' pictures among the covers.

        Of new entries that the feed names no cover for, on the feed's own registrable domain alone: a feed must not
        send us anywhere. The first `PAGES_PER_POLL`.
        """
        pages = [entry.link for entry in news.new if not entry.covers_named and _same_domain(entry.link, feed)]
        found: dict[str, tuple[str, ...]] = {}
        with suppress(TimeoutError, Busy):
            async with asyncio.timeout(SECONDS_PER_POLL):
                for url in dict.fromkeys(pages[:PAGES_PER_POLL]):
                    page = await self._page(web, url)
                    found[url] = page.images if page else ()
        new = tuple(with_page_image(entry, found.get(entry.link, ())) for entry in news.new)
        return msgspec.structs.replace(news, new=new)

    async def icon(self, web: Getter, feed: str, parsed: ParsedFeed) -> str | None:
        """Return the URL of the site's icon, empty where it has none; None where that could not be told now."""
        front = parsed.link or urljoin(feed, "/")
        try:
            page = await self._page(web, front)
            icon = next(iter(page.icons), "") if page else ""
            return icon or await self._favicon(web, urljoin(front, "/favicon.ico"))
        except Busy:
            return None

    async def _page(self, web: Getter, url: str) -> Page | None:
        try:
            got = await web.get(url, max_bytes=PAGE_BYTES, seconds=PAGE_SECONDS)
            if got.status != HTTPStatus.OK:
                return None
            return await self._reader.run(got.body, got.url, got.headers.get("content-type"))
        except HalftoneError:
            return None

    async def _favicon(self, web: Getter, url: str) -> str:
        """Return the URL if there is a picture: one that is guessed must not become a failed image."""
        try:
            got = await web.get(url, max_bytes=ICON_BYTES, seconds=PAGE_SECONDS)
        except HalftoneError:
            return ""
        picture = got.status == HTTPStatus.OK and got.body and not got.body.lstrip().startswith(b"<")
        return url if picture else ""


def _same_domain(link: str, feed: str) -> bool:
    return bool(link) and domain_of(link) == domain_of(feed)
