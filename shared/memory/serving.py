"""Answers requests, several at a time."""

import asyncio
from contextlib import suppress

from shared.bus import Answer


class MemoryServing:
    """A member of a group that answers requests."""

    def __init__(self, answer: Answer, slots: int, members: "list[MemoryServing]") -> None:
        self._answer = answer
        self._slots = asyncio.Semaphore(slots)
        self._members = members
        self._tasks: set[asyncio.Task[bytes]] = set()

    def respond(self, data: bytes) -> asyncio.Task[bytes]:
        """Answer one request once a slot is free, whether or not anybody still waits for it."""
        task = asyncio.create_task(self._respond(data))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def stop(self) -> None:
        """See `Serving.stop`."""
        with suppress(ValueError):
            self._members.remove(self)
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _respond(self, data: bytes) -> bytes:
        async with self._slots:
            return await self._answer(data)
