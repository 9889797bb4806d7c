"""The bus in one process's memory: for tests and for learning the system; passes the real one's contract tests."""

import asyncio
import fnmatch
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime

from shared.bus import Answer, Conflict, KeyEntry, NoReply
from shared.messages import FeedDue, Message, encode
from shared.topology import STREAMS, Bucket, Consumer, Stream


class Stored:
    """A message in a stream."""

    def __init__(self, sequence: int, subject: str, data: bytes, headers: Mapping[str, str]) -> None:
        self.sequence = sequence
        self.subject = subject
        self.data = data
        self.headers = headers
        self.published = time.time()


class MemoryBus:
    """The `Bus` protocol without a broker."""

    def __init__(self) -> None:
        self._streams = {stream.name: MemoryStream(stream) for stream in STREAMS}
        self._buckets: dict[str, MemoryBucket] = {}
        self._servers: dict[str, list[MemoryServing]] = {}
        self._followers: list[tuple[str, asyncio.Queue[tuple[str, bytes]]]] = []
        self._schedules: dict[int, asyncio.TimerHandle] = {}

    @property
    def connected(self) -> bool:
        """Always."""
        return True

    async def publish(self, message: Message, *, headers: Mapping[str, str] | None = None) -> None:
        """See `Bus.publish`."""
        all_headers = dict(headers or {})
        if message.message_id:
            all_headers["Nats-Msg-Id"] = message.message_id
        await self.publish_raw(message.subject, encode(message), all_headers)

    async def publish_raw(self, subject: str, data: bytes, headers: Mapping[str, str]) -> None:
        """See `Bus.publish_raw`."""
        for stream in self._streams.values():
            if stream.takes(subject) and not stream.add(subject, data, headers):
                return
        for pattern, queue in self._followers:
            if matches(pattern, subject):
                queue.put_nowait((subject, data))
        await asyncio.sleep(0)

    async def schedule(self, message: FeedDue, at: datetime) -> None:
        """See `Bus.schedule`."""
        self._drop_schedule(message.feed)
        delay = max(0.0, (at - datetime.now(UTC)).total_seconds())
        self._schedules[message.feed] = asyncio.get_running_loop().call_later(delay, self._tick, message)

    async def scheduled(self) -> set[int]:
        """See `Bus.scheduled`."""
        waiting = {int(subject.rsplit(".", 1)[1]) for subject in self._streams["FEEDS"].subjects()}
        return waiting | set(self._schedules)

    async def unschedule(self, feed: int) -> None:
        """See `Bus.unschedule`."""
        self._drop_schedule(feed)
        self._streams["FEEDS"].purge(f"feed.due.{feed}")

    def mailbox(self, consumer: Consumer) -> "MemoryMailbox":
        """See `Bus.mailbox`."""
        return self._streams[consumer.stream].mailbox(consumer)

    async def request(self, message: Message, *, timeout: float) -> bytes:  # noqa: ASYNC109 - see `Bus`
        """See `Bus.request`."""
        members = self._servers.get(message.subject)
        if not members:
            raise NoReply(f"no answer on {message.subject}: nobody serves it")
        members.append(members.pop(0))
        try:
            return await asyncio.wait_for(members[0].respond(encode(message)), timeout)
        except Exception as error:
            raise NoReply(f"no answer on {message.subject}: {type(error).__name__}") from error

    async def serve(self, subject: str, group: str, answer: Answer, *, slots: int) -> "MemoryServing":
        """See `Bus.serve`; one group per subject is enough here."""
        del group
        members = self._servers.setdefault(subject, [])
        serving = MemoryServing(answer, slots, members)
        members.append(serving)
        return serving

    async def follow(self, subject: str) -> AsyncIterator[tuple[str, bytes]]:
        """See `Bus.follow`."""
        follower = (subject, asyncio.Queue[tuple[str, bytes]]())
        self._followers.append(follower)
        try:
            while True:
                yield await follower[1].get()
        finally:
            self._followers.remove(follower)

    def bucket(self, bucket: Bucket) -> "MemoryBucket":
        """See `Bus.bucket`."""
        return self._buckets.setdefault(bucket.name, MemoryBucket())

    async def close(self) -> None:
        """See `Bus.close`."""
        for handle in self._schedules.values():
            handle.cancel()
        self._schedules.clear()

    def _tick(self, message: FeedDue) -> None:
        self._schedules.pop(message.feed, None)
        self._streams["FEEDS"].add(message.subject, encode(message), {})

    def _drop_schedule(self, feed: int) -> None:
        if handle := self._schedules.pop(feed, None):
            handle.cancel()


