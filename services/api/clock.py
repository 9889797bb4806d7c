"""What happens by the clock: deadlines, questions asked again, records left behind by a replica that died."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

import structlog
from sqlalchemy import func, select, update
from sqlalchemy.exc import SQLAlchemyError

from services.api.batch import touch
from services.api.completer import Completer
from services.api.jumps import DeadlineClock
from services.api.retention import forget
from services.api.services import Api
from services.api.tables import feeds, image_uses, polls, touched
from shared.bus import BusUnavailable
from shared.messages import FeedDue

log = structlog.get_logger()

TICK_SECONDS = 1.0
RECONCILE_SECONDS = 300.0
RETENTION_SECONDS = 900.0
LEFT_BEHIND_SECONDS = 5.0  # work noted in the database that nobody has done by then is taken over
AT_ONCE = 200  # rows a tick


class Clock:
    """Ticks; every replica has one, and what two do at the same time is done once."""

    def __init__(self, api: Api, completer: Completer) -> None:
        self._api = api
        self._database = api.database
        self._completer = completer
        self._deadlines = DeadlineClock(api.settings.record_deadline)
        duties: tuple[tuple[float, Callable[[], Awaitable[None]]], ...] = (
            (TICK_SECONDS, self._end_overdue),
            (TICK_SECONDS, api.asking.repeat),
            (TICK_SECONDS, self._take_over),
            (TICK_SECONDS, self._announce_again),
            (RECONCILE_SECONDS, self._reconcile),
            (RETENTION_SECONDS, self._forget_old),
        )
        self._tasks = [asyncio.create_task(_every(seconds, duty)) for seconds, duty in duties]

    async def close(self) -> None:
        """Stop ticking."""
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with suppress(asyncio.CancelledError):
                await task

    async def _end_overdue(self) -> None:
        """Settle as failed what is still open at its poll's deadline."""
        now_ms = self._deadlines.now_ms()
        async with self._database.read() as connection:
            statement = select(polls.c.request_id).where(polls.c.waiting, polls.c.deadline_ms < now_ms).limit(AT_ONCE)
            overdue = sorted((await connection.execute(statement)).scalars())
        if not overdue:
            return
        async with self._database.write() as connection:
            await connection.execute(
                update(image_uses)
                .where(image_uses.c.request_id.in_(overdue), ~image_uses.c.settled)
                .values(settled=True, overdue=True)
            )
            await touch(connection, overdue)
            await connection.execute(
                update(polls).where(polls.c.request_id.in_(overdue)).values(waiting=False, open=False)
            )
        log.warning("deadline passed", polls=len(overdue))
        self._completer.look_at(set(overdue))

    async def _take_over(self) -> None:
        async with self._database.read() as connection:
            statement = select(touched.c.request_id).where(touched.c.touched_ms < _long_ago()).limit(AT_ONCE)
            left = set((await connection.execute(statement)).scalars())
        self._completer.look_at(left)

    async def _announce_again(self) -> None:
        changed_ms = func.coalesce(polls.c.updated_ms, polls.c.completed_ms)
        async with self._database.read() as connection:
            statement = select(polls.c.request_id).where(~polls.c.announced, changed_ms < _long_ago()).limit(AT_ONCE)
            silent = (await connection.execute(statement)).scalars().all()
        for request_id in silent:
            await self._completer.announce(request_id)

    async def _reconcile(self) -> None:
        """Have those subscribed feeds polled that have lost their schedule, a few at a time."""
        scheduled = await self._api.bus.scheduled()
        async with self._database.read() as connection:
            statement = select(feeds.c.id).where(feeds.c.subscribed, ~feeds.c.paused)
            wanted = set((await connection.execute(statement)).scalars())
        lost = sorted(wanted - scheduled)
        for feed in lost:
            await self._api.bus.publish(FeedDue(feed=feed))
            await asyncio.sleep(RECONCILE_SECONDS / 2 / max(len(lost), RECONCILE_SECONDS))

    async def _forget_old(self) -> None:
        settings = self._api.settings
        await forget(self._database, records_days=settings.keep_records_days, events_days=settings.keep_events_days)


async def _every(seconds: float, duty: Callable[[], Awaitable[None]]) -> None:
    while True:
        await asyncio.sleep(seconds)
        try:
            await duty()
        except (SQLAlchemyError, OSError, BusUnavailable) as error:
            log.warning("put off", duty=duty.__name__, reason=str(error).splitlines()[0])
        except Exception:
            log.exception("failed", duty=duty.__name__)


def _long_ago() -> int:
    return _now() - int(LEFT_BEHIND_SECONDS * 1000)


def _now() -> int:
    return int(time.time() * 1000)
