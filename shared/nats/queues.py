"""How much waits on the broker: a consumer's queue, a stream, all streams together."""

from datetime import UTC, datetime

import msgspec
from nats.js.errors import NotFoundError

from shared.nats.bus import NatsBus
from shared.topology import Consumer


class Queue(msgspec.Struct, frozen=True):
    """What a consumer has before it."""

    waiting: int  # messages that nobody has yet
    unsettled: int  # handed out and not settled
    oldest_seconds: float  # age of the oldest message not settled; 0: there is none


class StreamState(msgspec.Struct, frozen=True):
    """How much a stream holds."""

    messages: int
    bytes: int


class Storage(msgspec.Struct, frozen=True):
    """The bytes that all streams take, and may take; 0: no limit."""

    used: int
    limit: int


async def queue(bus: NatsBus, consumer: Consumer) -> Queue:
    """Look at one consumer.

    Raises:
        BusUnavailable: The broker does not say.
    """
    info = await bus.patiently(lambda: bus.js.consumer_info(consumer.stream, consumer.name), f"tell of {consumer.name}")
    waiting, unsettled = info.num_pending or 0, info.num_ack_pending or 0
    settled_up_to = info.ack_floor.stream_seq if info.ack_floor else 0
    oldest = await _age(bus, consumer, settled_up_to + 1) if waiting or unsettled else 0.0
    return Queue(waiting, unsettled, oldest)


async def stream(bus: NatsBus, name: str) -> StreamState:
    """Look at one stream.

    Raises:
        BusUnavailable: The broker does not say.
    """
    info = await bus.patiently(lambda: bus.js.stream_info(name), f"tell of {name}")
    return StreamState(info.state.messages, info.state.bytes)


async def storage(bus: NatsBus) -> Storage:
    """Look at the account.

    Raises:
        BusUnavailable: The broker does not say.
    """
    info = await bus.patiently(bus.js.account_info, "tell of its storage")
    return Storage(info.storage, max(0, info.limits.max_storage))


async def _age(bus: NatsBus, consumer: Consumer, sequence: int) -> float:
    """Return the age of the first message from `sequence` on that the consumer wants, by our clock."""

    async def attempt() -> datetime | None:
        try:
            message = await bus.js.get_msg(consumer.stream, seq=sequence, subject=consumer.filter, next=True)
        except NotFoundError:
            return None
        return message.time

    published = await bus.patiently(attempt, f"tell the oldest message of {consumer.name}")
    return max(0.0, (datetime.now(UTC) - published).total_seconds()) if published else 0.0
