"""The bus itself: streams by subject, buckets by name, schedules as timers."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime

from shared.bus import Answer, NoReply
from shared.memory.buckets import MemoryBucket
from shared.memory.limits import fits
from shared.memory.serving import MemoryServing
from shared.memory.streams import MemoryMailbox, MemoryStream, matches
from shared.messages import FeedDue, Message, encode
from shared.topology import STREAMS, Bucket, Consumer


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
        fits(subject, data)
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
        data = encode(message)
        fits(message.subject, data)
        members = self._servers.get(message.subject)
        if not members:
            raise NoReply(f"no answer on {message.subject}: nobody serves it")
        members.append(members.pop(0))
        answering = members[-1].respond(data)
        await asyncio.wait({answering}, timeout=timeout)
        if not answering.done() or answering.exception():
            raise NoReply(f"no answer on {message.subject}")
        return answering.result()

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
