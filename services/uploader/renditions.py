"""Which content is stored where: one key per content hash, claimed before the upload, so that none is stored twice."""

import asyncio
import time
import uuid
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Literal

import msgspec

from shared.bus import BusUnavailable, Conflict, KeyEntry, KeyValue
from shared.errors import Retry

LEASE_SECONDS = 10.0  # a claim that did not change for so long was left by a replica that died
RENEW_SECONDS = 2.0
LOOK_SECONDS = 0.1  # between two looks at somebody else's claim
TAKEN_OVER = "another uploader took this rendition over"
REMEMBER_SECONDS = 3600.0  # how exact the time of the last use is


class Rendition(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is known of one content."""

    state: Literal["claimed", "free", "stored"]
    name: str  # the object's
    owner: str = ""  # of the claim
    account: str = ""  # where it is, or where it may be while it is claimed
    url: str = ""
    used: float = 0.0  # epoch seconds when these bytes were last uploaded, an hour more or less
    asker: str = ""  # whose upload made it

    def made_for(self, asker: str) -> bool:
        """Tell whether it was this very upload that made it, in which case its answer may have got lost."""
        return asker != "" and self.asker == asker


_decode = msgspec.json.Decoder(Rendition).decode


class Claim:
    """The right to store (or remove) one content; everybody else waits while it is renewed."""

    def __init__(self, bucket: KeyValue, content: str, rendition: Rendition, revision: int, *, inherited: bool) -> None:
        self._bucket = bucket
        self._content = content
        self._revision = revision
        self._writing = asyncio.Lock()
        self._lost = False
        self.rendition = rendition
        self.inherited = inherited  # whoever had it before may have stored the bytes

    async def move(self, account: str) -> None:
        """Say where the bytes are going, before they go there. Raises `Retry` where the claim is lost."""
        if account != self.rendition.account:
            await self._write(msgspec.structs.replace(self.rendition, account=account))

    async def finish(self, url: str) -> None:
        """Say where the bytes are. Raises `Retry` where the claim is lost."""
        await self._write(msgspec.structs.replace(self.rendition, state="stored", url=url, used=time.time()))

    async def release(self, account: str) -> None:
        """Let anybody try at once; `account` may have the bytes, "" for none. Raises `Retry` like the others."""
        await self._write(msgspec.structs.replace(self.rendition, state="free", account=account))

    @asynccontextmanager
    async def renewed(self) -> AsyncGenerator[None]:
        """Keep the claim for as long as the block runs.

        Raises:
            Retry: The claim is lost: the block was stopped, lest both store the bytes.
        """
        renewing = asyncio.create_task(self._renew(asyncio.current_task()))
        try:
            yield
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if not self._lost or (task and task.uncancel()):
                raise
            raise Retry(TAKEN_OVER) from None
        finally:
            renewing.cancel()

    async def _renew(self, worker: asyncio.Task[None] | None) -> None:
        try:
            while True:
                await asyncio.sleep(RENEW_SECONDS)
                await self._write(self.rendition)
        except BusUnavailable:
            return  # the worker learns it from its next write
        except Retry:
            self._lost = True
            if worker:
                worker.cancel()

    async def _write(self, rendition: Rendition) -> None:
        async with self._writing:
            try:
                self._revision = await self._bucket.update(
                    self._content, msgspec.json.encode(rendition), self._revision
                )
            except Conflict:
                raise Retry(TAKEN_OVER) from None
            self.rendition = rendition


class Renditions:
    """All contents that are stored or being stored."""

    def __init__(self, bucket: KeyValue) -> None:
        self._bucket = bucket
        self._owner = uuid.uuid4().hex

    async def claim(self, content: str, name: str, account: str, asker: str = "") -> Claim | Rendition:
        """Return the stored rendition, or else the claim to store it, once nobody else holds it.

        A claim that nobody had before is for `name` in `account`, an inherited one for what it was for.
        """
        ours = msgspec.structs.replace(self._ours(name, account), asker=asker)
        claim = await self._take(content, ours, None)
        seen, since = 0, time.monotonic()
        while claim is None:
            entry = await self._bucket.get(content)
            rendition = _decode(entry.value) if entry else None
            if entry and rendition and rendition.state == "stored":
                await self._remember_use(content, rendition, entry)
                return rendition
            if entry and entry.revision != seen:
                seen, since = entry.revision, time.monotonic()
            if not rendition or rendition.state == "free" or time.monotonic() - since >= LEASE_SECONDS:
                claim = await self._take(content, self._after(rendition) if rendition else ours, entry)
            else:
                await asyncio.sleep(LOOK_SECONDS)
        return claim

    async def stored(self, content: str) -> Rendition | None:
        """Return where the content is stored, None where that is not known."""
        entry = await self._bucket.get(content)
        rendition = _decode(entry.value) if entry else None
        return rendition if rendition and rendition.state == "stored" else None

    @asynccontextmanager
    async def removing(self, content: str, account: str, name: str, *, unused_since: float) -> AsyncGenerator[bool]:
        """Tell whether the object may be removed in the block; afterwards its content is forgotten.

        It may not where its bytes were uploaded again after `unused_since` (epoch seconds) or are just now.
        """
        entry = await self._bucket.get(content)
        rendition = _decode(entry.value) if entry else None
        if rendition and rendition.state == "stored" and (rendition.account, rendition.name) != (account, name):
            yield True  # a second copy, to which no URL that we gave out leads
            return
        recent = rendition is not None and rendition.used > unused_since
        claim = None if recent else await self._take(content, self._ours(name, account), entry)
        if claim is None:
            yield False
            return
        async with claim.renewed():
            yield True
        await self._bucket.delete(content)

    def _ours(self, name: str, account: str) -> Rendition:
        return Rendition(state="claimed", owner=self._owner, name=name, account=account, used=time.time())

    def _after(self, before: Rendition) -> Rendition:
        """Claim what a dead replica may have stored already: same name, same account."""
        return msgspec.structs.replace(before, state="claimed", owner=self._owner, used=time.time())

    async def _take(self, content: str, rendition: Rendition, entry: KeyEntry | None) -> Claim | None:
        value = msgspec.json.encode(rendition)
        try:
            if entry is None:
                revision = await self._bucket.create(content, value)
            else:
                revision = await self._bucket.update(content, value, entry.revision)
        except Conflict:
            return None
        return Claim(self._bucket, content, rendition, revision, inherited=entry is not None)

    async def _remember_use(self, content: str, rendition: Rendition, entry: KeyEntry) -> None:
        if time.time() - rendition.used > REMEMBER_SECONDS:
            used = msgspec.structs.replace(rendition, used=time.time())
            try:
                await self._bucket.update(content, msgspec.json.encode(used), entry.revision)
            except Conflict:
                return  # somebody else remembered it, or housekeeping removes it: the caller's next look tells
