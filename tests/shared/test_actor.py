"""The actor on both kinds of bus: every end that a message can come to."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence

import pytest
from nats.js.api import AckPolicy, ConsumerConfig

from shared import actor as actors
from shared import metrics
from shared.actor import Actor, Envelope, backoff
from shared.bus import Bus, BusUnavailable, Delivery
from shared.errors import Reject, Retry, Unavailable
from shared.memory import MemoryBus
from shared.messages import AnyMessage, FeedDue, FeedPolled, Message, decode
from shared.nats import NatsBus
from shared.topology import API, DLQ, FETCHER, Consumer

Story = Callable[[FeedDue, Envelope], AsyncIterator[Sequence[Message]]]
LETTERS = Consumer(name="letters", stream=DLQ.name, filter="dlq.>")


class Told:
    """A handler that does what its test says, and remembers what it was given."""

    consumer = FETCHER
    max_tries = 3

    def __init__(self, story: Story) -> None:
        self._story = story
        self.given: list[tuple[int, int]] = []  # feed, try
        self.changed = asyncio.Event()

    async def handle(self, message: AnyMessage, envelope: Envelope) -> AsyncIterator[Sequence[Message]]:
        assert isinstance(message, FeedDue)
        self.given.append((message.feed, envelope.tries))
        self.changed.set()
        async for batch in self._story(message, envelope):
            yield batch

    def settle_failed(self, message: AnyMessage, envelope: Envelope, error: Reject | Retry) -> Sequence[Message]:
        assert isinstance(message, FeedDue)
        return [polled(f"gave up {message.feed} after {envelope.tries}: {error}")]

    async def was_given(self, count: int) -> None:
        async with asyncio.timeout(8):
            while len(self.given) < count:
                self.changed.clear()
                await self.changed.wait()


def polled(request_id: str) -> FeedPolled:
    return FeedPolled(request_id=request_id, feed=1, asked=True, ok=True)


async def succeed(message: FeedDue, envelope: Envelope) -> AsyncIterator[Sequence[Message]]:
    del envelope
    yield [polled(f"{message.feed}a"), polled(f"{message.feed}b")]
    yield [polled(f"{message.feed}c")]


def failing(*errors: Exception) -> Story:
    """Fail the first tries with `errors` in turn, then succeed."""

    async def story(message: FeedDue, envelope: Envelope) -> AsyncIterator[Sequence[Message]]:
        if envelope.tries <= len(errors):
            raise errors[envelope.tries - 1]
        async for batch in succeed(message, envelope):
            yield batch

    return story


def hanging(release: asyncio.Event) -> Story:
    async def story(message: FeedDue, envelope: Envelope) -> AsyncIterator[Sequence[Message]]:
        await release.wait()
        async for batch in succeed(message, envelope):
            yield batch

    return story


async def told(bus: Bus, count: int) -> list[str]:
    """The next events, by the names of their polls, each batch sorted where the order is nobody's business."""
    mailbox = bus.mailbox(API)
    names: list[str] = []
    for _ in range(count):
        delivery = await asyncio.wait_for(mailbox.receive(), 8)
        assert delivery is not None
        await delivery.ack()
        event = decode(delivery.data)
        assert isinstance(event, FeedPolled)
        names.append(event.request_id)
    await mailbox.close()
    return names


async def letter(bus: Bus) -> Delivery:
    if isinstance(bus, NatsBus):
        config = ConsumerConfig(durable_name=LETTERS.name, ack_policy=AckPolicy.EXPLICIT)
        await bus.js.add_consumer(DLQ.name, config)
    mailbox = bus.mailbox(LETTERS)
    delivery = await asyncio.wait_for(mailbox.receive(), 8)
    await mailbox.close()
    assert delivery is not None
    return delivery


async def waiting(bus: Bus, expected: set[int]) -> set[int]:
    """The feeds that still wait, once they are those expected, or after two seconds."""
    for _ in range(20):
        if await bus.scheduled() == expected:
            break
        await asyncio.sleep(0.1)
    return await bus.scheduled()


def count(result: str) -> float:
    return metrics.MESSAGES.labels(FETCHER.name, result)._value.get()  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType, reportPrivateUsage]


async def test_a_handled_message_is_gone_once_its_messages_are_published(bus: Bus) -> None:
    before = count("ok")
    handler = Told(succeed)
    actor = Actor(bus, handler, tasks=2)
    await bus.publish(FeedDue(feed=7))
    names = await told(bus, 3)
    assert (sorted(names[:2]), names[2:]) == (["7a", "7b"], ["7c"])
    assert await waiting(bus, set()) == set()
    await actor.drain()
    assert (handler.given, count("ok") - before) == ([(7, 1)], 1)


