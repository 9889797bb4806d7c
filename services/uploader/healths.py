"""The health of every account, shared by all replicas through the bus's keys."""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress

import msgspec

from services.uploader.health import Health, used
from shared.bus import BusUnavailable, Conflict, KeyValue

FRESH_SECONDS = 1.0  # how old another replica's news may be
FLUSH_SECONDS = 1.0  # how long use is added up before it is written

_decode = msgspec.json.Decoder(Health).decode


class Healths:
    """Reads through a short memory, writes by compare and swap."""

    def __init__(self, bucket: KeyValue) -> None:
        self._bucket = bucket
        self._known: dict[str, tuple[Health, float]] = {}
        self._unwritten: dict[str, tuple[int, int]] = {}
        self._flushing: asyncio.Task[None] | None = None
        self._closing = asyncio.Event()

    async def read(self, account: str) -> Health:
        """Return the account's health, at most a second old and with all that this replica knows."""
        known, at = self._known.get(account, (Health(), -FRESH_SECONDS))
        if time.monotonic() - at >= FRESH_SECONDS:
            known, _ = await self._fetch(account)
        objects, size = self._unwritten.get(account, (0, 0))
        return used(known, objects=objects, bytes=size)

    async def change(self, account: str, change: Callable[[Health], Health]) -> Health:
        """Write what `change` makes of the account's health, as often as it takes; return it."""
        while True:
            before, revision = await self._fetch(account)
            after = change(before)
            if after == before:
                return after
            try:
                await self._write(account, after, revision)
            except Conflict:
                continue
            self._known[account] = after, time.monotonic()
            return after

    def add(self, account: str, *, objects: int, size: int) -> None:
        """Count an object into the account's use; written within a second, together with others."""
        self._add(account, objects, size)
        if self._flushing is None or self._flushing.done():
            self._flushing = asyncio.create_task(self._flush_soon())

    async def flush(self) -> None:
        """Write the use that is not written yet."""
        for account in list(self._unwritten):
            objects, size = self._unwritten.pop(account)
            try:
                await self.change(account, lambda health, o=objects, s=size: used(health, objects=o, bytes=s))
            except BusUnavailable:
                self._add(account, objects, size)

    async def close(self) -> None:
        """Write what is left and stop."""
        self._closing.set()
        if self._flushing is not None:
            await self._flushing
        await self.flush()

    def _add(self, account: str, objects: int, size: int) -> None:
        before = self._unwritten.get(account, (0, 0))
        self._unwritten[account] = before[0] + objects, before[1] + size

    async def _flush_soon(self) -> None:
        while self._unwritten and not self._closing.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), FLUSH_SECONDS)
            await self.flush()

    async def _fetch(self, account: str) -> tuple[Health, int]:
        entry = await self._bucket.get(account)
        health = _decode(entry.value) if entry else Health()
        self._known[account] = health, time.monotonic()
        return health, entry.revision if entry else 0

    async def _write(self, account: str, health: Health, revision: int) -> None:
        value = msgspec.json.encode(health)
        if revision:
            await self._bucket.update(account, value, revision)
        else:
            await self._bucket.create(account, value)
