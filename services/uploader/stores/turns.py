"""One writer at a time per account over all replicas, and what the writers hand on to each other."""

import asyncio
import time
import uuid
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress

import msgspec

from services.uploader.stores.github_budget import Budget
from shared.bus import Conflict, KeyEntry, KeyValue
from shared.errors import HalftoneError, Retry
from shared.memory import MemoryBus
from shared.topology import ACCOUNTS

LEASE_SECONDS = 10.0  # a writer that did not renew for so long is dead
RENEW_SECONDS = 3.0
LOOK_SECONDS = 0.5
PATIENCE_SECONDS = 120.0


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

    def __init__(self, bucket: KeyValue, key: str, ledger: Ledger, revision: int) -> None:
        self._bucket = bucket
        self._key = key
        self._revision = revision
        self._writing = asyncio.Lock()
        self.ledger = ledger

    async def renew(self) -> None:
        """Write the ledger down every few seconds, until cancelled or the turn is lost."""
        try:
            while True:
                await asyncio.sleep(RENEW_SECONDS)
                self.ledger = msgspec.structs.replace(self.ledger, beat=self.ledger.beat + 1)
                await self._write()
        except HalftoneError:
            return

    async def end(self) -> None:
        """Hand the ledger on."""
        self.ledger = msgspec.structs.replace(self.ledger, writer="", beat=0)
        await self._write()

    async def _write(self) -> None:
        async with self._writing:
            value = msgspec.json.encode(self.ledger)
            self._revision = await self._bucket.update(self._key, value, self._revision)


class Turns:
    """Who writes into which account; alone until a bucket is shared with other replicas."""

    def __init__(self) -> None:
        self._bucket: KeyValue = MemoryBus().bucket(ACCOUNTS)
        self._us = uuid.uuid4().hex

    def share(self, bucket: KeyValue) -> None:
        """Take turns with all who use this bucket."""
        self._bucket = bucket

    @asynccontextmanager
    async def take(self, account: str) -> AsyncGenerator[Turn]:
        """Wait for the account's turn; raises `Retry` after two minutes."""
        turn = await self._wait(f"writer.{account}")
        renewing = asyncio.create_task(turn.renew())
        try:
            yield turn
        finally:
            renewing.cancel()
            with suppress(Conflict):  # somebody took us for dead; their ledger counts
                await turn.end()

    async def ledger(self, account: str) -> Ledger:
        """Return the account's ledger as last written down."""
        entry = await self._bucket.get(f"writer.{account}")
        return _decode(entry.value) if entry else Ledger()

    async def _wait(self, key: str) -> Turn:
        began = since = time.monotonic()
        seen = 0
        while True:
            entry = await self._bucket.get(key)
            if entry and entry.revision != seen:
                seen, since = entry.revision, time.monotonic()
            ledger = _decode(entry.value) if entry else Ledger()
            if not ledger.writer or time.monotonic() - since >= LEASE_SECONDS:
                turn = await self._begin(key, ledger, entry)
                if turn:
                    return turn
            elif time.monotonic() - began >= PATIENCE_SECONDS:
                raise Retry("other uploaders are writing into the account")
            await asyncio.sleep(LOOK_SECONDS)

    async def _begin(self, key: str, ledger: Ledger, entry: KeyEntry | None) -> Turn | None:
        ours = msgspec.structs.replace(ledger, writer=self._us, beat=0)
        value = msgspec.json.encode(ours)
        try:
            if entry is None:
                revision = await self._bucket.create(key, value)
            else:
                revision = await self._bucket.update(key, value, entry.revision)
        except Conflict:
            return None
        return Turn(self._bucket, key, ours, revision)
