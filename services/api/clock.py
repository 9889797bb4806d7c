"""What happens by the clock: deadlines, questions asked again, records left behind by a replica that died."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

import structlog
from sqlalchemy import func, select, update
from sqlalchemy.exc import SQLAlchemyError

from services.api.asking import Asking
from services.api.batch import touch
from services.api.completer import Completer
from services.api.database import Database
from services.api.tables import image_uses, polls, touched
from shared.bus import BusUnavailable

log = structlog.get_logger()

TICK_SECONDS = 1.0
LEFT_BEHIND_SECONDS = 5.0  # work noted in the database that nobody has done by then is taken over
AT_ONCE = 200  # rows a tick


class Clock:
    """Ticks; every replica has one, and what two do at the same time is done once."""

    def __init__(self, database: Database, asking: Asking, completer: Completer) -> None:
        self._database = database
        self._asking = asking
        self._completer = completer
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Stop ticking."""
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task

    async def _run(self) -> None:
        duties: tuple[Callable[[], Awaitable[None]], ...] = (
            self._end_overdue,
            self._asking.repeat,
            self._take_over,
            self._announce_again,
        )
        while True:
            await asyncio.sleep(TICK_SECONDS)
            for duty in duties:
                try:
                    await duty()
                except (SQLAlchemyError, OSError, BusUnavailable) as error:
                    log.warning("put off", duty=duty.__name__, reason=str(error).splitlines()[0])
                except Exception:
                    log.exception("failed", duty=duty.__name__)

    async def _end_overdue(self) -> None:
        """Settle as failed what is still open at its poll's deadline."""
        async with self._database.read() as connection:
            statement = select(polls.c.request_id).where(polls.c.waiting, polls.c.deadline_ms < _now()).limit(AT_ONCE)
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


def _long_ago() -> int:
    return _now() - int(LEFT_BEHIND_SECONDS * 1000)


def _now() -> int:
    return int(time.time() * 1000)
