"""The bus on a real broker that dies, loses replies and refuses."""

import asyncio
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from services.standalone import broker as embedded
from shared.bus import Bus, Oversized
from shared.errors import Misconfigured
from shared.messages import FeedDue, FeedPolled, ImageJob, Upload, decode
from shared.nats import NatsBus
from shared.topology import API, FEED_STATES, FETCHER, MAX_PAYLOAD, TRANSCODER
from tests.conftest import provisioned_bus


class Mortal:
    """A broker that can be killed and started again on the same port and store."""

    def __init__(self, folder: Path) -> None:
        self.broker = embedded.prepare(folder)
        self._log = folder / "broker.log"
        self._process = embedded.start(self.broker, self._log)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def start(self) -> "subprocess.Popen[bytes]":
        self._process = embedded.start(self.broker, self._log)
        return self._process


@pytest.fixture
def mortal(tmp_path: Path) -> Iterator[Mortal]:
    running = Mortal(tmp_path / "data")
    yield running
    running.kill()


@pytest.fixture
async def mortal_bus(mortal: Mortal) -> AsyncIterator[NatsBus]:
    async with provisioned_bus(mortal.broker) as bus:
        yield bus


def polled(number: int) -> FeedPolled:
    return FeedPolled(request_id=str(number), feed=1, asked=True, ok=True)


class Reader:
    """Receives and acks events, and notes when each came first."""

    def __init__(self, bus: Bus) -> None:
        self._mailbox = bus.mailbox(API)
        self._reading = [asyncio.create_task(self._read()) for _ in range(4)]
        self._news = asyncio.Event()
        self.came: dict[str, float] = {}

    async def _read(self) -> None:
        while (delivery := await self._mailbox.receive()) is not None:
            event = decode(delivery.data)
            assert isinstance(event, FeedPolled)
            self.came.setdefault(event.request_id, asyncio.get_running_loop().time())
            self._news.set()
            await delivery.ack()

    async def has(self, count: int) -> None:
        async with asyncio.timeout(15):
            while len(self.came) < count:
                self._news.clear()
                await self._news.wait()

    async def close(self) -> None:
        await self._mailbox.close()
        await asyncio.gather(*self._reading)


async def test_a_broker_killed_amid_publishing_and_pulling_loses_nothing(mortal: Mortal, mortal_bus: NatsBus) -> None:
    reader = Reader(mortal_bus)

    async def publish(first: int) -> None:
        for number in range(first, first + 150):
            await mortal_bus.publish(polled(number))

    publishing = asyncio.gather(*(publish(lane * 150) for lane in range(4)))
    await reader.has(100)
    mortal.kill()
    await asyncio.sleep(0.5)
    known = set(reader.came)
    mortal.start()
    started = asyncio.get_running_loop().time()
    await publishing
    await reader.has(600)
    await reader.close()
    assert set(reader.came) == {str(number) for number in range(600)}
    assert len(known) < 600
    assert min(time for request_id, time in reader.came.items() if request_id not in known) - started < 2


async def test_an_idle_mailbox_resumes_at_once_after_the_brokers_death(mortal: Mortal, mortal_bus: NatsBus) -> None:
    reader = Reader(mortal_bus)
    await asyncio.sleep(0.2)
    mortal.kill()
    mortal.start()
    started = asyncio.get_running_loop().time()
    await mortal_bus.publish(polled(1))
    await reader.has(1)
    assert reader.came["1"] - started < 2
    await reader.close()


