"""Writes events in groups: one transaction for all that are in hand, so that a burst costs few commits."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress

import structlog
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from services.api.batch import Received, apply
from services.api.database import Database
from shared import metrics

log = structlog.get_logger()

PACE = 0.1  # seconds between the beginnings of two commits, unless a full group waits
FULL_GROUP = 32  # events
LONGEST_WAIT = 10.0  # seconds between tries of a database that is away
_TRANSIENT_STATES = ("08", "40", "53", "55", "57")  # SQLSTATE classes: connection, rollback, resources, lock, shutdown

Waiting = tuple[Received, asyncio.Future[None]]


class Writer:
    """Takes events from many tasks and commits them together.

    Args:
        database: Where to.
        deadline: Seconds that a poll's images may take.
        ready: Told, after each commit, which polls' records can be built.
    """

    def __init__(self, database: Database, *, deadline: float, ready: Callable[[set[str]], None]) -> None:
        self._database = database
        self._deadline = deadline
        self._ready = ready
        self._queue: asyncio.Queue[Waiting] = asyncio.Queue()
        self._task = asyncio.create_task(self._run())

    async def write(self, received: Received) -> None:
        """Return once the event is committed; waits for a database that is away.

        Raises:
            SQLAlchemyError: The database will not take this event.
        """
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.put_nowait((received, done))
        await done

    async def close(self) -> None:
        """Stop; what is not committed stays unacknowledged and comes again."""
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task

    async def _run(self) -> None:
        clock = asyncio.get_running_loop().time
        began = 0.0
        while True:
            group = [await self._queue.get()]
            with suppress(TimeoutError):
                async with asyncio.timeout_at(began + PACE):
                    while len(group) < FULL_GROUP:
                        group.append(await self._queue.get())
            while not self._queue.empty():
                group.append(self._queue.get_nowait())
            began = clock()
            try:
                await self._write_patiently([received for received, _ in group])
            except Exception as error:  # noqa: BLE001 - one event must not keep the others from being written
                await self._one_by_one(group, error)
            else:
                _settle(group, None)

    async def _one_by_one(self, group: Sequence[Waiting], error: Exception) -> None:
        if len(group) == 1:
            _settle(group, error)
            return
        for waiting in group:
            try:
                await self._write_patiently([waiting[0]])
            except Exception as own:  # noqa: BLE001 - it is the waiting task's to handle
                _settle([waiting], own)
            else:
                _settle([waiting], None)

    async def _write_patiently(self, batch: Sequence[Received]) -> None:
        wait, told = 0.05, ""
        while True:
            try:
                with metrics.stage("commit"):
                    async with self._database.write() as connection:
                        ready = await apply(connection, batch, deadline=self._deadline)
            except (DBAPIError, PoolTimeout, OSError) as error:
                if not is_transient(error):
                    raise
                reason = str(error).splitlines()[0]
                if reason != told:  # the same reason comes again with every try
                    log.warning("the database does not take events right now", reason=reason)
                told = reason
                await asyncio.sleep(wait)
                wait = min(LONGEST_WAIT, 2 * wait)
            else:
                self._ready(ready)
                return


def is_transient(error: Exception) -> bool:
    """Tell whether the same statement may work later: the database is away, busy, full or broke a deadlock."""
    if not isinstance(error, DBAPIError):
        return True
    state = getattr(error.orig, "sqlstate", None)
    if isinstance(state, str):
        return state.startswith(_TRANSIENT_STATES)
    return error.connection_invalidated or isinstance(error, OperationalError | InterfaceError)


def _settle(group: Sequence[Waiting], error: Exception | None) -> None:
    for _, done in group:
        if done.done():
            continue
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(error)
