"""The pull loop: asks one consumer for as many messages as workers wait for (ADR-13).

The client's own `fetch` stays dead for seconds after a broker's death; this loop resumes at once.
"""

import asyncio
import json
from collections.abc import Mapping
from contextlib import suppress

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg

from shared.topology import Consumer

EXPIRES = 30.0  # seconds until an open pull request ends by itself
HEARTBEAT = 5.0  # seconds between the broker's signs of life on it
LEAVING = 1.0  # seconds for what is on its way to arrive once the mailbox is closed
QUIET = 0.1  # seconds without a message after which an open request is taken to bring none


class NatsMailbox:
    """Pulls from one consumer as many messages as workers wait for.

    One pull request is open at a time, on an inbox of our own: its heartbeats tell a dead one from a quiet
    one, and a reconnect opens a new one at once.
    """

    def __init__(self, client: Client, consumer: Consumer) -> None:
        self._client = client
        self._next = f"$JS.API.CONSUMER.MSG.NEXT.{consumer.stream}.{consumer.name}"
        self._inbox = client.new_inbox()
        self._ready: asyncio.Queue[NatsDelivery | None] = asyncio.Queue()
        self._waiting = 0  # workers without a message
        self._open = 0  # messages that the open request may still bring
        self._requests = 0
        self._heard = 0.0
        self._wake = asyncio.Event()
        self._closed = False
        self._pulling = asyncio.create_task(self._pull())

    async def receive(self) -> "NatsDelivery | None":
        """See `Mailbox.receive`."""
        if self._closed:
            return None
        self._waiting += 1
        self._wake.set()
        try:
            return await self._ready.get()
        finally:
            self._waiting -= 1

    async def close(self) -> None:
        """See `Mailbox.close`."""
        self._closed = True
        self._wake.set()
        await asyncio.wait({self._pulling})
        while not self._ready.empty():
            if delivery := self._ready.get_nowait():
                await delivery.nak(0)
        for _ in range(self._waiting):
            self._ready.put_nowait(None)

    def reset(self) -> None:
        """Forget the open request: the broker that had it is gone."""
        self._open = 0
        self._wake.set()

    async def _pull(self) -> None:
        subscription = await self._client.subscribe(
            f"{self._inbox}.*", cb=self._on_message, pending_msgs_limit=-1, pending_bytes_limit=-1
        )
        while not self._closed:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), HEARTBEAT)
            self._wake.clear()
            if self._open and asyncio.get_running_loop().time() - self._heard > 2 * HEARTBEAT:
                self._open = 0
            demand = self._waiting - self._ready.qsize()
            if demand > 0 and not self._open and self._client.is_connected and not self._closed:
                await self._ask(demand)
        with suppress(nats.errors.Error, TimeoutError):
            async with asyncio.timeout(LEAVING):  # a broker that is away does not answer
                await self._quiet()
                await subscription.drain()  # what is on its way arrives, so that `close` can give it back

    async def _quiet(self) -> None:
        """Wait for what the open request is bringing: the broker drops what it sends to an inbox that is gone."""
        while self._open and (left := self._heard + QUIET - asyncio.get_running_loop().time()) > 0:  # noqa: ASYNC110
            await asyncio.sleep(left)

    async def _ask(self, batch: int) -> None:
        self._requests += 1
        self._open = batch
        self._heard = asyncio.get_running_loop().time()
        request = {"batch": batch, "expires": int(EXPIRES * 1e9), "idle_heartbeat": int(HEARTBEAT * 1e9)}
        with suppress(nats.errors.Error):
            reply = f"{self._inbox}.{self._requests}"
            await self._client.publish(self._next, json.dumps(request).encode(), reply=reply)

    async def _on_message(self, message: Msg) -> None:
        self._heard = asyncio.get_running_loop().time()
        status = (message.headers or {}).get("Status")
        if status is None:
            self._open = max(0, self._open - 1)
            self._ready.put_nowait(NatsDelivery(message))
        elif status != "100" and message.subject.endswith(f".{self._requests}"):
            if status not in {"404", "408"}:  # no leader, consumer gone: ask again, but not in a tight loop
                await asyncio.sleep(0.25)
            self._open = 0
        self._wake.set()


class NatsDelivery:
    """A message in hand."""

    def __init__(self, message: Msg) -> None:
        self._message = message
        self.subject = message.subject
        self.data = message.data
        self.headers: Mapping[str, str] = message.headers or {}
        metadata = message.metadata
        self.sequence = metadata.sequence.stream
        self.published = metadata.timestamp.timestamp()
        self.tries = metadata.num_delivered

    async def ack(self) -> None:
        """See `Delivery.ack`; a lost one means a redelivery, which handlers are made for."""
        with suppress(nats.errors.Error):
            await self._message.ack()

    async def nak(self, delay: float) -> None:
        """See `Delivery.nak`."""
        with suppress(nats.errors.Error):
            await self._message.nak(delay=delay or None)

    async def in_progress(self) -> None:
        """See `Delivery.in_progress`."""
        with suppress(nats.errors.Error):
            await self._message.in_progress()
