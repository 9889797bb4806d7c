"""An actor: a mailbox and a handler; decode → handle → publish → settle, one message after the other."""

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Protocol

import msgspec
import structlog

from shared import metrics, tracing
from shared.bus import Bus, BusUnavailable, Delivery, Mailbox
from shared.errors import Reject, Retry, Unavailable
from shared.messages import AnyMessage, Message, decode
from shared.topology import Consumer

log = structlog.get_logger()

PROGRESS_SECONDS = 10.0  # a third of the consumers' ack_wait
LONGEST_PAUSE = 60.0  # seconds: a message given back keeps its slot among those in flight
PUBLISHED_TOGETHER = 128  # messages on their way to the broker at the same time


class Envelope(msgspec.Struct, frozen=True):
    """What the broker knows of a message."""

    sequence: int  # in its stream; the same on a redelivery
    published: float  # epoch seconds, the broker's clock
    tries: int  # deliveries so far, this one included


class Handler(Protocol):
    """The story of a service: takes one message, yields the messages to send; never sees the broker."""

    @property
    def consumer(self) -> Consumer:
        """Whose messages it handles."""
        ...

    @property
    def max_tries(self) -> int:
        """How often a message is tried before it becomes a dead letter."""
        ...

    def handle(self, message: AnyMessage, envelope: Envelope) -> AsyncIterator[Sequence[Message]]:
        """Do the work and yield what to send, a batch at a time: it goes on when the broker has the whole batch.

        So what follows the last `yield` (remembering that it is done) happens only once nothing can be lost.

        Raises:
            Reject: Never try this message again; `settle_failed` says what to send.
            Retry: Try it again later, at most `max_tries` times.
        """
        ...

    def settle_failed(self, message: AnyMessage, envelope: Envelope, error: Reject | Retry) -> Sequence[Message]:
        """Return what to send for a message that is given up, so that nobody waits for it for ever."""
        ...


class Actor:
    """Runs a handler over its mailbox with `tasks` messages in hand at the most."""

    def __init__(self, bus: Bus, handler: Handler, *, tasks: int) -> None:
        self._bus = bus
        self._handler = handler
        self._mailbox: Mailbox = bus.mailbox(handler.consumer)
        self._name = handler.consumer.name
        metrics.actor_starts(self._name)
        self._workers = [asyncio.create_task(self._work()) for _ in range(tasks)]

    async def drain(self) -> None:
        """Stop pulling, finish what is in hand, give back the rest."""
        await self._mailbox.close()
        await asyncio.gather(*self._workers)

    async def abort(self) -> None:
        """Stop pulling, and give back at once what is still in hand."""
        await self._mailbox.close()
        for worker in self._workers:
            worker.cancel()
        await asyncio.gather(*self._workers, return_exceptions=True)

    async def _work(self) -> None:
        while (delivery := await self._mailbox.receive()) is not None:
            try:
                await self._deliver(delivery)
            except BusUnavailable as error:
                log.warning("broker gone; the message will come again", actor=self._name, reason=str(error))
            except asyncio.CancelledError:
                await delivery.nak(0)
                raise
            except Exception:  # a defect in how a failure is settled must not cost a worker
                log.exception("could not settle", actor=self._name, subject=delivery.subject)
                await delivery.nak(backoff(delivery.tries))

    async def _deliver(self, delivery: Delivery) -> None:
        """Handle one delivery to its end: acked, given back, or a dead letter."""
        envelope = Envelope(delivery.sequence, delivery.published, delivery.tries)
        metrics.message_received(self._name, delivery.tries)
        try:
            message = decode(delivery.data)
        except msgspec.DecodeError as error:
            await self._bury(delivery, f"not a message: {error}")
            await delivery.ack()
            return
        about = _log_context(message)
        traced = tracing.span(str(message.__struct_config__.tag), delivery.headers, about.get("requestId", ""))
        with structlog.contextvars.bound_contextvars(**about), metrics.in_hand(self._name), traced:
            async with _kept_alive(delivery):
                await self._handle(delivery, message, envelope)

    async def _handle(self, delivery: Delivery, message: AnyMessage, envelope: Envelope) -> None:
        try:
            async for batch in self._handler.handle(message, envelope):
                await self._publish(batch)
        except Reject as error:
            metrics.message_settled(self._name, "rejected")
            await self._publish(self._handler.settle_failed(message, envelope, error))
        except BusUnavailable:
            raise
        except Retry as error:
            if not await self._gave_up(delivery, message, envelope, error):
                return
        except Exception as error:
            log.exception("handler failed", actor=self._name, tries=envelope.tries)
            defect = Retry(f"{type(error).__name__}: {error}")
            if not await self._gave_up(delivery, message, envelope, defect):
                return
        else:
            metrics.message_settled(self._name, "ok")
        await delivery.ack()

    async def _publish(self, batch: Sequence[Message]) -> None:
        for start in range(0, len(batch), PUBLISHED_TOGETHER):
            together = batch[start : start + PUBLISHED_TOGETHER]
            await asyncio.gather(*(self._bus.publish(message) for message in together))

    async def _gave_up(self, delivery: Delivery, message: AnyMessage, envelope: Envelope, error: Retry) -> bool:
        """Give the message back; after the last try bury it, send what settles it in its stead, and say True."""
        if envelope.tries >= self._handler.max_tries and not isinstance(error, Unavailable):
            await self._bury(delivery, str(error))
            await self._publish(self._handler.settle_failed(message, envelope, error))
            return True
        delay = backoff(envelope.tries) if error.after is None else min(error.after, LONGEST_PAUSE)
        log.info("will try again", actor=self._name, reason=str(error), tries=envelope.tries, delay=round(delay, 1))
        metrics.message_settled(self._name, "retried")
        await delivery.nak(delay)
        return False

    async def _bury(self, delivery: Delivery, reason: str) -> None:
        """Put the message among the dead letters, where people find it with its reason."""
        log.error("dead letter", actor=self._name, subject=delivery.subject, reason=reason)
        metrics.message_settled(self._name, "dead")
        headers = {
            "Halftone-Reason": " ".join(reason.split())[:500],
            "Halftone-Consumer": self._name,
            "Nats-Msg-Id": f"dlq:{delivery.subject}:{delivery.sequence}",
        }
        await self._bus.publish_raw(f"dlq.{delivery.subject}", delivery.data, headers)


def backoff(tries: int) -> float:
    """Return the seconds to wait after the `tries`-th failure: 1, 2, 4 … 30, with jitter."""
    return min(30.0, 2.0 ** (tries - 1)) * random.uniform(0.75, 1.25)  # noqa: S311 - jitter, not a secret


def _log_context(message: AnyMessage) -> dict[str, str]:
    request_id = getattr(message, "request_id", "")
    return {"requestId": request_id} if request_id else {}


@asynccontextmanager
async def _kept_alive(delivery: Delivery) -> AsyncGenerator[None]:
    async def tell() -> None:
        while True:
            await asyncio.sleep(PROGRESS_SECONDS)
            await delivery.in_progress()

    telling = asyncio.create_task(tell())
    try:
        yield
    finally:
        telling.cancel()
