"""What the overview counts; kept for some seconds, since counting takes longer the more there is."""

import time

import msgspec
from sqlalchemy import case, func, select

from services.api.database import Database
from services.api.settling import FAILED, MIRRORED
from services.api.tables import articles, feeds, images

KEPT_SECONDS = 3.0
MINUTE_SECONDS = 60.0


class Numbers(msgspec.Struct, frozen=True, kw_only=True):
    """Everything so far, and the last minute."""

    feeds: int = 0
    articles: int = 0
    mirrored: int = 0
    failed: int = 0
    wanted: int = 0
    source_bytes: int = 0
    rendition_bytes: int = 0
    last_minute: int = 0  # images settled

    @property
    def saved(self) -> int:
        """Bytes that readers need not load."""
        return max(0, self.source_bytes - self.rendition_bytes)


class Counter:
    """Counts, at most every few seconds."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._numbers = Numbers()
        self._at = 0.0

    async def numbers(self) -> Numbers:
        """Return the numbers, some seconds old at the most."""
        if time.monotonic() - self._at > KEPT_SECONDS or not self._at:
            self._at = time.monotonic()
            self._numbers = await self._count()
        return self._numbers

    async def _count(self) -> Numbers:
        state = images.c.state
        since = time.time() - MINUTE_SECONDS
        statement = select(
            func.count(case((state == MIRRORED, 1))).label("mirrored"),
            func.count(case((state == FAILED, 1))).label("failed"),
            func.count(case((state == "wanted", 1))).label("wanted"),
            func.coalesce(func.sum(case((state == MIRRORED, images.c.source_bytes))), 0).label("source_bytes"),
            func.coalesce(func.sum(case((state == MIRRORED, images.c.rendition_bytes))), 0).label("rendition_bytes"),
            func.count(case((images.c.settled_at > since, 1))).label("last_minute"),
        )
        async with self._database.read() as connection:
            counted = (await connection.execute(statement)).one()
            listed = (await connection.execute(select(func.count()).select_from(feeds))).scalar_one()
            known = (await connection.execute(select(func.count()).select_from(articles))).scalar_one()
        return Numbers(
            feeds=listed,
            articles=known,
            mirrored=counted.mirrored,
            failed=counted.failed,
            wanted=counted.wanted,
            source_bytes=int(counted.source_bytes),
            rendition_bytes=int(counted.rendition_bytes),
            last_minute=counted.last_minute,
        )
