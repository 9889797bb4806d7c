"""Mirrored feeds as last rendered: many readers ask for the same one, and rendering is dear."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable

import msgspec

FRESH_SECONDS = 2.0  # for which it is served whatever happens
LONGEST_SECONDS = 30.0  # for which it is served where nothing happened on this replica
MOST = 256  # feeds in memory

Key = tuple[int, str]  # the feed and the format


class Kept(msgspec.Struct, frozen=True):
    """A rendered feed."""

    data: bytes
    tag: str
    updated_ms: int


class Mirrors:
    """The feeds asked for last; each is rendered by one request at a time."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Key, tuple[Kept, float, int]] = OrderedDict()
        self._locks: dict[Key, asyncio.Lock] = {}

    async def get(self, key: Key, happened: int, make: Callable[[], Awaitable[Kept]]) -> Kept:
        """Return the feed, made anew where it may have changed; `happened` counts what did so far."""
        async with self._locks.setdefault(key, asyncio.Lock()):
            kept, at, then = self._kept.get(key, (None, 0.0, 0))
            age = time.monotonic() - at
            if kept is None or age > LONGEST_SECONDS or (age > FRESH_SECONDS and happened != then):
                kept = await make()
                self._kept[key] = (kept, time.monotonic(), happened)
                self._forget()
            self._kept.move_to_end(key)
            return kept

    def _forget(self) -> None:
        while len(self._kept) > MOST:
            key, _ = self._kept.popitem(last=False)
            self._locks.pop(key, None)
