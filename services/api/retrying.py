"""Tries failed images again: their records wait anew and are announced again when they change."""

import time
from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
from sqlalchemy import ColumnElement, Row, bindparam, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.api.database import Database
from services.api.settling import FAILED
from services.api.tables import articles, image_uses, images, polls
from shared.bus import Bus
from shared.errors import Reject
from shared.messages import ImageJob

MOST = 2_000  # images in one request
UseRow = Row[tuple[Any, ...]]
Name = Annotated[str, msgspec.Meta(max_length=300)]


class Scope(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
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
            uses = await _failed_uses(connection, where)
            chosen = sorted({use.image for use in uses})
            tried = set(chosen[:MOST])
            taken = [use for use in uses if use.image in tried]
            await _wait_anew(connection, taken, deadline_ms=int((time.time() + self._deadline) * 1000))
            links = await _links(connection, taken)
        for job in _jobs(taken, links):
            await self._bus.publish(job)
        return Retried(images=len(tried), more=len(chosen) > MOST)


async def _failed_uses(connection: AsyncConnection, where: Sequence[ColumnElement[bool]]) -> Sequence[UseRow]:
    statement = (
        select(image_uses, images.c.settled_at, polls.c.feed)
        .join(images, images.c.image == image_uses.c.image)
        .join(polls, polls.c.request_id == image_uses.c.request_id)
        .where(images.c.state == FAILED, *where)
        .order_by(image_uses.c.image)
    )
    return (await connection.execute(statement)).all()


async def _wait_anew(connection: AsyncConnection, uses: Sequence[UseRow], *, deadline_ms: int) -> None:
    """Have the uses wait for a result later than the failure, and their polls for them."""
    key = ("request_id", "link_md5", "position")
    rows = [{f"of_{name}": getattr(use, name) for name in key} | {"since": use.settled_at + 0.001} for use in uses]
    if rows:
        this_one = [image_uses.c[name] == bindparam(f"of_{name}") for name in key]
        await connection.execute(update(image_uses).where(*this_one).values(settled=False, overdue=False), rows)
    waiting = sorted({use.request_id for use in uses})
    await connection.execute(
        update(polls).where(polls.c.request_id.in_(waiting)).values(waiting=True, deadline_ms=deadline_ms)
    )


async def _links(connection: AsyncConnection, uses: Sequence[UseRow]) -> dict[str, str]:
    """Return the links of the uses' articles by their MD5."""
    wanted = articles.c.link_md5.in_(sorted({use.link_md5 for use in uses}))
    return {
        row.link_md5: row.link
        for row in await connection.execute(select(articles.c.link_md5, articles.c.link).where(wanted))
    }


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


def _jobs(uses: Sequence[UseRow], links: dict[str, str]) -> list[ImageJob]:
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
