"""Tries failed images again: their records wait anew and are announced again when they change."""

import time
from typing import Annotated

import msgspec
from sqlalchemy import ColumnElement, Row, select, update

from services.api.database import Database
from services.api.settling import FAILED
from services.api.tables import articles, image_uses, images, polls
from shared.bus import Bus
from shared.errors import Reject
from shared.messages import ImageJob

MOST = 2_000  # images in one request
Name = Annotated[str, msgspec.Meta(max_length=300)]


class Scope(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Which failed images: those that fit all that is said."""

    request_id: Name | None = None  # wanted by this poll
    feed: Annotated[int, msgspec.Meta(ge=1, lt=2**31)] | None = None  # wanted by this feed's polls
    host: Name | None = None  # on this host
    image: Name | None = None  # this one


class Retried(msgspec.Struct, frozen=True, kw_only=True):
    """How many images are tried again; `more` says that there are others."""

    images: int
    more: bool


class Retrying:
    """Publishes jobs for failed images."""

    def __init__(self, database: Database, bus: Bus, *, deadline: float) -> None:
        self._database = database
        self._bus = bus
        self._deadline = deadline

    async def retry(self, scope: Scope) -> Retried:
        """Have the failed images tried again.

        Raises:
            Reject: The scope says nothing.
        """
        where = _conditions(scope)
        if not where:
            raise Reject("say which images to retry: give requestId, feed, host or image")
        async with self._database.write() as connection:
            statement = (
                select(image_uses, images.c.settled_at, images.c.source.label("first_source"), polls.c.feed)
                .join(images, images.c.image == image_uses.c.image)
                .join(polls, polls.c.request_id == image_uses.c.request_id)
                .where(images.c.state == FAILED, *where)
                .order_by(image_uses.c.image)
            )
            uses = (await connection.execute(statement)).all()
            chosen = sorted({use.image for use in uses})
            taken = [use for use in uses if use.image in set(chosen[:MOST])]
            for use in taken:
                await connection.execute(
                    update(image_uses)
                    .where(
                        image_uses.c.request_id == use.request_id,
                        image_uses.c.link_md5 == use.link_md5,
                        image_uses.c.position == use.position,
                    )
                    .values(settled=False, overdue=False, since=use.settled_at + 0.001)
                )
            deadline_ms = int((time.time() + self._deadline) * 1000)
            waiting = sorted({use.request_id for use in taken})
            await connection.execute(
                update(polls).where(polls.c.request_id.in_(waiting)).values(waiting=True, deadline_ms=deadline_ms)
            )
            of_articles = await connection.execute(select(articles.c.link_md5, articles.c.link).where(_of(taken)))
            links = {row.link_md5: row.link for row in of_articles}
        for job in _jobs(taken, links):
            await self._bus.publish(job)
        return Retried(images=len(chosen[:MOST]), more=len(chosen) > MOST)


def _conditions(scope: Scope) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if scope.request_id is not None:
        conditions.append(image_uses.c.request_id == scope.request_id)
    if scope.feed is not None:
        conditions.append(polls.c.feed == scope.feed)
    if scope.host is not None:
        conditions.append(images.c.host == scope.host)
    if scope.image is not None:
        conditions.append(image_uses.c.image == scope.image)
    return conditions


def _of(uses: list[Row[tuple[object, ...]]]) -> ColumnElement[bool]:
    return articles.c.link_md5.in_(sorted({str(use.link_md5) for use in uses}))


def _jobs(uses: list[Row[tuple[object, ...]]], links: dict[str, str]) -> list[ImageJob]:
    jobs = {
        use.image: ImageJob(
            image=use.image,
            source=use.source,
            referer=links.get(use.link_md5, ""),
            request_id=use.request_id,
            feed=use.feed,
            again=True,
        )
        for use in reversed(uses)
    }
    return list(jobs.values())
