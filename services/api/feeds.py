"""The feeds: rows of the database, and what the fetcher is told of them in the bucket."""

import secrets
import time
from typing import Any

import msgspec
from sqlalchemy import Row, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.api.database import Database, insert
from services.api.tables import feeds
from shared.bus import Bus
from shared.errors import Reject
from shared.feeds import FeedConfig, encode_config
from shared.guard import Origins, check_address
from shared.topology import FEED_CONFIGS
from shared.urls import feed_token, resolve

FeedRow = Row[tuple[Any, ...]]


class Feeds:
    """Writes feeds in both places: the database first, which is the truth."""

    def __init__(self, database: Database, bus: Bus, allowed: Origins) -> None:
        self._database = database
        self._allowed = allowed
        self._configs = bus.bucket(FEED_CONFIGS)

    async def get_or_add(self, url: str, **values: object) -> FeedRow:
        """Return the feed at `url`, added where it is new, with `values` written to its columns.

        Raises:
            Reject: `url` is no URL.
            Blocked: It leads to an address that is not public.
        """
        absolute = resolve(url)
        if not absolute:
            raise Reject(f"{url[:200]!r} is no URL: give the feed's whole address, e.g. https://example.com/feed.xml")
        check_address(absolute, self._allowed)
        key = feed_token(absolute)
        async with self._database.write() as connection:
            row = await _by_key(connection, key)
            if row is None:
                await connection.execute(insert(connection, feeds).on_conflict_do_nothing(), _new_row(absolute))
                row = (await connection.execute(select(feeds).where(feeds.c.url_key == key))).one()
            if values:
                changed = update(feeds).where(feeds.c.id == row.id).values(values).returning(feeds)
                row = (await connection.execute(changed)).one()
        await self.tell(row)
        return row

    async def change(self, feed: int, **values: object) -> FeedRow | None:
        """Write `values` to the feed's columns; None where there is no such feed."""
        async with self._database.write() as connection:
            values["updated_ms"] = _now()
            await connection.execute(update(feeds).where(feeds.c.id == feed).values(values))
            row = (await connection.execute(select(feeds).where(feeds.c.id == feed))).first()
        if row:
            await self.tell(row)
        return row

    async def tell_again(self, feed: int) -> None:
        """Have the fetcher know what a poll has changed of the feed."""
        async with self._database.read() as connection:
            row = (await connection.execute(select(feeds).where(feeds.c.id == feed))).first()
        if row:
            await self.tell(row)

    async def tell(self, row: FeedRow) -> None:
        """Have the fetcher know the feed as it is now."""
        await self._configs.put(str(row.id), encode_config(config_of(row)))


def config_of(row: FeedRow) -> FeedConfig:
    """Return what the fetcher must know of the feed."""
    return FeedConfig(
        feed=row.id,
        url=row.url,
        subscribed=row.subscribed,
        paused=row.paused,
        interval_s=row.interval_s,
        user_agent=row.user_agent,
        headers=msgspec.json.decode(row.headers, type=dict[str, str]),
        proxy=row.proxy,
    )


async def _by_key(connection: AsyncConnection, key: str) -> FeedRow | None:
    """Return the feed that was asked for by this address, else one that a page led to and that is there."""
    alike = or_(feeds.c.url_key == key, feeds.c.own_key == key)
    statement = select(feeds).where(alike).order_by(feeds.c.url_key != key, feeds.c.id).limit(1)
    return (await connection.execute(statement)).first()


def _new_row(url: str) -> dict[str, object]:
    now = _now()
    return {
        "url": url,
        "url_key": feed_token(url),
        "token": secrets.token_urlsafe(24),
        "created_ms": now,
        "updated_ms": now,
    }


def _now() -> int:
    return int(time.time() * 1000)
