"""Events for those who follow them: who stands at the same place shares one look into the database."""

import asyncio
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Row, select

from services.api.database import Database
from services.api.tables import events

MOST = 1_000  # who may follow at the same time, on one replica
AT_ONCE = 500  # events

EventRow = Row[tuple[Any, ...]]


class Following:
    """Who follows, and what they are given."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._looks: dict[int, asyncio.Task[Sequence[EventRow]]] = {}
        self._places = MOST

    @property
    def full(self) -> bool:
        """Whether nobody else may follow now."""
        return self._places <= 0

    @contextmanager
    def place(self) -> Generator[None]:
        """Take a place while the block runs."""
        self._places -= 1
        try:
            yield
        finally:
            self._places += 1

    async def after(self, position: int) -> Sequence[EventRow]:
        """Return the first events behind this one, by their id."""
        look = self._looks.get(position)
        if look is None:
            look = self._looks[position] = asyncio.create_task(self._look(position))
            look.add_done_callback(lambda _: self._looks.pop(position))
        return await asyncio.shield(look)  # others wait for it, too

    async def _look(self, position: int) -> Sequence[EventRow]:
        statement = select(events).where(events.c.id > position).order_by(events.c.id).limit(AT_ONCE)
        async with self._database.read() as connection:
            return (await connection.execute(statement)).all()
