"""Forgets what is older than the settings keep: records with what they were built from, events."""

import time

from sqlalchemy import ColumnElement, delete, exists, select

from services.api.database import Database
from services.api.tables import articles, events, image_uses, poll_articles, polls, touched

AT_ONCE = 200  # polls in one transaction: writers must not wait long
DAY_MS = 86_400_000


async def forget(database: Database, *, records_days: float, events_days: float) -> int:
    """Delete what is older; return how many polls went. Each article keeps its newest version and its images."""
    now = time.time() * 1000
    async with database.write() as connection:
        await connection.execute(delete(events).where(events.c.at_ms < now - events_days * DAY_MS))
    forgotten = 0
    while True:
        gone = await _forget_polls(database, now - records_days * DAY_MS)
        forgotten += gone
        if gone < AT_ONCE:
            return forgotten


async def _forget_polls(database: Database, before_ms: float) -> int:
    statement = select(polls.c.request_id).where(polls.c.started_ms < before_ms, ~polls.c.waiting).limit(AT_ONCE)
    async with database.write() as connection:
        old = sorted((await connection.execute(statement)).scalars())
        for table in (image_uses, poll_articles):
            newest = exists().where(
                articles.c.link_md5 == table.c.link_md5, articles.c.request_id == table.c.request_id
            )
            await connection.execute(delete(table).where(table.c.request_id.in_(old), ~newest))
        for table in (touched, polls):
            names: ColumnElement[str] = table.c.request_id
            await connection.execute(delete(table).where(names.in_(old)))
    return len(old)
