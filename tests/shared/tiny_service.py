"""The smallest service there is: what the tests of the service runner start as a process of its own."""

import asyncio
from collections.abc import AsyncIterator, Sequence

import structlog

from shared.actor import Actor, Envelope
from shared.bus import Bus
from shared.errors import Reject, Retry
from shared.messages import AnyMessage, FeedDue, FeedPolled, Message
from shared.service import run
from shared.settings import Settings
from shared.topology import FETCHER

log = structlog.get_logger()


class TinySettings(Settings, frozen=True, kw_only=True):
    work_seconds: float = 0.0


class Tiny:
    consumer = FETCHER
    max_tries = 3

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    async def handle(self, message: AnyMessage, envelope: Envelope) -> AsyncIterator[Sequence[Message]]:
        assert isinstance(message, FeedDue)
        log.info("took", tries=envelope.tries)
        await asyncio.sleep(self._seconds)
        yield [FeedPolled(request_id=message.request_id, feed=message.feed, asked=True, ok=True)]

    def settle_failed(self, message: AnyMessage, envelope: Envelope, error: Reject | Retry) -> Sequence[Message]:
        del message, envelope, error
        return []


class Running:
    def __init__(self, actor: Actor) -> None:
        self._actor = actor

    def not_ready(self) -> str:
        return ""

    async def drain(self) -> None:
        await self._actor.drain()

    async def abort(self) -> None:
        await self._actor.abort()


async def start(bus: Bus, settings: TinySettings) -> Running:
    return Running(Actor(bus, Tiny(settings.work_seconds), tasks=settings.concurrency or 2))


if __name__ == "__main__":
    run("tiny", TinySettings, start)
