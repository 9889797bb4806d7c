"""A poisoned message of every kind becomes a dead letter with a reason, and everything goes on."""

import asyncio
from pathlib import Path
from time import monotonic, sleep

import pytest

from shared.messages import FeedPolled, ImageJob, encode
from shared.nats import NatsBus
from tests.deploy.feeds import fill
from tests.deploy.guarded_broker import GuardedBroker, guarded_broker
from tests.deploy.guarded_system import guarded_system, halftone
from tests.servers import running_site

JUNK = {
    "bytes": b"\x00\xff\x80junk",
    "nothing": b"",
    "not ours": b'{"type":"who.knows"}',
    "broken": b'{"type":"image.job","image":7}',
    "deep": b"[" * 100_000,
    "of another stream": encode(FeedPolled(request_id="r", feed=1, asked=True, ok=True)),
}
LETTERS = 3 * len(JUNK) - 1  # the message of another stream is at home among the events
SUBJECTS = ("feed.due.{}", "job.image.{}", "evt.x.{}")


async def _publish(broker: GuardedBroker) -> int:
    """Publish every kind of junk to everybody; return how many messages."""
    bus = NatsBus("operator")
    await bus.connect(broker.url, user="operator", password=broker.password("operator"))
    for subject in SUBJECTS:
        for number, data in enumerate(JUNK.values()):
            await bus.publish_raw(subject.format(900_000 + number), data, {})
    job = ImageJob(image="event", source="http://x/", referer="")
    await bus.publish_raw("evt.x.job", encode(job), {})
    await bus.close()
    return len(SUBJECTS) * len(JUNK) + 1


def _letters(broker: GuardedBroker) -> list[str]:
    """Return the dead letters once all are there: a message for another actor is tried five times before."""
    deadline = monotonic() + 60
    while True:
        letters = halftone(broker, "operator", "dlq", "list").splitlines()
        if len(letters) >= LETTERS or monotonic() > deadline:
            return letters
        sleep(1)


@pytest.mark.live
async def test_poison_of_every_kind_is_put_aside_and_everything_goes_on(tmp_path: Path) -> None:
    with guarded_broker(tmp_path / "broker") as broker:
        async with running_site() as site:
            fill(site, 1)
            with guarded_system(broker, tmp_path / "data", f"127.0.0.1:{site.port}") as system:
                await _publish(broker)
                record = await system.fetch(site.url("/0/feed.xml"))
                letters = await asyncio.to_thread(_letters, broker)
    assert (record["code"], record["extra5"], record["extra6"]) == (1, 3, 2)
    assert len(letters) == LETTERS, letters
