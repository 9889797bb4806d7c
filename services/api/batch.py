"""Writes a batch of events: upserts on natural keys, so that any order and any repetition ends in the same rows.

Tables are written in one order and rows in the order of their keys, so that replicas on PostgreSQL do not deadlock.
"""

import random
import time
from collections.abc import Iterable, Sequence
from itertools import chain

import msgspec
from sqlalchemy import bindparam, exists, or_, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.api import settling
from services.api.database import CHUNK, add, insert
from services.api.plain import without_tags
from services.api.reading import ready
from services.api.settling import ImageState
from services.api.summaries import summary
from services.api.tables import articles, events, feeds, image_uses, images, poll_articles, polls, touched
from shared.actor import Envelope
from shared.messages import Article, ArticleFound, ArticleUpdated, Event, FeedPolled, ImageFailed, ImageMirrored
from shared.urls import feed_token, host_of, same_origin

EVENTS_LOCK = 4_838_332  # orders the commits of replicas' events, so that ids grow with time for every reader

ArticleEvent = ArticleFound | ArticleUpdated
ImageEvent = ImageMirrored | ImageFailed


class Received(msgspec.Struct, frozen=True):
    """An event with what the broker knows of it."""

    event: Event
    envelope: Envelope

    @property
    def ms(self) -> int:
        """When the broker took it, epoch ms."""
        return int(self.envelope.published * 1000)


async def apply(connection: AsyncConnection, batch: Sequence[Received], *, deadline: float) -> set[str]:
    """Write the batch; return the polls whose record can be built.

    Args:
        connection: In a transaction that writes.
        batch: Events in the order of their arrival.
        deadline: Seconds that a poll's images may take.
    """
    found = [(it, it.event) for it in batch if isinstance(it.event, ArticleEvent)]
    polled = [(it, it.event) for it in batch if isinstance(it.event, FeedPolled)]
    settled = [(it, it.event) for it in batch if isinstance(it.event, ImageEvent)]
    await _write_polls(connection, found, polled, deadline)
    await _write_feeds(connection, [event for _, event in polled])
    await _write_poll_articles(connection, [event for _, event in found], [event for _, event in polled])
    await _write_articles(connection, found)
    uses = _uses(found, polled)
    states = await _lock_images(connection, uses, [event for _, event in settled])
    changed = await _write_images(connection, states, settled)
    await _write_uses(connection, uses, states | changed)
    affected = await _settle_uses(connection, states, changed)
    affected |= {event.request_id for _, event in (*found, *polled)}
    # Waits for replicas that write to the same polls, so that what follows sees what they did.
    await touch(connection, affected)
    can_be_built = await ready(connection, affected)
    await _write_events(connection, batch)
    return can_be_built


async def touch(connection: AsyncConnection, request_ids: Iterable[str]) -> None:
    """Note that the polls' records may have to be built."""
    now = int(time.time() * 1000)
    rows = [
        {"request_id": request_id, "version": random.getrandbits(62), "touched_ms": now}
        for request_id in sorted(request_ids)
    ]
    if rows:
        statement = insert(connection, touched)
        statement = statement.on_conflict_do_update(
            index_elements=["request_id"], set_={"version": statement.excluded.version}
        )
        await connection.execute(statement, rows)


async def _write_polls(
    connection: AsyncConnection,
    found: Sequence[tuple[Received, ArticleEvent]],
    polled: Sequence[tuple[Received, FeedPolled]],
    deadline: float,
) -> None:
    rows = {
        event.request_id: {
            "request_id": event.request_id,
            "feed": event.feed,
            "started_ms": it.ms,
            "deadline_ms": it.ms + int(deadline * 1000),
        }
        for it, event in chain(found, polled)
    }
    await add(connection, polls, list(rows.values()))
    ended = [
        {
            "key": event.request_id,
            "asked": event.asked,
            "started_ms": event.started_ms,
            "polled": msgspec.json.encode(event),
            "deadline_ms": it.ms + int(deadline * 1000),
        }
        for it, event in sorted(polled, key=lambda pair: pair[1].request_id)
    ]
    if ended:
        await connection.execute(
            update(polls)
            .where(polls.c.request_id == bindparam("key"), polls.c.polled.is_(None))
            .values(open=False, waiting=True, completed_ms=None),
            ended,
        )


