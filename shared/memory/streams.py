"""Streams, and the consumers that hand out their messages until each is settled."""

import asyncio
import fnmatch
import time
from collections import OrderedDict, deque
from collections.abc import Mapping

from shared.topology import Consumer, Stream


class Stored:
    """A message in a stream."""

    def __init__(self, sequence: int, subject: str, data: bytes, headers: Mapping[str, str]) -> None:
        self.sequence = sequence
        self.subject = subject
        self.data = data
        self.headers = headers
        self.published = time.time()


class MemoryStream:
    """Messages in order, and the consumers that read them."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._messages: dict[int, Stored] = {}
        self._last = 0
        self._seen: OrderedDict[str, float] = OrderedDict()
        self._consumers: dict[str, MemoryConsumer] = {}

    def takes(self, subject: str) -> bool:
        """Whether the subject is one of the stream's."""
        return any(matches(pattern, subject) for pattern in self._stream.subjects)

    def subjects(self) -> set[str]:
        """The subjects that hold a message."""
        return {message.subject for message in self._messages.values()}

    def add(self, subject: str, data: bytes, headers: Mapping[str, str]) -> bool:
        """Keep the message unless it is a repeat or refused; say whether it was kept."""
        if self._repeat(headers.get("Nats-Msg-Id")):
            return False
        if self._stream.one_per_subject:
            waiting = [number for number, message in self._messages.items() if message.subject == subject]
            if waiting and self._stream.refuse_second:
                return False
            for number in waiting:
                del self._messages[number]
        self._last += 1
        self._messages[self._last] = stored = Stored(self._last, subject, data, headers)
        for consumer in self._consumers.values():
            consumer.offer(stored)
        return True

    def purge(self, subject: str) -> None:
        """Drop the subject's messages."""
        self._messages = {n: m for n, m in self._messages.items() if m.subject != subject}

    def holds(self, sequence: int) -> bool:
        """Whether the message is still there."""
        return sequence in self._messages

    def settled(self, sequence: int) -> None:
        """A consumer has acked the message: a work queue forgets it."""
        if self._stream.work_queue:
            self._messages.pop(sequence, None)

    def mailbox(self, consumer: Consumer) -> "MemoryMailbox":
        """Open a mailbox of the consumer."""
        if consumer.name not in self._consumers:
            self._consumers[consumer.name] = shared = MemoryConsumer(self, consumer)
            for stored in self._messages.values():
                shared.offer(stored)
        return MemoryMailbox(self._consumers[consumer.name])

    def _repeat(self, message_id: str | None) -> bool:
        now = time.monotonic()
        while self._seen and next(iter(self._seen.values())) < now - self._stream.duplicate_window:
            self._seen.popitem(last=False)
        if message_id is None:
            return False
        if message_id in self._seen:
            return True
        self._seen[message_id] = now
        return False


class MemoryConsumer:
    """What one consumer has still to handle, shared by all mailboxes that are open on it."""

    def __init__(self, stream: MemoryStream, consumer: Consumer) -> None:
        self._stream = stream
        self._filter = consumer.filter
        self._ready: deque[MemoryDelivery] = deque()
        self._news = asyncio.Event()

    def offer(self, stored: Stored, tries: int = 1) -> None:
        """Take a message of the stream, if the consumer's filter wants it."""
        if matches(self._filter, stored.subject):
            self._ready.append(MemoryDelivery(self, stored, tries))
            self.wake()

    def again(self, delivery: "MemoryDelivery", delay: float) -> None:
        """Deliver it once more, after `delay` seconds."""
        loop = asyncio.get_running_loop()
        loop.call_later(delay, self.offer, delivery.stored, delivery.tries + 1)

    def settled(self, sequence: int) -> None:
        """The message was acked."""
        self._stream.settled(sequence)

    def take(self) -> "MemoryDelivery | None":
        """Return the next message, None where none waits; what was replaced or purged meanwhile is left out."""
        while self._ready:
            delivery = self._ready.popleft()
            if self._stream.holds(delivery.sequence):
                return delivery
        return None

    async def news(self) -> None:
        """Wait until it is worth looking again."""
        await self._news.wait()

    def wake(self) -> None:
        """Have everybody who waits look again."""
        self._news.set()
        self._news = asyncio.Event()


class MemoryMailbox:
    """One service's hand in a consumer's messages."""

    def __init__(self, consumer: MemoryConsumer) -> None:
        self._consumer = consumer
        self._closed = False

    async def receive(self) -> "MemoryDelivery | None":
        """See `Mailbox.receive`."""
        while not self._closed:
            if delivery := self._consumer.take():
                return delivery
            await self._consumer.news()
        return None

    async def close(self) -> None:
        """See `Mailbox.close`."""
        self._closed = True
        self._consumer.wake()


class MemoryDelivery:
    """A message in hand; without a crash there is no silence to time out, so it waits for its settling."""

    def __init__(self, consumer: MemoryConsumer, stored: Stored, tries: int) -> None:
        self._consumer = consumer
        self._settled = False
        self.stored = stored
        self.subject = stored.subject
        self.data = stored.data
        self.headers = stored.headers
        self.sequence = stored.sequence
        self.published = stored.published
        self.tries = tries

    async def ack(self) -> None:
        """See `Delivery.ack`."""
        self._settled = True
        self._consumer.settled(self.sequence)

    async def nak(self, delay: float) -> None:
        """See `Delivery.nak`."""
        if not self._settled:
            self._settled = True
            self._consumer.again(self, delay)

    async def in_progress(self) -> None:
        """See `Delivery.in_progress`."""


def matches(pattern: str, subject: str) -> bool:
    """Whether a NATS subject pattern (`*` one token, `>` the rest) takes the subject."""
    wanted, tokens = pattern.split("."), subject.split(".")
    if wanted[-1] == ">":
        wanted, tokens = wanted[:-1], tokens[: len(wanted) - 1] if len(tokens) >= len(wanted) else []
    return len(wanted) == len(tokens) and all(map(fnmatch.fnmatchcase, tokens, wanted))
