"""What /metrics says of the things around a service, on a real broker as the services' own users."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from shared import watch
from shared.messages import FeedDue, ImageJob
from shared.nats import NatsBus, provision
from shared.nats.queues import queue
from shared.topology import FETCHER, TRANSCODER
from tests.deploy.guarded_broker import GuardedBroker, guarded_broker

IMAGE = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[GuardedBroker]:
    with guarded_broker(tmp_path / "broker") as running:
        yield running


async def _connect(broker: GuardedBroker, user: str) -> NatsBus:
    bus = NatsBus(user)
    await bus.connect(broker.url, user=user, password=broker.password(user))
    return bus


@pytest.fixture
async def fetcher(broker: GuardedBroker) -> AsyncIterator[NatsBus]:
    maker = await _connect(broker, "provision")
    await provision(maker)
    await maker.close()
    bus = await _connect(broker, "fetcher")
    yield bus
    await bus.close()


@pytest.fixture
async def transcoder(broker: GuardedBroker, fetcher: NatsBus) -> AsyncIterator[NatsBus]:
    assert fetcher.connected
    bus = await _connect(broker, "transcoder")
    yield bus
    await bus.close()


@pytest.mark.live
async def test_an_empty_queue_has_no_oldest_message(transcoder: NatsBus) -> None:
    now = await queue(transcoder, TRANSCODER)
    assert (now.waiting, now.unsettled, now.oldest_seconds) == (0, 0, 0)


@pytest.mark.live
async def test_a_queue_is_as_old_as_its_oldest_message_in_hand_or_waiting(
    fetcher: NatsBus, transcoder: NatsBus
) -> None:
    for name in (IMAGE, IMAGE[::-1]):
        await fetcher.publish(ImageJob(image=name, source="http://x/", referer=""))
    taken = await transcoder.mailbox(TRANSCODER).receive()
    assert taken is not None
    await asyncio.sleep(0.3)
    now = await queue(transcoder, TRANSCODER)
    assert (now.waiting, now.unsettled) == (1, 1)
    assert 0.3 <= now.oldest_seconds < 5
    await taken.ack()
    await asyncio.sleep(0.1)
    assert (await queue(transcoder, TRANSCODER)).waiting == 1


@pytest.mark.live
async def test_a_schedule_for_later_is_not_waiting_in_the_fetchers_queue(fetcher: NatsBus) -> None:
    await fetcher.schedule(FeedDue(feed=1), datetime.now(UTC) + timedelta(hours=1))
    now = await queue(fetcher, FETCHER)
    assert (now.waiting, now.oldest_seconds) == (0, 0)


@pytest.mark.live
async def test_the_api_tells_of_dead_letters_and_of_the_brokers_storage(
    broker: GuardedBroker, transcoder: NatsBus
) -> None:
    await transcoder.publish_raw("dlq.job.image.x", b"junk", {})
    api = await _connect(broker, "api")
    await watch.tell_queues(api, "api")
    await api.close()
    assert REGISTRY.get_sample_value("halftone_dead_letters") == 1
    assert REGISTRY.get_sample_value("halftone_broker_storage_limit_bytes") == 50 * 2**30


def test_every_metric_is_in_the_documents_table_with_its_words() -> None:
    table = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text()
    ours = [metric for metric in REGISTRY.collect() if metric.name.startswith("halftone_")]
    suffixes = {"counter": "_total", "info": "_info"}
    missing = [
        metric.name
        for metric in ours
        if f"| `{metric.name}{suffixes.get(metric.type, '')}` | {metric.type} |" not in table
        or metric.documentation not in table
    ]
    assert missing == []