async def _write_feeds(connection: AsyncConnection, polled: Sequence[FeedPolled]) -> None:
    """Keep what the newest poll said of each feed."""
    for event in sorted(polled, key=lambda event: (event.feed, event.started_ms)):
        values: dict[str, object] = {
            "polled_ms": event.started_ms,
            "ok": event.ok,
            "error": _storable(event.error),
            "http_status": event.http_status,
            "next_ms": event.next_ms,
        }
        if event.facts:
            facts = event.facts
            values |= {
                "title": _storable(facts.title),
                "description": _storable(facts.description),
                "link": _storable(facts.link),
                "weekly": facts.weekly,
                "icon": facts.icon,
                "icon_image": event.icon.image if event.icon else None,
                "updated_ms": event.started_ms,
            }
            if facts.website and facts.url:  # a page led to it: from now on the feed itself is polled
                values |= {"url": facts.url, "own_key": feed_token(facts.url), "website": facts.website}
                if not same_origin(facts.url, await _url_of(connection, event.feed)):
                    values["headers"] = "{}"  # they may hold a secret of the page's host
        newest = or_(feeds.c.polled_ms.is_(None), feeds.c.polled_ms <= event.started_ms)
        await connection.execute(update(feeds).where(feeds.c.id == event.feed, newest).values(values))


async def _url_of(connection: AsyncConnection, feed: int) -> str:
    return str((await connection.execute(select(feeds.c.url).where(feeds.c.id == feed))).scalar())


async def _write_poll_articles(
    connection: AsyncConnection, found: Sequence[ArticleEvent], polled: Sequence[FeedPolled]
) -> None:
    """Keep each article as this poll had it, and which ones have still to come."""
    arrived = [
        {
            "request_id": event.request_id,
            "link_md5": event.article.link_md5,
            "feed": event.feed,
            "position": event.position,
            "found": isinstance(event, ArticleFound),
            "article": msgspec.json.encode(event.article),
        }
        for event in sorted(found, key=lambda event: (event.request_id, event.article.link_md5))
    ]
    if arrived:
        statement = insert(connection, poll_articles)
        excluded = statement.excluded
        statement = statement.on_conflict_do_update(
            index_elements=["request_id", "link_md5"],
            set_={"position": excluded.position, "article": excluded.article},
            where=poll_articles.c.article.is_(None),
        )
        await connection.execute(statement, arrived)
    announced = [
        {"request_id": event.request_id, "link_md5": link_md5, "feed": event.feed, "found": new}
        for event in polled
        for new, link_md5s in ((True, event.found), (False, event.updated))
        for link_md5 in link_md5s
    ]
    await add(connection, poll_articles, announced)


async def _write_articles(connection: AsyncConnection, found: Sequence[tuple[Received, ArticleEvent]]) -> None:
    """Keep where each article's newest version is, and what it is searched by."""
    rows = [_article_row(it, event, event.article) for it, event in found]
    if rows:
        statement = insert(connection, articles)
        newer = ("request_id", "seen_at", "updated_ms", "published_ms", "title", "author", "words")
        statement = statement.on_conflict_do_update(
            index_elements=["feed", "link_md5"],
            set_={name: statement.excluded[name] for name in newer},
            where=articles.c.seen_at < statement.excluded.seen_at,
        )
        await connection.execute(statement, sorted(rows, key=lambda row: (row["feed"], row["link_md5"])))


def _article_row(it: Received, event: ArticleEvent, article: Article) -> dict[str, object]:
    created = article.found_ms or it.ms
    return {
        "feed": event.feed,
        "link_md5": article.link_md5,
        "request_id": event.request_id,
        "seen_at": it.envelope.published,
        "created_ms": created,
        "updated_ms": created if isinstance(event, ArticleFound) else it.ms,
        "published_ms": article.published_ms or created,
        "title": _storable(article.title),
        "author": _storable(article.author),
        "link": _storable(article.link),
        "words": _storable(without_tags(article.body)),
    }


def _uses(
    found: Sequence[tuple[Received, ArticleEvent]], polled: Sequence[tuple[Received, FeedPolled]]
) -> list[dict[str, object]]:
    wanted = [(it, event.request_id, event.article.link_md5, event.article.images) for it, event in found]
    wanted += [(it, event.request_id, "", (event.icon,)) for it, event in polled if event.icon]
    return [
        {
            "request_id": request_id,
            "link_md5": link_md5,
            "position": position,
            "image": image.image,
            "source": image.source,
            "role": image.role,
            "since": settling.since(it.envelope.published),
        }
        for it, request_id, link_md5, wants in wanted
        for position, image in enumerate(wants)
    ]


