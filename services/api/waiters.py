"""Requests that wait for a record: woken at once when this replica completes it, else by looking now and then."""

import asyncio
import time
from contextlib import suppress

from sqlalchemy import select

from services.api.database import Database
from services.api.tables import polls

LOOK_SECONDS = 0.5  # how often to look for what another replica has done


class Waiters:
    """Those who wait, by `requestId`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._events: dict[str, tuple[asyncio.Event, int]] = {}

    def tell(self, request_id: str) -> None:
        """Wake those who wait for this record."""
        if waiting := self._events.get(request_id):
            waiting[0].set()

    async def record(self, request_id: str, seconds: float) -> bytes | None:
        """Return the record's JSON, waiting up to `seconds` for it; None where it is not complete by then."""
        deadline = time.monotonic() + seconds
        event, others = self._events.get(request_id, (asyncio.Event(), 0))
        self._events[request_id] = (event, others + 1)
        try:
            while True:
                event.clear()
                data = await self._read(request_id)
                left = deadline - time.monotonic()
                if data is not None or left <= 0:
                    return data
                with suppress(TimeoutError):
                    await asyncio.wait_for(event.wait(), min(left, LOOK_SECONDS))
        finally:
            self._leave(request_id)

    async def _read(self, request_id: str) -> bytes | None:
        async with self._database.read() as connection:
            statement = select(polls.c.record).where(
                polls.c.request_id == request_id, polls.c.completed_ms.is_not(None)
            )
            return (await connection.execute(statement)).scalar()

    def _leave(self, request_id: str) -> None:
        event, count = self._events.pop(request_id)
        if count > 1:
            self._events[request_id] = (event, count - 1)
