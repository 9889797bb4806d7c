"""The contract of the bus, run against every implementation."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from shared.bus import Bus, Conflict, NoReply
from shared.messages import FeedDue, FeedPolled, ImageJob, Upload, decode
from shared.topology import API, FEED_STATES, FETCHER, TRANSCODER


def job(image: str = "a" * 32) -> ImageJob:
    return ImageJob(image=image, source="http://x/1.png", referer="http://x/")


def polled(request_id: str) -> FeedPolled:
    return FeedPolled(request_id=request_id, feed=1, asked=True, ok=True)


def upload() -> Upload:
    return Upload(image="i", data=b"\x00\xff" * 1000, content_type="image/webp", day="2026/01/02")


async def test_what_is_published_is_received_as_it_was(bus: Bus) -> None:
    await bus.publish(polled("r1"))
    delivery = await bus.mailbox(API).receive()
    assert delivery is not None
    assert (delivery.subject, decode(delivery.data), delivery.tries) == ("evt.feed.polled", polled("r1"), 1)


async def test_a_message_said_twice_arrives_once(bus: Bus) -> None:
    for request_id in ("r1", "r1", "r2"):
        await bus.publish(polled(request_id))
    mailbox = bus.mailbox(API)
    got = [await mailbox.receive() for _ in range(2)]
    assert [decode(delivery.data) for delivery in got if delivery] == [polled("r1"), polled("r2")]


async def test_a_second_job_for_an_image_in_flight_is_refused_as_success(bus: Bus) -> None:
    mailbox = bus.mailbox(TRANSCODER)
    await bus.publish(job())
    first = await mailbox.receive()
    assert first is not None
    await bus.publish(job())
    await bus.publish(job("b" * 32))
    second = await mailbox.receive()
    assert second is not None
    assert second.subject == f"job.image.{'b' * 32}"


async def test_a_job_may_come_anew_once_the_first_is_settled(bus: Bus) -> None:
    mailbox = bus.mailbox(TRANSCODER)
    for _ in range(2):
        await bus.publish(job())
        delivery = await mailbox.receive()
        assert delivery is not None
        assert delivery.tries == 1
        await delivery.ack()
        await asyncio.sleep(0.05)


async def test_what_is_given_back_comes_again_with_its_count(bus: Bus) -> None:
    mailbox = bus.mailbox(API)
    await bus.publish(polled("r1"))
    first = await mailbox.receive()
    assert first is not None
    await first.in_progress()
    await first.nak(0.05)
    second = await mailbox.receive()
    assert second is not None
    assert (second.sequence, second.tries) == (first.sequence, 2)


async def test_workers_waiting_together_get_one_message_each(bus: Bus) -> None:
    mailbox = bus.mailbox(API)
    waiting = [asyncio.create_task(mailbox.receive()) for _ in range(5)]
    await asyncio.sleep(0.1)
    for number in range(5):
        await bus.publish(polled(f"r{number}"))
    got = await asyncio.gather(*waiting)
    assert {decode(delivery.data).request_id for delivery in got if delivery} == {f"r{n}" for n in range(5)}  # type: ignore[union-attr]


async def test_a_closed_mailbox_lets_its_workers_go(bus: Bus) -> None:
    mailbox = bus.mailbox(API)
    waiting = asyncio.create_task(mailbox.receive())
    await asyncio.sleep(0.1)
    await mailbox.close()
    assert await asyncio.wait_for(waiting, 2) is None


async def test_a_feed_comes_due_when_its_time_has_come(bus: Bus) -> None:
    mailbox = bus.mailbox(FETCHER)
    await bus.schedule(FeedDue(feed=7), datetime.now(UTC) + timedelta(seconds=2))
    assert await bus.scheduled() == {7}
    delivery = await asyncio.wait_for(mailbox.receive(), 5)
    assert delivery is not None
    assert (delivery.subject, decode(delivery.data)) == ("feed.due.7", FeedDue(feed=7))


async def test_a_new_schedule_replaces_the_feeds_old_one(bus: Bus) -> None:
    mailbox = bus.mailbox(FETCHER)
    await bus.schedule(FeedDue(feed=7, request_id="late"), datetime.now(UTC) + timedelta(hours=1))
    await bus.schedule(FeedDue(feed=7, request_id="soon"), datetime.now(UTC) + timedelta(seconds=1))
    delivery = await asyncio.wait_for(mailbox.receive(), 5)
    assert delivery is not None
    assert decode(delivery.data) == FeedDue(feed=7, request_id="soon")


async def test_an_unscheduled_feed_is_forgotten(bus: Bus) -> None:
    await bus.schedule(FeedDue(feed=7), datetime.now(UTC) + timedelta(hours=1))
    await bus.publish(FeedDue(feed=8))
    await bus.unschedule(7)
    assert await bus.scheduled() == {8}


async def test_a_request_is_answered(bus: Bus) -> None:
    async def answer(data: bytes) -> bytes:
        return data[::-1]

    serving = await bus.serve("rpc.upload", "uploader", answer, slots=2)
    reply = await bus.request(upload(), timeout=2)
    await serving.stop()
    assert len(reply) > 2000


async def test_a_request_that_nobody_serves_says_so(bus: Bus) -> None:
    with pytest.raises(NoReply):
        await bus.request(upload(), timeout=0.3)


async def test_a_request_that_is_not_answered_in_time_says_so(bus: Bus) -> None:
    async def answer(data: bytes) -> bytes:
        await asyncio.sleep(1)
        return data

    serving = await bus.serve("rpc.upload", "uploader", answer, slots=1)
    with pytest.raises(NoReply):
        await bus.request(upload(), timeout=0.1)
    await serving.stop()


async def test_a_follower_sees_what_is_published_from_now_on(bus: Bus) -> None:
    await bus.publish(polled("before"))
    following = bus.follow("evt.>")
    first = asyncio.ensure_future(anext(following))
    await asyncio.sleep(0.1)
    await bus.publish(polled("after"))
    subject, data = await asyncio.wait_for(first, 2)
    assert (subject, decode(data)) == ("evt.feed.polled", polled("after"))
    await following.aclose()  # type: ignore[attr-defined]


async def test_a_bucket_remembers_and_forgets(bus: Bus) -> None:
    bucket = bus.bucket(FEED_STATES)
    assert await bucket.get("k") is None
    revision = await bucket.put("k", b"v")
    entry = await bucket.get("k")
    assert entry is not None
    assert (entry.value, entry.revision, await bucket.keys()) == (b"v", revision, ["k"])
    await bucket.delete("k")
    assert (await bucket.get("k"), await bucket.keys()) == (None, [])


async def test_only_the_first_creates_a_key(bus: Bus) -> None:
    bucket = bus.bucket(FEED_STATES)
    await bucket.create("k", b"1")
    with pytest.raises(Conflict):
        await bucket.create("k", b"2")


async def test_only_the_revision_that_was_read_may_be_written_over(bus: Bus) -> None:
    bucket = bus.bucket(FEED_STATES)
    first = await bucket.create("k", b"1")
    second = await bucket.update("k", b"2", first)
    with pytest.raises(Conflict):
        await bucket.update("k", b"3", first)
    entry = await bucket.get("k")
    assert entry is not None
    assert (entry.value, entry.revision) == (b"2", second)


async def test_a_dead_letter_keeps_its_bytes_and_its_reason(bus: Bus) -> None:
    await bus.publish_raw("dlq.job.image.x", b"\x00junk", {"Halftone-Reason": "not a message"})
