"""Builds the record of every poll that has become complete, keeps it, and announces it."""

import asyncio
import hashlib
import time
from contextlib import suppress

import msgspec
import structlog
from sqlalchemy import Row, delete, select, update
from sqlalchemy.exc import SQLAlchemyError

from services.api import record
from services.api.database import Database
from services.api.facts import Facts
from services.api.reading import read_facts, ready
from services.api.tables import polls, touched
from services.api.waiters import Waiters
from services.api.wire import Record
from services.api.wording import Wording
from shared import metrics
from shared.bus import Bus, BusUnavailable
from shared.messages import RecordCompleted

log = structlog.get_logger()

LARGEST_ANNOUNCED = 8 * 1024 * 1024  # bytes of a record that still travels with its announcement
BUILDERS = 2


class Built(msgspec.Struct, frozen=True):
    """A record and its bytes."""

    record: Record
    data: bytes
    digest: str


class Completer:
    """Looks at the polls that events have touched."""

    def __init__(self, database: Database, bus: Bus, wording: Wording, waiters: Waiters, *, deadline: float) -> None:
        self._database = database
        self._bus = bus
        self._wording = wording
        self._waiters = waiters
        self._deadline = deadline
        self._queue: asyncio.Queue[str] = asyncio.Queue()
        self._queued: set[str] = set()
        self._builders = [asyncio.create_task(self._run()) for _ in range(BUILDERS)]

    def look_at(self, request_ids: set[str]) -> None:
        """Have these polls looked at, each once however often it is named meanwhile."""
        for request_id in sorted(request_ids - self._queued):
            self._queue.put_nowait(request_id)
        self._queued |= request_ids

    async def close(self) -> None:
        """Stop; what is not built yet is noted in the database."""
        for builder in self._builders:
            builder.cancel()
        for builder in self._builders:
            with suppress(asyncio.CancelledError):
                await builder

    async def announce(self, request_id: str) -> None:
        """Publish that the record is complete, and remember that this is done."""
        async with self._database.read() as connection:
            poll = (await connection.execute(select(polls).where(polls.c.request_id == request_id))).one()
        await self._bus.publish(announcement(poll))
        async with self._database.write() as connection:
            await connection.execute(
                update(polls)
                .where(polls.c.request_id == request_id, polls.c.digest == poll.digest)
                .values(announced=True)
            )

    async def _run(self) -> None:
        while True:
            request_id = await self._queue.get()
            self._queued.discard(request_id)
            with structlog.contextvars.bound_contextvars(requestId=request_id):
                try:
                    await self._complete(request_id)
                except (SQLAlchemyError, OSError, BusUnavailable) as error:  # the clock finds it again
                    log.warning("record not completed yet", reason=str(error).splitlines()[0])
                except Exception:
                    log.exception("record not built")

    async def _complete(self, request_id: str) -> None:
        async with self._database.read() as connection:
            version = (
                await connection.execute(select(touched.c.version).where(touched.c.request_id == request_id))
            ).scalar()
            poll = (await connection.execute(select(polls).where(polls.c.request_id == request_id))).first()
            if poll is None or version is None:
                return
            is_ready = request_id in await ready(connection, [request_id])
            facts = await read_facts(connection, poll, now_ms=_now()) if is_ready else None
        built = facts and await asyncio.to_thread(self._build, facts, poll)
        kept = await self._keep(poll, version, built, ready=is_ready)
        self._waiters.tell(request_id)
        if kept and built:
            log.info("record complete", feed=poll.feed, mirrored=built.record.images_mirrored)
            await self.announce(request_id)

    def _build(self, facts: Facts, poll: Row[tuple[object, ...]]) -> Built | None:
        """Return the record, None where it is already the one that we have."""
        with metrics.stage("assemble"):
            built = _encoded(record.build(facts, self._wording, deadline=self._deadline))
            if poll.record is None or poll.completed_ms is None:
                return built
            if built.digest == poll.digest:
                return None
            now = msgspec.structs.replace(facts.poll, updated_ms=_now())
            return _encoded(
                record.build(msgspec.structs.replace(facts, poll=now), self._wording, deadline=self._deadline)
            )

    async def _keep(self, poll: Row[tuple[object, ...]], version: int, built: Built | None, *, ready: bool) -> bool:
        """Store what was built from this version of the facts; False where others came or nothing is new."""
        async with self._database.write() as connection:
            mine = await connection.execute(
                delete(touched).where(touched.c.request_id == poll.request_id, touched.c.version == version)
            )
            if not mine.rowcount:
                self.look_at({poll.request_id})
                return False
            if built:
                values = _columns(poll, built)
                await connection.execute(update(polls).where(polls.c.request_id == poll.request_id).values(values))
            elif ready:
                await connection.execute(
                    update(polls).where(polls.c.request_id == poll.request_id, polls.c.waiting).values(waiting=False)
                )
        if built:
            metrics.RECORDS.labels("ok" if built.record.code else "failed").inc()
        return built is not None


def announcement(poll: Row[tuple[object, ...]]) -> RecordCompleted:
    """Return the event that announces the poll's record."""
    data: bytes = poll.record
    return RecordCompleted(
        request_id=poll.request_id,
        feed=poll.feed,
        ok=poll.ok,
        articles=poll.articles,
        mirrored=poll.mirrored,
        failed=poll.failed,
        digest=poll.digest,
        record=msgspec.Raw(data if len(data) <= LARGEST_ANNOUNCED else b"null"),
    )


def _columns(poll: Row[tuple[object, ...]], built: Built) -> dict[str, object]:
    made = built.record
    again = poll.record is not None and poll.completed_ms is not None
    return {
        "waiting": False,
        "open": False,
        "record": built.data,
        "digest": built.digest,
        "ok": bool(made.code),
        "articles": made.figures.new_articles,
        "mirrored": made.images_mirrored,
        "failed": made.images - made.images_mirrored,
        "bytes": made.figures.total_bytes,
        "total_ms": made.figures.total_ms,
        "completed_ms": poll.completed_ms or made.stages.start + made.figures.total_ms,
        "updated_ms": _now() if again else poll.updated_ms,
        "announced": False,
    }


def _encoded(made: Record) -> Built:
    data = record.encode(made)
    return Built(made, data, hashlib.sha256(data).hexdigest()[:32])


def _now() -> int:
    return int(time.time() * 1000)