async def _lock_images(
    connection: AsyncConnection, uses: Sequence[dict[str, object]], settled: Sequence[ImageEvent]
) -> dict[str, ImageState]:
    """Return the state of every image of the batch, which nobody else changes until the batch is written."""
    sources = {event.image: event.source for event in settled} | {str(use["image"]): str(use["source"]) for use in uses}
    names = sorted(sources)
    rows = [{"image": name, "source": sources[name], "host": host_of(sources[name])} for name in names]
    await add(connection, images, rows)
    states: dict[str, ImageState] = {}
    for start in range(0, len(names), CHUNK):
        statement = (
            select(images.c.image, images.c.state, images.c.settled_at, images.c.url)
            .where(images.c.image.in_(names[start : start + CHUNK]))
            .order_by(images.c.image)
            .with_for_update()
        )
        for row in await connection.execute(statement):
            states[row.image] = ImageState(row.state, row.settled_at or 0.0, row.url)
    return states


async def _write_images(
    connection: AsyncConnection, states: dict[str, ImageState], settled: Sequence[tuple[Received, ImageEvent]]
) -> dict[str, ImageState]:
    """Write what the results change; return the new states."""
    changed: dict[str, ImageState] = {}
    rows: dict[str, dict[str, object]] = {}
    for it, event in settled:
        state = settling.after(changed.get(event.image, states[event.image]), event, it.envelope.published)
        if state:
            changed[event.image] = state
            rows[event.image] = _image_row(event, state)
    if rows:
        await connection.execute(
            update(images).where(images.c.image == bindparam("key")), [rows[name] for name in sorted(rows)]
        )
    return changed


def _image_row(event: ImageEvent, state: ImageState) -> dict[str, object]:
    return {
        "key": event.image,
        "state": state.state,
        "settled_at": state.settled_at,
        "url": state.url,
        "message": msgspec.json.encode(event),
        "source_bytes": event.source_bytes,
        "rendition_bytes": event.rendition_bytes if isinstance(event, ImageMirrored) else None,
    }


async def _write_uses(
    connection: AsyncConnection, uses: Sequence[dict[str, object]], states: dict[str, ImageState]
) -> None:
    rows = [use | {"settled": settling.is_settled(states[str(use["image"])], float(str(use["since"])))} for use in uses]
    await add(connection, image_uses, rows)


async def _settle_uses(
    connection: AsyncConnection, before: dict[str, ImageState], changed: dict[str, ImageState]
) -> set[str]:
    """Settle the uses that wait for the changed images; return the polls that this concerns."""
    if not changed:
        return set()
    counts = or_(images.c.state == settling.MIRRORED, images.c.settled_at >= image_uses.c.since)
    waiting = await connection.execute(
        update(image_uses)
        .where(
            image_uses.c.image.in_(sorted(changed)),
            or_(~image_uses.c.settled, image_uses.c.overdue),
            exists().where(images.c.image == image_uses.c.image, counts),
        )
        .values(settled=True, overdue=False)
        .returning(image_uses.c.request_id)
    )
    affected = set(waiting.scalars())
    late = [
        name
        for name, state in changed.items()
        if state.state == settling.MIRRORED and before[name].state == settling.FAILED
    ]
    if late:
        statement = select(image_uses.c.request_id).distinct().where(image_uses.c.image.in_(sorted(late)))
        affected |= set((await connection.execute(statement)).scalars())
    return affected


async def _write_events(connection: AsyncConnection, batch: Sequence[Received]) -> None:
    """Keep what is told over HTTP, numbered in the order of the commits."""
    if connection.dialect.name == "postgresql":
        await connection.execute(text(f"SELECT pg_advisory_xact_lock({EVENTS_LOCK})"))
    rows = [
        {"sequence": it.envelope.sequence, "subject": it.event.subject, "at_ms": it.ms, "data": summary(it.event)}
        for it in sorted(batch, key=lambda it: it.envelope.sequence)
    ]
    await connection.execute(insert(connection, events).on_conflict_do_nothing(), rows)


def _storable(value: str) -> str:
    """Return the text without NUL, which PostgreSQL does not take."""
    return value.replace("\0", "")