class MemoryStream:
    """Messages in order, and the consumers that read them."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._messages: dict[int, Stored] = {}
        self._last = 0
        self._seen: OrderedDict[str, float] = OrderedDict()
        self._mailboxes: dict[str, MemoryMailbox] = {}

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
        for mailbox in self._mailboxes.values():
            mailbox.offer(stored)
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
        """Open the consumer's mailbox: one for all, so that replicas share the messages."""
        if consumer.name not in self._mailboxes:
            self._mailboxes[consumer.name] = mailbox = MemoryMailbox(self, consumer)
            for stored in self._messages.values():
                mailbox.offer(stored)
        self._mailboxes[consumer.name].reopen()
        return self._mailboxes[consumer.name]

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


class MemoryMailbox:
    """What one consumer has still to handle."""

    def __init__(self, stream: MemoryStream, consumer: Consumer) -> None:
        self._stream = stream
        self._consumer = consumer
        self._ready: asyncio.Queue[MemoryDelivery | None] = asyncio.Queue()
        self._waiting = 0
        self._closed = False

    def offer(self, stored: Stored, tries: int = 1) -> None:
        """Take a message of the stream, if the consumer's filter wants it."""
        if matches(self._consumer.filter, stored.subject):
            self._ready.put_nowait(MemoryDelivery(self, stored, tries))

    def again(self, delivery: "MemoryDelivery", delay: float) -> None:
        """Deliver it once more, after `delay` seconds."""
        loop = asyncio.get_running_loop()
        loop.call_later(delay, self.offer, delivery.stored, delivery.tries + 1)

    def settled(self, sequence: int) -> None:
        """The message was acked."""
        self._stream.settled(sequence)

    async def receive(self) -> "MemoryDelivery | None":
        """See `Mailbox.receive`."""
        while not self._closed:
            self._waiting += 1
            try:
                delivery = await self._ready.get()
            finally:
                self._waiting -= 1
            if delivery is None or self._stream.holds(delivery.sequence):
                return delivery
        return None

    async def close(self) -> None:
        """See `Mailbox.close`."""
        self._closed = True
        for _ in range(self._waiting):
            self._ready.put_nowait(None)

    def reopen(self) -> None:
        """Hand out messages again."""
        self._closed = False


class MemoryDelivery:
    """A message in hand; without a crash there is no silence to time out, so it waits for its settling."""

    def __init__(self, mailbox: MemoryMailbox, stored: Stored, tries: int) -> None:
        self._mailbox = mailbox
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
        self._mailbox.settled(self.sequence)

    async def nak(self, delay: float) -> None:
        """See `Delivery.nak`."""
        if not self._settled:
            self._settled = True
            self._mailbox.again(self, delay)

    async def in_progress(self) -> None:
        """See `Delivery.in_progress`."""


class MemoryServing:
    """A member of a group that answers requests."""

    def __init__(self, answer: Answer, slots: int, members: "list[MemoryServing]") -> None:
        self._answer = answer
        self._slots = asyncio.Semaphore(slots)
        self._members = members

    async def respond(self, data: bytes) -> bytes:
        """Answer one request once a slot is free."""
        async with self._slots:
            return await self._answer(data)

    async def stop(self) -> None:
        """See `Serving.stop`."""
        with suppress(ValueError):
            self._members.remove(self)


class MemoryBucket:
    """One key-value bucket."""

    def __init__(self) -> None:
        self._entries: dict[str, KeyEntry] = {}
        self._revision = 0

    async def get(self, key: str) -> KeyEntry | None:
        """See `KeyValue.get`."""
        return self._entries.get(key)

    async def put(self, key: str, value: bytes) -> int:
        """See `KeyValue.put`."""
        self._revision += 1
        self._entries[key] = KeyEntry(value, self._revision)
        return self._revision

    async def create(self, key: str, value: bytes) -> int:
        """See `KeyValue.create`."""
        if key in self._entries:
            raise Conflict(f"{key} was written by another")
        return await self.put(key, value)

    async def update(self, key: str, value: bytes, revision: int) -> int:
        """See `KeyValue.update`."""
        if key not in self._entries or self._entries[key].revision != revision:
            raise Conflict(f"{key} was written by another")
        return await self.put(key, value)

    async def delete(self, key: str) -> None:
        """See `KeyValue.delete`."""
        self._entries.pop(key, None)

    async def keys(self) -> list[str]:
        """See `KeyValue.keys`."""
        return list(self._entries)


def matches(pattern: str, subject: str) -> bool:
    """Whether a NATS subject pattern (`*` one token, `>` the rest) takes the subject."""
    wanted, tokens = pattern.split("."), subject.split(".")
    if wanted[-1] == ">":
        wanted, tokens = wanted[:-1], tokens[: len(wanted) - 1] if len(tokens) >= len(wanted) else []
    return len(wanted) == len(tokens) and all(map(fnmatch.fnmatchcase, tokens, wanted))
