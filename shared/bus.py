"""The bus as services see it: publish, receive, ask, answer, remember, on any broker."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import datetime
from typing import Protocol

import msgspec

from shared.errors import HalftoneError, Reject
from shared.messages import FeedDue, Message
from shared.topology import Bucket, Consumer


class BusUnavailable(HalftoneError):
    """The broker did not answer for as long as we were willing to try (30 s)."""


class Oversized(Reject):
    """The message is larger than the broker takes (`MAX_PAYLOAD`)."""


class Conflict(HalftoneError):
    """Somebody else wrote the key first: read it again and decide anew."""


class NoReply(HalftoneError):
    """Nobody answered the request in time."""


class Delivery(Protocol):
    """One message in the hands of one worker until it is settled."""

    @property
    def subject(self) -> str:
        """Where it was published."""
        ...

    @property
    def data(self) -> bytes:
        """Its bytes."""
        ...

    @property
    def headers(self) -> Mapping[str, str]:
        """Its headers."""
        ...

    @property
    def sequence(self) -> int:
        """Its place in its stream; a redelivery has the same."""
        ...

    @property
    def published(self) -> float:
        """When the broker took it, epoch seconds by the broker's clock."""
        ...

    @property
    def tries(self) -> int:
        """How often it was delivered, this time included."""
        ...

    async def ack(self) -> None:
        """Settle it: it will not come again."""
        ...

    async def nak(self, delay: float) -> None:
        """Give it back, to come again after `delay` seconds; keep that short, its slot stays taken."""
        ...

    async def in_progress(self) -> None:
        """Say that work goes on, so that nobody else gets it."""
        ...


class Mailbox(Protocol):
    """The messages of one consumer; asks the broker for as many as workers wait for, never more."""

    async def receive(self) -> Delivery | None:
        """Wait for the next message; None once the mailbox is closed."""
        ...

    async def close(self) -> None:
        """Stop asking; what was asked for and not handed out goes back."""
        ...


class KeyEntry(msgspec.Struct, frozen=True):
    """A value with the revision under which it was written."""

    value: bytes
    revision: int


class KeyValue(Protocol):
    """One bucket."""

    async def get(self, key: str) -> KeyEntry | None:
        """Return the key's entry, None where there is none."""
        ...

    async def put(self, key: str, value: bytes) -> int:
        """Write unconditionally; return the revision."""
        ...

    async def create(self, key: str, value: bytes) -> int:
        """Write where there is nothing yet; raises `Conflict` otherwise."""
        ...

    async def update(self, key: str, value: bytes, revision: int) -> int:
        """Write over `revision`; raises `Conflict` where the key has moved on."""
        ...

    async def delete(self, key: str) -> None:
        """Forget the key."""
        ...

    async def keys(self) -> list[str]:
        """Return all keys."""
        ...


Answer = Callable[[bytes], Awaitable[bytes]]


class Bus(Protocol):
    """What every service needs of the broker; all of it survives the broker's restart.

    Methods raise `BusUnavailable` once the broker has not answered for 30 s, or where it refuses; `Oversized` for
    a message, an answer or a value over the broker's limit.
    """

    async def publish(self, message: Message, *, headers: Mapping[str, str] | None = None) -> None:
        """Publish and wait until the broker has it; a repeat (same `message_id`) is dropped by the broker.

        A second job for an image in flight is refused by the broker: that is success here.
        """
        ...

    async def publish_raw(self, subject: str, data: bytes, headers: Mapping[str, str]) -> None:
        """Publish bytes that may be no message of ours: dead letters."""
        ...

    async def schedule(self, message: FeedDue, at: datetime) -> None:
        """Have `message` published at `at` (aware); replaces the feed's waiting schedule."""
        ...

    async def scheduled(self) -> set[int]:
        """Return the feeds that have a schedule or a due message waiting."""
        ...

    async def unschedule(self, feed: int) -> None:
        """Drop the feed's waiting schedule and due message."""
        ...

    def mailbox(self, consumer: Consumer) -> Mailbox:
        """Open a mailbox on a provisioned consumer."""
        ...

    async def request(self, message: Message, *, timeout: float) -> bytes:  # noqa: ASYNC109 - the wire's limit
        """Ask; return the answer's bytes. Raises `NoReply` after `timeout` seconds or when nobody serves."""
        ...

    async def serve(self, subject: str, group: str, answer: Answer, *, slots: int) -> "Serving":
        """Answer requests on `subject` together with the group's other members, `slots` at a time."""
        ...

    def follow(self, subject: str) -> AsyncIterator[tuple[str, bytes]]:
        """Yield (subject, bytes) of what is published from now on; nothing is kept for slow readers."""
        ...

    def bucket(self, bucket: Bucket) -> KeyValue:
        """Return a provisioned bucket."""
        ...

    @property
    def connected(self) -> bool:
        """Whether the broker is there right now."""
        ...

    async def close(self) -> None:
        """Flush and leave."""
        ...


class Serving(Protocol):
    """A member of a group that answers requests."""

    async def stop(self) -> None:
        """Take no new request; return when those in hand are answered."""
        ...
