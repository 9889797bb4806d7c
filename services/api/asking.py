"""Asks for polls: one open at a time per feed, shared by all who ask, said again until the fetcher has answered."""

import time
import uuid

from sqlalchemy import select, update

from services.api.database import Database, insert
from services.api.feeds import FeedRow
from services.api.tables import polls
from shared.bus import Bus
from shared.messages import FeedDue

REPEAT_SECONDS = 10.0  # a feed has one waiting FeedDue: the schedule's may have taken the place of ours
LONGEST_PAUSE_SECONDS = 120.0  # between two repeats


class Asking:
    """Polls that somebody asked for."""

    def __init__(self, database: Database, bus: Bus, *, deadline: float) -> None:
        self._database = database
        self._bus = bus
        self._deadline = deadline

    async def ask(self, feed: FeedRow) -> str:
        """Have the feed polled now; return the `requestId` of the poll, which may be one already asked for."""
        while True:
            row = _new_row(feed.id, self._deadline)
            async with self._database.write() as connection:
                mine = await connection.execute(insert(connection, polls).on_conflict_do_nothing(), row)
                open_one = select(polls.c.request_id).where(polls.c.feed == feed.id, polls.c.open, polls.c.asked)
                request_id = (await connection.execute(open_one)).scalar()
            if mine.rowcount:
                await self._bus.publish(FeedDue(feed=feed.id, request_id=str(row["request_id"])))
            if request_id:  # else: the one that was in the way has ended meanwhile
                return request_id

    async def repeat(self) -> None:
        """Say again what was asked for a while ago, or by a clock that was wrong, and is not answered.

        The pauses double: each time the fetcher's tries begin anew, and a poll that cannot be made needs all of them.
        """
        now = _now()
        wait, longest = int(REPEAT_SECONDS * 1000), int(LONGEST_PAUSE_SECONDS * 1000)
        doubled = now - polls.c.due_ms >= polls.c.due_ms - polls.c.started_ms
        due = (polls.c.due_ms < now - wait) & (doubled | (polls.c.due_ms < now - longest))
        async with self._database.write() as connection:
            again = await connection.execute(
                update(polls)
                .where(polls.c.open, polls.c.asked, due | (polls.c.due_ms > now + wait))
                .values(due_ms=now)
                .returning(polls.c.feed, polls.c.request_id)
            )
            rows = again.all()
        for row in rows:
            await self._bus.publish(FeedDue(feed=row.feed, request_id=row.request_id))


def _new_row(feed: int, deadline: float) -> dict[str, object]:
    now = _now()
    return {
        "request_id": f"{uuid.uuid4().hex}_{feed}",
        "feed": feed,
        "asked": True,
        "started_ms": now,
        "due_ms": now,
        "deadline_ms": now + int(deadline * 1000),
    }


def _now() -> int:
    return int(time.time() * 1000)
