"""Answers requests on a subject as a member of a queue group, several at a time."""

import asyncio
from contextlib import suppress

import nats.errors
import structlog
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from shared import tracing
from shared.bus import Answer
from shared.nats.errors import TRANSIENT

log = structlog.get_logger()


class NatsServing:
    """Answers requests, a task each, `slots` at a time."""

    def __init__(self, answer: Answer, slots: int) -> None:
        self.subscription: Subscription | None = None
        self._answer = answer
        self._slots = asyncio.Semaphore(slots)
        self._tasks: set[asyncio.Task[None]] = set()

    async def on_request(self, message: Msg) -> None:
        """Start answering once a slot is free."""
        await self._slots.acquire()
        task = asyncio.create_task(self._respond(message))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def stop(self) -> None:
        """See `Serving.stop`."""
        if self.subscription is not None:
            with suppress(nats.errors.Error):
                await self.subscription.drain()
        await asyncio.gather(*self._tasks)

    async def _respond(self, message: Msg) -> None:
        try:
            with tracing.span(message.subject, message.headers or {}):
                answer = await self._answer(message.data)
            with suppress(*TRANSIENT):
                await message.respond(answer)
        except Exception:
            log.exception("request failed", subject=message.subject)
        finally:
            self._slots.release()