async def test_a_message_in_hand_at_the_brokers_death_is_acked_or_comes_anew(
    mortal: Mortal, mortal_bus: NatsBus
) -> None:
    """A broker killed within 100 ms of a delivery may not have noted it: then it ignores the ack and delivers anew."""
    await mortal_bus.publish(ImageJob(image="a", source="http://x/a.png", referer=""))
    mailbox = mortal_bus.mailbox(TRANSCODER)
    in_hand = await mailbox.receive()
    assert in_hand is not None
    mortal.kill()
    mortal.start()
    await mortal_bus.publish(polled(1))
    anew = asyncio.create_task(mailbox.receive())
    await in_hand.ack()
    async with asyncio.timeout(5):
        while (await mortal_bus.js.stream_info("JOBS")).state.messages:
            if anew.done() and (delivery := anew.result()) is not None:
                assert delivery.data == in_hand.data
                await delivery.ack()
            await asyncio.sleep(0.05)
    await mailbox.close()
    await anew


async def test_what_is_published_while_the_broker_is_away_waits_for_it(mortal: Mortal, mortal_bus: NatsBus) -> None:
    mortal.kill()
    publishing = asyncio.create_task(mortal_bus.publish(FeedDue(feed=7)))
    writing = asyncio.create_task(mortal_bus.bucket(FEED_STATES).put("k", b"v"))
    await asyncio.sleep(0.5)
    assert (publishing.done(), writing.done(), mortal_bus.connected) == (False, False, False)
    mortal.start()
    await asyncio.wait_for(asyncio.gather(publishing, writing), 4)
    assert await mortal_bus.scheduled() == {7}


async def test_schedules_outlive_the_broker(mortal: Mortal, mortal_bus: NatsBus) -> None:
    await mortal_bus.schedule(FeedDue(feed=7), datetime.now(UTC) + timedelta(seconds=2))
    mortal.kill()
    await asyncio.sleep(0.1)
    mortal.start()
    delivery = await asyncio.wait_for(mortal_bus.mailbox(FETCHER).receive(), 5)
    assert delivery is not None
    assert decode(delivery.data) == FeedDue(feed=7)


async def test_a_mailbox_closed_while_messages_are_on_their_way_gives_them_back_at_once(nats_bus: NatsBus) -> None:
    await asyncio.gather(*(nats_bus.publish(polled(number)) for number in range(50)))
    mailbox = nats_bus.mailbox(API)
    receiving = [asyncio.create_task(mailbox.receive()) for _ in range(50)]
    while mailbox._open == 0:  # noqa: ASYNC110 # pyright: ignore[reportPrivateUsage] - until they were asked for
        await asyncio.sleep(0)
    await mailbox.close()
    got: set[str] = set()
    for delivery in await asyncio.gather(*receiving):
        if delivery is not None:
            got.add(decode(delivery.data).request_id)  # type: ignore[union-attr]
            await delivery.ack()
    reader = Reader(nats_bus)
    await asyncio.wait_for(reader.has(50 - len(got)), 3)
    await reader.close()
    assert len(got | set(reader.came)) == 50


async def test_what_is_larger_than_the_broker_takes_is_refused_with_its_limit(bus: Bus) -> None:
    large = b"x" * (MAX_PAYLOAD + 1)

    async def answer(data: bytes) -> bytes:
        return data

    serving = await bus.serve("rpc.upload", "uploader", answer, slots=1)
    with pytest.raises(Oversized, match="33,554,432 bytes"):
        await bus.publish(FeedPolled(request_id="r", feed=1, asked=True, ok=False, error=large.decode()))
    with pytest.raises(Oversized, match="33,554,432 bytes"):
        await bus.request(Upload(image="i", data=large, content_type="image/webp", day="2026/01/02"), timeout=5)
    with pytest.raises(Oversized, match="33,554,432 bytes"):
        await bus.bucket(FEED_STATES).put("k", large)
    await serving.stop()


