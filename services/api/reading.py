"""Reads the facts of a poll from the database."""

from collections.abc import Iterable

import msgspec
from sqlalchemy import Row, exists, select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.api.database import CHUNK
from services.api.facts import Facts, FeedRow, PollFacts, Settled, Use
from services.api.settling import FAILED, MIRRORED
from services.api.tables import feeds, image_uses, images, poll_articles, polls
from shared.messages import Article, FeedPolled, ImageFailed, ImageMirrored

_article = msgspec.json.Decoder(Article)
_polled = msgspec.json.Decoder(FeedPolled)
_settled: msgspec.json.Decoder[Settled] = msgspec.json.Decoder(ImageMirrored | ImageFailed)


async def ready(connection: AsyncConnection, request_ids: Iterable[str]) -> set[str]:
    """Return those of the polls whose record can be built: all they found has arrived, every image is settled."""
    missing = exists().where(poll_articles.c.request_id == polls.c.request_id, poll_articles.c.article.is_(None))
    unsettled = exists().where(image_uses.c.request_id == polls.c.request_id, ~image_uses.c.settled)
    whole = polls.c.polled.is_not(None) & ~missing & ~unsettled
    names = sorted(request_ids)
    found: set[str] = set()
    for start in range(0, len(names), CHUNK):
        these = polls.c.request_id.in_(names[start : start + CHUNK])
        found |= set(
            (await connection.execute(select(polls.c.request_id).where(these, ~polls.c.waiting | whole))).scalars()
        )
    return found


async def read_facts(connection: AsyncConnection, poll: Row[tuple[object, ...]], *, now_ms: int) -> Facts:
    """Return the facts of a poll.

    Args:
        connection: In a transaction that reads.
        poll: Its row of `polls`.
        now_ms: When the record is complete, where it was not before.
    """
    found = await _articles(connection, poll.request_id)
    positions = {article.link_md5: position for position, article in enumerate(found)}
    uses, settled = await _uses(connection, poll.request_id, positions)
    return Facts(
        poll=PollFacts(
            request_id=poll.request_id,
            feed=poll.feed,
            asked=poll.asked,
            started_ms=poll.started_ms,
            polled=_polled.decode(poll.polled) if poll.polled else None,
            completed_ms=poll.completed_ms or now_ms,
            updated_ms=poll.updated_ms,
        ),
        feed=await _feed(connection, poll.feed),
        articles=tuple(found),
        uses=tuple(uses),
        settled=settled,
    )


async def _articles(connection: AsyncConnection, request_id: str) -> list[Article]:
    rows = await connection.execute(
        select(poll_articles.c.article)
        .where(poll_articles.c.request_id == request_id, poll_articles.c.found, poll_articles.c.article.is_not(None))
        .order_by(poll_articles.c.position, poll_articles.c.link_md5)
    )
    return [_article.decode(article) for article in rows.scalars()]


async def _uses(
    connection: AsyncConnection, request_id: str, positions: dict[str, int]
) -> tuple[list[Use], dict[str, Settled]]:
    rows = await connection.execute(
        select(image_uses, images.c.state, images.c.settled_at, images.c.message)
        .join(images, images.c.image == image_uses.c.image)
        .where(image_uses.c.request_id == request_id)
    )
    of_found = [row for row in rows if row.link_md5 in positions]
    of_found.sort(key=lambda row: (positions[row.link_md5], row.position))
    uses = [Use(link_md5=row.link_md5, image=row.image, source=row.source, role=row.role) for row in of_found]
    answered = {
        row.image: row.message
        for row in of_found
        if row.state == MIRRORED or (row.state == FAILED and row.settled_at >= row.since)
    }
    return uses, {image: _settled.decode(message) for image, message in answered.items()}


async def _feed(connection: AsyncConnection, feed: int) -> FeedRow:
    statement = (
        select(feeds, images.c.url.label("icon_url"))
        .outerjoin(images, images.c.image == feeds.c.icon_image)
        .where(feeds.c.id == feed)
    )
    row = (await connection.execute(statement)).mappings().first()
    return FeedRow(**{name: row[name] for name in FeedRow.__struct_fields__}) if row else FeedRow(id=feed, url="")
