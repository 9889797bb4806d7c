"""Builds a record from the facts of a poll: pure, so that the same facts give the same bytes."""

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from services.api.facts import Facts, Use
from services.api.results import COVER, Images, grouped, settle
from services.api.wire import (
    ImageResult,
    InstanceWork,
    PollFigures,
    Record,
    RecordArticle,
    RecordFeed,
    Stage,
    Stages,
)
from services.api.wording import Wording, http_date
from shared.messages import Article, FeedFacts, FeedPolled, ImageMirrored
from shared.urls import without_user


def build(facts: Facts, wording: Wording, *, deadline: float) -> Record:
    """Return the record.

    Args:
        facts: What is known of the poll.
        wording: The language and time zone of its texts.
        deadline: Seconds after which open images count as failed: for their reason.
    """
    polled = facts.poll.polled
    if polled is None or not polled.ok:
        reason = polled.error if polled else wording.texts.unfinished.format(round(deadline))
        return _failed(facts, wording, polled, reason)
    images = settle(facts, wording, deadline=deadline)
    return _complete(facts, wording, polled, images)


def _complete(facts: Facts, wording: Wording, polled: FeedPolled, images: Images) -> Record:
    with_images = {use.link_md5 for use in facts.uses}
    articles = [(article, _article(article, facts, images, wording)) for article in facts.articles]
    covers, bodies = images.covers(), images.bodies()
    return Record(
        code=1,
        done=not facts.articles,
        articles=[made for article, made in articles if article.link_md5 in with_images],
        figures=_figures(facts, wording, polled, images),
        feed=_feed(facts, wording, polled),
        without_images=[made for article, made in articles if article.link_md5 not in with_images],
        common_bytes=images.bytes_of(covers & bodies),
        body_bytes=images.bytes_of(bodies - covers),
        cover_bytes=images.bytes_of(images.results.keys() - bodies),
        stages=_stages(facts, wording, polled, images),
        images=len(images.results),
        images_mirrored=len(images.mirrored),
        failed=images.failed,
        invalid_hrefs=dict(polled.invalid_hrefs),
        transcoders=_transcoders(images),
        mirrored=images.mirrored,
        uploads=images.uploads,
        failed_uploads=images.failed_uploads,
    )


def _failed(facts: Facts, wording: Wording, polled: FeedPolled | None, reason: str) -> Record:
    """Return the record of a poll that failed: empty lists, and the reason among the stages."""
    none = Images()
    fetch_ms = polled.fetch_ms if polled else 0
    return Record(
        code=0,
        done=False,
        articles=[],
        figures=_figures(facts, wording, polled, none),
        feed=_feed(facts, wording, polled),
        without_images=[],
        common_bytes=0,
        body_bytes=0,
        cover_bytes=0,
        stages=Stages(
            start=_started(facts),
            total=_total(facts),
            stages=[Stage(fetch_ms, f"{wording.texts.get_xml}: {reason}")],
        ),
        images=0,
        images_mirrored=0,
        failed=[],
        invalid_hrefs={},
        transcoders={},
        mirrored=[],
        uploads={},
        failed_uploads={},
    )


def _article(article: Article, facts: Facts, images: Images, wording: Wording) -> RecordArticle:
    uses = images.of_article(article.link_md5)
    cover = images.cover_of(article.link_md5)
    settled = facts.settled.get(cover.image) if cover else None
    mirrored = settled if isinstance(settled, ImageMirrored) else None
    found = wording.time(article.found_ms)
    return RecordArticle(
        created_time=found,
        updated_time=found,
        title=article.title,
        link=article.link,
        body=article.body,
        body_type=article.body_type,
        published=article.published,
        feed_id=facts.poll.feed,
        cover=cover.source if cover else None,
        link_md5=article.link_md5,
        cover_url=mirrored.url if mirrored else None,
        width=mirrored.width if mirrored else 0,
        height=mirrored.height if mirrored else 0,
        source_bytes=mirrored.source_bytes if mirrored else 0,
        rendition_bytes=mirrored.rendition_bytes if mirrored else 0,
        author=article.author,
        urls=cdn_urls(uses, {use.image: url for use in uses if (url := images.url(use.image))}),
        published_or_created_ms=article.published_ms or article.found_ms,
    )


