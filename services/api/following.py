"""Events for those who follow them: who stands at the same place shares one look into the database."""

import asyncio
from collections.abc import Coroutine, Generator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from sqlalchemy import Row, select

from services.api.database import Database
from services.api.tables import events

T = TypeVar("T")

MOST = 1_000  # who may follow at the same time, on one replica
AT_ONCE = 500  # events

EventRow = Row[tuple[Any, ...]]


class Following:
    """Who follows, and what they are given."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._looks: dict[int, asyncio.Task[Sequence[EventRow]]] = {}
        self._begun: set[asyncio.Task[Any]] = set()
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
            look = self._looks[position] = self._begin(self._look(position))
            look.add_done_callback(lambda _: self._looks.pop(position))
        return await asyncio.shield(look)  # others wait for it, too

    async def unbroken(self, work: Coroutine[Any, Any, T]) -> T:
        """Return what the work comes to; it goes on to its end when who waits for it leaves."""
        return await asyncio.shield(self._begin(work))

    async def close(self) -> None:
        """Wait for the work that goes on: the database is to be closed."""
        await asyncio.gather(*self._begun, return_exceptions=True)

    def _begin(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.create_task(work)
        self._begun.add(task)
        task.add_done_callback(self._begun.discard)
        return task

    async def _look(self, position: int) -> Sequence[EventRow]:
        statement = select(events).where(events.c.id > position).order_by(events.c.id).limit(AT_ONCE)
        async with self._database.read() as connection:
            return (await connection.execute(statement)).all()