async def test_bytes_that_are_no_message_are_a_dead_letter_at_once(bus: Bus) -> None:
    actor = Actor(bus, Told(succeed), tasks=1)
    await bus.publish_raw("feed.due.7", b"\x00junk", {})
    dead = await letter(bus)
    assert (dead.subject, dead.data) == ("dlq.feed.due.7", b"\x00junk")
    assert dead.headers["Halftone-Reason"].startswith("not a message: ")
    assert dead.headers["Halftone-Consumer"] == "fetcher"
    assert await waiting(bus, set()) == set()
    await actor.drain()


async def test_a_message_nested_without_end_is_a_dead_letter(bus: Bus) -> None:
    actor = Actor(bus, Told(succeed), tasks=1)
    await bus.publish_raw("feed.due.7", b'{"type":"feed.due","x":' + b"[" * 100_000, {})
    assert (await letter(bus)).subject == "dlq.feed.due.7"
    await actor.drain()


async def test_a_rejected_message_is_settled_as_failed_and_never_tried_again(bus: Bus) -> None:
    before = count("rejected")
    handler = Told(failing(Reject("no feed")))
    actor = Actor(bus, handler, tasks=1)
    await bus.publish(FeedDue(feed=7))
    assert await told(bus, 1) == ["gave up 7 after 1: no feed"]
    assert await waiting(bus, set()) == set()
    await actor.drain()
    assert (handler.given, count("rejected") - before) == ([(7, 1)], 1)


async def test_a_retried_message_comes_again_after_the_time_that_it_names(bus: Bus) -> None:
    handler = Told(failing(Retry("busy", after=0.05)))
    actor = Actor(bus, handler, tasks=1)
    await bus.publish(FeedDue(feed=7))
    started = asyncio.get_running_loop().time()
    await told(bus, 3)
    assert asyncio.get_running_loop().time() - started < 0.7
    await actor.drain()
    assert handler.given == [(7, 1), (7, 2)]


async def test_a_retry_that_names_no_time_backs_off(bus: Bus) -> None:
    handler = Told(failing(Retry("busy")))
    actor = Actor(bus, handler, tasks=1)
    await bus.publish(FeedDue(feed=7))
    await handler.was_given(1)
    started = asyncio.get_running_loop().time()
    await handler.was_given(2)
    assert 0.7 < asyncio.get_running_loop().time() - started < 3
    await actor.drain()


@pytest.mark.parametrize(("tries", "seconds"), [(1, 1), (2, 2), (3, 4), (5, 16), (6, 30), (1000, 30)])
def test_the_pauses_double_up_to_half_a_minute(tries: int, seconds: float) -> None:
    assert 0.75 * seconds <= backoff(tries) <= 1.25 * seconds


async def test_the_last_try_ends_among_the_dead_letters_and_is_settled_as_failed(bus: Bus) -> None:
    handler = Told(failing(*[Retry("still\nbusy", after=0.02)] * 9))
    actor = Actor(bus, handler, tasks=1)
    await bus.publish(FeedDue(feed=7))
    assert await told(bus, 1) == ["gave up 7 after 3: still\nbusy"]
    dead = await letter(bus)
    assert (decode(dead.data), dead.headers["Halftone-Reason"]) == (FeedDue(feed=7), "still busy")
    assert await waiting(bus, set()) == set()
    await actor.drain()
    assert handler.given == [(7, 1), (7, 2), (7, 3)]


async def test_what_is_away_is_waited_for_however_often_it_takes(bus: Bus) -> None:
    handler = Told(failing(*[Unavailable("no storage", after=0.02)] * 5))
    actor = Actor(bus, handler, tasks=1)
    await bus.publish(FeedDue(feed=7))
    assert await told(bus, 3) == ["7a", "7b", "7c"]
    await actor.drain()
    assert [tries for _, tries in handler.given] == [1, 2, 3, 4, 5, 6]


