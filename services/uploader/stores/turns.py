"""One writer at a time per account over all replicas, and what the writers hand on to each other."""

import asyncio
import math
import time
import uuid
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress

import msgspec

from services.uploader.stores.github_budget import Budget
from services.uploader.stores.store import RateLimited
from shared.bus import Conflict, KeyEntry, KeyValue
from shared.errors import HalftoneError
from shared.memory import MemoryBus
from shared.topology import ACCOUNTS

LEASE_SECONDS = 10.0  # a writer that did not renew for so long is dead
RENEW_SECONDS = 3.0
LOOK_SECONDS, OFTENEST_LOOK = 0.5, 0.1
POLITE_SECONDS = 15.0  # who had a turn so lately lets others go first
AGING_SECONDS = 10.0  # who has waited so long looks twice as often as a newcomer, and so on
PATIENCE_SECONDS = 300.0


class Ledger(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the next writer must know."""

    writer: str = ""  # nobody
    beat: int = 0
    budget: Budget = Budget()
    repository: int = 0  # the number of the one that is being filled; 0: not looked at yet
    repository_bytes: int = 0


_decode = msgspec.json.Decoder(Ledger).decode


class Turn:
    """The right to write; whoever has it keeps the ledger."""

    def __init__(self, bucket: KeyValue, key: str, ledger: Ledger, revision: int, written: float) -> None:
        self._bucket = bucket
        self._key = key
        self._revision = revision
        self._writing = asyncio.Lock()
        self._written = written
        self.ledger = ledger

    @property
    def held(self) -> bool:
        """Whether nobody can have taken us for dead: a process that was stopped for a while learns it here."""
        return time.monotonic() - self._written < LEASE_SECONDS

    async def renew(self) -> None:
        """Write the ledger down every few seconds, until cancelled or the turn is lost."""
        try:
            while True:
                await asyncio.sleep(RENEW_SECONDS)
                self.ledger = msgspec.structs.replace(self.ledger, beat=self.ledger.beat + 1)
                await self._write()
        except HalftoneError:
            return

    async def rest(self, renewing: asyncio.Task[None]) -> None:
        """Stop renewing, but not in the middle of a write: its revision would be lost, and with it the turn's end."""
        async with self._writing:
            renewing.cancel()

    async def end(self) -> None:
        """Hand the ledger on."""
        self.ledger = msgspec.structs.replace(self.ledger, writer="", beat=0)
        await self._write()

    async def _write(self) -> None:
        async with self._writing:
            value, now = msgspec.json.encode(self.ledger), time.monotonic()
            self._revision = await self._bucket.update(self._key, value, self._revision)
            self._written = now


class Turns:
    """Who writes into which account; alone until a bucket is shared with other replicas."""

    def __init__(self) -> None:
        self._bucket: KeyValue = MemoryBus().bucket(ACCOUNTS)
        self._us = uuid.uuid4().hex
        self._last: dict[str, float] = {}  # when we began our last turn

    def share(self, bucket: KeyValue) -> None:
        """Take turns with all who use this bucket."""
        self._bucket = bucket

    @asynccontextmanager
    async def take(self, account: str) -> AsyncGenerator[Turn]:
        """Wait for the account's turn; raises `RateLimited` after five minutes."""
        turn = await self._wait(f"writer.{account}")
        renewing = asyncio.create_task(turn.renew())
        try:
            yield turn
        finally:
            await turn.rest(renewing)
            with suppress(Conflict):  # somebody took us for dead; their ledger counts
                await turn.end()

    async def ledger(self, account: str) -> Ledger:
        """Return the account's ledger as last written down."""
        entry = await self._bucket.get(f"writer.{account}")
        return _decode(entry.value) if entry else Ledger()

    async def _wait(self, key: str) -> Turn:
        began = since = time.monotonic()
        seen = 0
        if time.monotonic() - self._last.get(key, -math.inf) < POLITE_SECONDS:
            await asyncio.sleep(LOOK_SECONDS)  # after us, others
        while True:
            entry = await self._bucket.get(key)
            if entry and entry.revision != seen:
                seen, since = entry.revision, time.monotonic()
            ledger = _decode(entry.value) if entry else Ledger()
            if not ledger.writer or time.monotonic() - since >= LEASE_SECONDS:
                turn = await self._begin(key, ledger, entry)
                if turn:
                    self._last[key] = time.monotonic()
                    return turn
            waited = time.monotonic() - began
            if waited >= PATIENCE_SECONDS:
                raise RateLimited("other uploaders are writing into the account", after=LEASE_SECONDS)
            await asyncio.sleep(max(min(OFTENEST_LOOK, LOOK_SECONDS), LOOK_SECONDS / (1 + waited / AGING_SECONDS)))

    async def _begin(self, key: str, ledger: Ledger, entry: KeyEntry | None) -> Turn | None:
        ours = msgspec.structs.replace(ledger, writer=self._us, beat=0)
        value, now = msgspec.json.encode(ours), time.monotonic()
        try:
            if entry is None:
                revision = await self._bucket.create(key, value)
            else:
                revision = await self._bucket.update(key, value, entry.revision)
        except Conflict:
            return None
        return Turn(self._bucket, key, ours, revision, now)