class Lossy:
    """A wire to the broker that can swallow the replies, and be cut."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._writers: list[asyncio.StreamWriter] = []
        self.swallows = False

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", self._target)
        self._writers += [writer, back]
        await asyncio.gather(self._copy(reader, back, replies=False), self._copy(there, writer, replies=True))

    async def _copy(self, source: asyncio.StreamReader, target: asyncio.StreamWriter, *, replies: bool) -> None:
        try:
            while data := await source.read(65536):
                if not (replies and self.swallows):
                    target.write(data)
        except OSError:
            return
        target.close()

    def cut(self) -> None:
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()


@pytest.fixture
async def wire(broker: embedded.Broker) -> AsyncIterator[tuple[Lossy, NatsBus]]:
    async with provisioned_bus(broker) as provisioning:
        await provisioning.bucket(FEED_STATES).put("deleted", b"")
        await provisioning.bucket(FEED_STATES).delete("deleted")
    lossy = Lossy(broker.port)
    server = await asyncio.start_server(lossy.serve, "127.0.0.1", 0)
    bus = NatsBus("test")
    port = server.sockets[0].getsockname()[1]
    await bus.connect(f"nats://127.0.0.1:{port}", user=embedded.USER, password=broker.password)
    yield lossy, bus
    await bus.close()
    lossy.cut()
    server.close()


@pytest.mark.parametrize("key", ["new", "deleted"])
async def test_a_write_whose_reply_was_lost_is_still_ones_own(wire: tuple[Lossy, NatsBus], key: str) -> None:
    lossy, bus = wire
    bucket = bus.bucket(FEED_STATES)
    revision = await bucket.create("other", b"1")
    lossy.swallows = True
    creating = asyncio.create_task(bucket.create(key, b"1"))
    updating = asyncio.create_task(bucket.update("other", b"2", revision))
    await asyncio.sleep(0.3)
    lossy.swallows = False
    lossy.cut()
    created, updated = await asyncio.wait_for(asyncio.gather(creating, updating), 8)
    entries = [await bucket.get(key), await bucket.get("other")]
    assert [entry and entry.revision for entry in entries] == [created, updated]


async def test_a_broker_that_is_not_there_is_named_with_what_to_do() -> None:
    url = f"nats://127.0.0.1:{embedded.free_port()}"
    with pytest.raises(Misconfigured, match=rf"no broker answered at {url} within 1 s \(.+\): start it, or set"):
        await NatsBus("test").connect(url, patience=1)


async def test_a_wrong_password_is_told_from_an_absent_broker(broker: embedded.Broker) -> None:
    async with provisioned_bus(broker):
        pass  # it is up
    with pytest.raises(Misconfigured, match=r"refused us .*HALFTONE_NATS_PASSWORD"):
        await NatsBus("test").connect(broker.url, user=embedded.USER, password="wrong", patience=3)


async def test_a_refusal_is_told_although_later_tries_are_cut_off_before_it() -> None:
    tries = 0

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal tries
        tries += 1
        if tries == 1:
            writer.write(b'INFO {"max_payload":1048576,"auth_required":true}\r\n')
            await reader.readline()
            writer.write(b"-ERR 'Authorization Violation'\r\n")
            await writer.drain()
            await asyncio.sleep(0.1)
        writer.transport.abort()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    async with server:
        url = f"nats://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        with pytest.raises(Misconfigured, match="refused us"):
            await NatsBus("test").connect(url, user="someone", password="wrong", patience=2)
    assert tries > 1


async def test_a_connection_given_up_for_good_is_told(broker: embedded.Broker) -> None:
    lost = asyncio.Event()
    bus = NatsBus("test", lost=lost.set)
    await bus.connect(broker.url, user=embedded.USER, password=broker.password)
    publishing = asyncio.create_task(bus.publish_raw("evt." + "x" * 5000, b"", {}))
    await asyncio.wait_for(lost.wait(), 10)
    publishing.cancel()
    with suppress(asyncio.CancelledError):
        await publishing


async def test_leaving_is_no_loss(broker: embedded.Broker) -> None:
    lost = asyncio.Event()
    bus = NatsBus("test", lost=lost.set)
    await bus.connect(broker.url, user=embedded.USER, password=broker.password)
    await bus.close()
    assert not lost.is_set()