async def test_a_defect_is_tried_again_like_a_failure_that_may_pass(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(actors, "backoff", lambda _: 0.02)  # pyright: ignore[reportUnknownLambdaType, reportUnknownArgumentType]
    handler = Told(failing(*[ZeroDivisionError("oops")] * 9))
    actor = Actor(bus, handler, tasks=1)
    await bus.publish(FeedDue(feed=7))
    assert await told(bus, 1) == ["gave up 7 after 3: ZeroDivisionError: oops"]
    await actor.drain()


async def test_a_defect_while_settling_costs_no_worker(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(actors, "backoff", lambda _: 0.02)  # pyright: ignore[reportUnknownLambdaType, reportUnknownArgumentType]

    class Broken(Told):
        def settle_failed(self, message: AnyMessage, envelope: Envelope, error: Reject | Retry) -> Sequence[Message]:
            if envelope.tries == 1:
                raise ZeroDivisionError
            return super().settle_failed(message, envelope, error)

    actor = Actor(bus, Broken(failing(*[Reject("no feed")] * 9)), tasks=1)
    await bus.publish(FeedDue(feed=7))
    assert await told(bus, 1) == ["gave up 7 after 2: no feed"]
    await actor.drain()


async def test_no_more_messages_are_in_hand_than_there_are_tasks(bus: Bus) -> None:
    release = asyncio.Event()
    handler = Told(hanging(release))
    actor = Actor(bus, handler, tasks=2)
    for feed in range(4):
        await bus.publish(FeedDue(feed=feed))
    await handler.was_given(2)
    await asyncio.sleep(0.2)
    assert len(handler.given) == 2
    release.set()
    await handler.was_given(4)
    await actor.drain()


async def test_a_drained_actor_has_finished_what_it_had_and_left_the_rest(bus: Bus) -> None:
    release = asyncio.Event()
    handler = Told(hanging(release))
    actor = Actor(bus, handler, tasks=1)
    for feed in (1, 2, 3):
        await bus.publish(FeedDue(feed=feed))
    await handler.was_given(1)
    draining = asyncio.create_task(actor.drain())
    await asyncio.sleep(0.1)
    assert not draining.done()
    release.set()
    await asyncio.wait_for(draining, 5)
    assert (handler.given, await waiting(bus, {2, 3})) == ([(1, 1)], {2, 3})
    successor = Told(succeed)
    second = Actor(bus, successor, tasks=1)
    await successor.was_given(2)
    await second.drain()
    assert {feed for feed, _ in successor.given} == {2, 3}


async def test_an_actor_that_waits_for_messages_drains_at_once(bus: Bus) -> None:
    actor = Actor(bus, Told(succeed), tasks=5)
    await asyncio.sleep(0.1)
    await asyncio.wait_for(actor.drain(), 1)


async def test_one_replica_that_drains_leaves_the_other_at_work(bus: Bus) -> None:
    one, other = Told(succeed), Told(succeed)
    leaving, staying = Actor(bus, one, tasks=3), Actor(bus, other, tasks=1)
    await asyncio.sleep(0.1)
    await leaving.drain()
    for feed in (1, 2):
        await bus.publish(FeedDue(feed=feed))
    await other.was_given(2)
    await staying.drain()
    assert (one.given, other.given) == ([], [(1, 1), (2, 1)])


async def test_an_aborted_actor_gives_back_what_it_had(bus: Bus) -> None:
    handler = Told(hanging(asyncio.Event()))
    actor = Actor(bus, handler, tasks=2)
    await bus.publish(FeedDue(feed=7))
    await handler.was_given(1)
    await actor.abort()
    successor = Told(succeed)
    second = Actor(bus, successor, tasks=1)
    await successor.was_given(1)
    assert successor.given == [(7, 2)]
    await second.drain()


async def test_work_in_hand_is_reported_so_that_nobody_else_gets_it(
    nats_bus: NatsBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(actors, "PROGRESS_SECONDS", 0.3)
    config = ConsumerConfig(
        durable_name=FETCHER.name, filter_subject=FETCHER.filter, ack_policy=AckPolicy.EXPLICIT, ack_wait=1
    )
    await nats_bus.js.add_consumer(FETCHER.stream, config)
    release = asyncio.Event()
    handler = Told(hanging(release))
    actor = Actor(nats_bus, handler, tasks=2)
    await nats_bus.publish(FeedDue(feed=7))
    await asyncio.sleep(2.5)
    release.set()
    await actor.drain()
    assert handler.given == [(7, 1)]


class Unreachable(MemoryBus):
    """A bus whose broker takes no events."""

    async def publish(self, message: Message, *, headers: Mapping[str, str] | None = None) -> None:
        if isinstance(message, FeedPolled) and message.request_id.startswith("1"):
            raise BusUnavailable("no broker")
        await super().publish(message, headers=headers)


async def test_nothing_is_remembered_or_settled_that_could_not_be_published() -> None:
    remembered: list[int] = []

    async def story(message: FeedDue, envelope: Envelope) -> AsyncIterator[Sequence[Message]]:
        async for batch in succeed(message, envelope):
            yield batch
        remembered.append(message.feed)

    bus = Unreachable()
    actor = Actor(bus, Told(story), tasks=1)
    for feed in (1, 2):
        await bus.publish(FeedDue(feed=feed))
    await told(bus, 3)
    assert await waiting(bus, {1}) == {1}
    await actor.drain()
    assert remembered == [2]
