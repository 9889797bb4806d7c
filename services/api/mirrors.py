"""Mirrored feeds as last rendered: many readers ask for the same one, and rendering is dear."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable

import msgspec

FRESH_SECONDS = 2.0  # for which it is served whatever happens
LONGEST_SECONDS = 30.0  # for which it is served where nothing happened on this replica
STALE_SECONDS = 10.0  # for which it is served while it is made anew
MOST = 256  # feeds in memory

Key = tuple[int, str]  # the feed and the format


class Kept(msgspec.Struct, frozen=True):
    """A rendered feed."""

    data: bytes
    tag: str
    updated_ms: int


class Mirrors:
    """The feeds asked for last; each is rendered once at a time, and one asked for all the time is not waited for."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Key, tuple[Kept, float, int]] = OrderedDict()
        self._making: dict[Key, asyncio.Task[Kept]] = {}

    async def get(self, key: Key, happened: int, make: Callable[[], Awaitable[Kept]]) -> Kept:
        """Return the feed, made anew where it may have changed; `happened` counts what did so far."""
        kept, at, then = self._kept.get(key, (None, 0.0, 0))
        age = time.monotonic() - at
        if kept is not None and (age <= FRESH_SECONDS or (age <= LONGEST_SECONDS and happened == then)):
            self._kept.move_to_end(key)
            return kept
        making = self._making.get(key)
        if making is None:
            making = self._making[key] = asyncio.create_task(self._make(key, happened, make))
            making.add_done_callback(_take_note)
        if kept is not None and age <= STALE_SECONDS:
            return kept
        return await asyncio.shield(making)  # others wait for it, too

    async def _make(self, key: Key, happened: int, make: Callable[[], Awaitable[Kept]]) -> Kept:
        try:
            kept = await make()
            self._kept[key] = (kept, time.monotonic(), happened)
            self._kept.move_to_end(key)
            while len(self._kept) > MOST:
                self._kept.popitem(last=False)
            return kept
        finally:
            del self._making[key]


def _take_note(made: asyncio.Task[Kept]) -> None:
    """Look at how it ended: where nobody waits for it, the next to ask will hear of it."""
    if not made.cancelled():
        made.exception()
