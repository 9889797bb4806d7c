"""Turn what a poll found into the messages that tell it: an event per article, a job per image."""

from collections.abc import Iterable, Sequence
from itertools import chain

import msgspec

from services.fetcher.feed import Entry, ParsedFeed
from services.fetcher.images import Image
from services.fetcher.state import News
from shared.messages import (
    Article,
    ArticleFound,
    ArticleUpdated,
    Enclosure,
    FeedFacts,
    FeedPolled,
    ImageJob,
    WantedImage,
)
from shared.urls import image_id, without_user

WEEK_MS = 7 * 86_400_000


def articles(parsed: ParsedFeed, news: News, about: FeedPolled) -> list[ArticleFound | ArticleUpdated]:
    """Return an event for each new and each updated entry, in the order of the feed."""
    position = {entry.identity: number for number, entry in enumerate(parsed.entries)}
    found = [(ArticleFound, entry) for entry in news.new]
    updated = [(ArticleUpdated, entry) for entry in news.updated]
    return [
        kind(
            request_id=about.request_id,
            feed=about.feed,
            position=position[entry.identity],
            article=_article(entry, about.started_ms),
        )
        for kind, entry in chain(found, updated)
    ]


def jobs(parsed: ParsedFeed, news: News, about: FeedPolled) -> list[ImageJob]:
    """Return a job for each image that the news want, in the order of first use, and for the feed's icon."""
    wanted = [(entry.link, image) for entry in chain(news.new, news.updated) for image in _used(entry)]
    if parsed.icon:
        wanted.append((parsed.link, Image(parsed.icon)))
    first: dict[str, tuple[str, Image]] = {}
    for referer, image in wanted:
        first.setdefault(image_id(image.source), (referer, image))
    return [
        ImageJob(
            image=image,
            source=found.source,
            referer=referer,
            alternates=found.alternates,
            request_id=about.request_id,
            feed=about.feed,
        )
        for image, (referer, found) in first.items()
    ]


def tell(about: FeedPolled, parsed: ParsedFeed, news: News, *, url: str, website: str | None) -> FeedPolled:
    """Return the event of the poll with what it found, at `url`, named by the page `website` if it was by one."""
    return msgspec.structs.replace(
        about,
        entries=len(parsed.entries),
        found=tuple(entry.link_md5 for entry in news.new),
        updated=tuple(entry.link_md5 for entry in news.updated),
        icon=_use(parsed.icon, "icon") if parsed.icon else None,
        invalid_hrefs=_invalid_hrefs(chain(news.new, news.updated)),
        facts=FeedFacts(
            title=parsed.title,
            description=parsed.description,
            link=parsed.link,
            icon=parsed.icon,
            url=url if website else without_user(url),  # everybody reads it
            website=website,
            weekly=_weekly(parsed.entries, about.started_ms),
        ),
    )


def _article(entry: Entry, found_ms: int) -> Article:
    cover = [_use(entry.covers[0], "cover")] if entry.covers else []
    body = [_use(image.source, "body") for image in entry.images if image.role == "body"]
    return Article(
        link_md5=entry.link_md5,
        link=entry.link,
        title=entry.title,
        body=entry.body,
        body_type=entry.body_type,
        author=entry.author,
        published=entry.published,
        published_ms=entry.published_ms,
        found_ms=found_ms,
        images=(*cover, *body),
        covers=tuple(image_id(source) for source in entry.covers),
        guid=entry.id,
        enclosures=tuple(Enclosure(url=it.url, type=it.type, length=it.length) for it in entry.enclosures),
    )


def _used(entry: Entry) -> list[Image]:
    """Return the images that the article has a use for: those of its body, and its cover."""
    cover = entry.covers[0] if entry.covers else None
    return [image for image in entry.images if image.role == "body" or image.source == cover]


def _use(source: str, role: str) -> WantedImage:
    return WantedImage(image=image_id(source), source=source, role=role)


def _invalid_hrefs(entries: Iterable[Entry]) -> dict[str, int]:
    total: dict[str, int] = {}
    for entry in entries:
        for href, count in entry.invalid_hrefs.items():
            total[href] = total.get(href, 0) + count
    return total


def _weekly(entries: Sequence[Entry], now_ms: int) -> int:
    return sum(now_ms - WEEK_MS < (entry.published_ms or 0) <= now_ms for entry in entries)
