"""`halftone broker-url`, and the subscriber of docs/events.md that is given what it prints."""

import asyncio
import re
import sys
from asyncio.subprocess import DEVNULL, PIPE
from pathlib import Path

import msgspec
import pytest

from services.standalone.administration import show_broker_url
from services.standalone.broker import Broker
from shared.messages import RecordCompleted
from shared.nats import NatsBus

EVENTS = Path(__file__).parents[2] / "docs" / "events.md"
ARTICLE = {
    "linkMd5": "0123",
    "title": "A title",
    "articleImgCdnMap": {"https://a.example/1.png": "https://cdn.example/1"},
}


def subscriber() -> str:
    """Return the Python of the documentation."""
    found = re.search(r"```python\n(.+?)```", EVENTS.read_text(encoding="utf-8"), re.DOTALL)
    assert found
    return found[1]


async def test_the_documented_subscriber_reads_records_at_the_url_that_is_printed(
    broker: Broker, nats_bus: NatsBus, capsys: pytest.CaptureFixture[str]
) -> None:
    record = msgspec.json.encode({"toInsertArticleList": [ARTICLE], "noPictureArticleList": []})
    await nats_bus.publish(
        RecordCompleted(request_id="a", feed=1, ok=True, articles=1, mirrored=1, failed=0, record=msgspec.Raw(record))
    )
    show_broker_url(broker.config.parents[1])
    url = capsys.readouterr().out.strip()
    command = (sys.executable, "-u", "-W", "ignore", "-c", subscriber())
    reading = await asyncio.create_subprocess_exec(*command, env={"NATS_URL": url}, stdout=PIPE, stderr=DEVNULL)
    assert reading.stdout
    try:
        line = await asyncio.wait_for(reading.stdout.readline(), 10)
    finally:
        reading.kill()
        await reading.communicate()

    assert line == b"0123 A title 1 images\n"