def cdn_urls(uses: Sequence[Use], urls: Mapping[str, str]) -> dict[str, str]:
    """Return source URL → CDN URL of an article's mirrored images, in the order of the body.

    A cover that the body does not hold comes first.

    Args:
        uses: The article's uses of images, in their order.
        urls: Image id → CDN URL of those that are mirrored.
    """
    body = {use.source: urls[use.image] for use in uses if use.role != COVER and use.image in urls}
    covers = {use.source: urls[use.image] for use in uses if use.role == COVER and use.image in urls}
    return {source: url for source, url in covers.items() if source not in body} | body


def _figures(facts: Facts, wording: Wording, polled: FeedPolled | None, images: Images) -> PollFigures:
    poll = facts.poll
    ended = _ended(facts)
    created = wording.time(ended)
    covers = images.covers()
    ok = polled is not None and polled.ok
    return PollFigures(
        created_time=created,
        updated_time=wording.time(poll.updated_ms) if poll.updated_ms else created,
        feed_id=poll.feed,
        fetch_date=http_date(ended),
        fetch_ms=polled.fetch_ms if polled else 0,
        handle_ms=polled.handle_ms if polled else 0,
        total_ms=_total(facts),
        new_articles=len(facts.articles) if ok else 0,
        total_articles=polled.entries if polled else 0,
        status=int(ok),
        asked=int(poll.asked),
        address_md5=polled.address_md5 if polled else "",
        fetcher=polled.fetcher if polled else "",
        request_id=poll.request_id,
        content_type=polled.content_type if polled else "",
        total_bytes=sum(result.rendition_bytes for result in images.mirrored),
        covers=len(covers),
        covers_mirrored=sum(images.results[image].code for image in covers),
        images=len(images.results),
        images_mirrored=len(images.mirrored),
        uploads=images.uploads,
        failed_uploads=images.failed_uploads,
    )


def _feed(facts: Facts, wording: Wording, polled: FeedPolled | None) -> RecordFeed:
    row = facts.feed
    read = (polled.facts if polled else None) or FeedFacts(
        title=row.title,
        description=row.description,
        link=row.link,
        icon=row.icon,
        website=row.website,
        weekly=row.weekly,
    )
    return RecordFeed(
        created_time=wording.time(row.created_ms),
        updated_time=wording.time(row.updated_ms),
        id=facts.poll.feed,
        name=row.name or read.title,
        url=without_user(row.url or read.url),
        subscriber=int(row.subscribed),
        website=read.website or row.website,
        icon=read.icon,
        icon_url=row.icon_url,
        description=read.description,
        weekly=read.weekly,
        link=read.link,
    )


def _stages(facts: Facts, wording: Wording, polled: FeedPolled, images: Images) -> Stages:
    texts = wording.texts
    ended = _ended(facts)
    bodies = images.bodies()
    covers = images.covers() - bodies
    spans = (
        (polled.fetch_ms, texts.get_xml),
        (polled.handle_ms, texts.parse),
        (_span(facts, images, covers, ended), texts.covers),
        (0, texts.retry_covers),
        (_span(facts, images, bodies, ended), texts.bodies),
    )
    return Stages(start=_started(facts), total=_total(facts), stages=[Stage(ms, text) for ms, text in spans])


def _span(facts: Facts, images: Images, group: Iterable[str], ended: int) -> int:
    """Return the ms from the end of the poll until the group's last image was settled."""
    worked = [facts.settled[image] for image in group if image in facts.settled and not images.results[image].known]
    return max([0, *(message.settled_ms - ended for message in worked)])


def _transcoders(images: Images) -> dict[str, InstanceWork]:
    by_name = grouped(images.worked(), lambda result: result.transcoder)
    return {name: _work(results) for name, results in by_name.items() if name}


def _work(results: list[ImageResult]) -> InstanceWork:
    succeeded = sum(result.code for result in results)
    return InstanceWork(
        fail_count=len(results) - succeeded,
        success_count=succeeded,
        result_list=[result.source_status_code for result in results],
    )


def _started(facts: Facts) -> int:
    return facts.poll.polled.started_ms if facts.poll.polled else facts.poll.started_ms


def _ended(facts: Facts) -> int:
    polled = facts.poll.polled
    return _started(facts) + (polled.fetch_ms + polled.handle_ms if polled else 0)


def _total(facts: Facts) -> int:
    return max(0, facts.poll.completed_ms - _started(facts))


def encode(record: Record) -> bytes:
    """Return the record's JSON."""
    return msgspec.json.encode(record)
