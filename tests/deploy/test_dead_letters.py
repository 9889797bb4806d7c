"""`halftone dlq` as the operator: what was given up is read, given back or dropped."""

import asyncio
import subprocess
from collections.abc import AsyncIterator, Iterator

import pytest

from shared.messages import ImageJob, decode
from shared.nats import NatsBus
from shared.topology import TRANSCODER
from tests.deploy.guarded_broker import GuardedBroker, guarded_broker
from tests.deploy.guarded_system import halftone

JOB = ImageJob(image="a" * 32, source="http://x/1.png", referer="http://x/")


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GuardedBroker]:
    with guarded_broker(tmp_path_factory.mktemp("broker")) as running:
        halftone(running, "provision", "provision")
        yield running


@pytest.fixture
async def transcoder(broker: GuardedBroker) -> AsyncIterator[NatsBus]:
    bus = NatsBus("transcoder")
    await bus.connect(broker.url, user="transcoder", password=broker.password("transcoder"))
    yield bus
    await bus.close()


@pytest.fixture
async def letter(broker: GuardedBroker, transcoder: NatsBus) -> str:
    """The number of a dead letter, the only one."""
    halftone(broker, "operator", "dlq", "drop", "--all")
    headers = {"Halftone-Reason": "the disk was full", "Halftone-Consumer": "transcoder"}
    await transcoder.publish_raw(f"dlq.{JOB.subject}", b'{"type":"image.job","image":"a"}', {**headers, "x": "kept"})
    return halftone(broker, "operator", "dlq", "list").split()[0]


async def _bury(transcoder: NatsBus, data: bytes) -> None:
    await transcoder.publish_raw(f"dlq.{JOB.subject}", data, {"Halftone-Reason": "tried five times"})


@pytest.mark.live
async def test_none_is_said_to_be_none(broker: GuardedBroker) -> None:
    halftone(broker, "operator", "dlq", "drop", "--all")
    assert halftone(broker, "operator", "dlq", "list") == "no dead letters\n"


@pytest.mark.live
async def test_a_letter_is_listed_with_its_reason(broker: GuardedBroker, letter: str) -> None:
    line = halftone(broker, "operator", "dlq", "list")
    assert line.split()[0] == letter
    assert line.endswith(f"  {JOB.subject}  the disk was full\n")


@pytest.mark.live
async def test_a_letter_is_shown_whole(broker: GuardedBroker, letter: str) -> None:
    shown = halftone(broker, "operator", "dlq", "show", letter)
    assert "consumer: transcoder\n" in shown
    assert "reason: the disk was full\n" in shown
    assert '"type": "image.job"' in shown


@pytest.mark.live
async def test_bytes_that_are_no_json_are_shown_too(broker: GuardedBroker, transcoder: NatsBus) -> None:
    halftone(broker, "operator", "dlq", "drop", "--all")
    await _bury(transcoder, b"\x00\xffjunk")
    number = halftone(broker, "operator", "dlq", "list").split()[0]
    assert halftone(broker, "operator", "dlq", "show", number).endswith("b'\\x00\\xffjunk'\n")


@pytest.mark.live
async def test_a_replayed_letter_goes_where_it_was_for_and_is_no_letter_any_more(
    broker: GuardedBroker, transcoder: NatsBus
) -> None:
    halftone(broker, "operator", "dlq", "drop", "--all")
    await _bury(
        transcoder, b'{"type":"image.job","image":"%s","source":"http://x/1.png","referer":"http://x/"}' % (b"a" * 32)
    )
    assert halftone(broker, "operator", "dlq", "replay", "--all").endswith(f"  {JOB.subject}\n")
    delivery = await asyncio.wait_for(transcoder.mailbox(TRANSCODER).receive(), 5)
    assert delivery is not None
    await delivery.ack()
    assert (decode(delivery.data), delivery.headers) == (JOB, {})
    assert halftone(broker, "operator", "dlq", "list") == "no dead letters\n"


@pytest.mark.live
async def test_only_the_letter_that_is_named_is_dropped(
    broker: GuardedBroker, transcoder: NatsBus, letter: str
) -> None:
    await _bury(transcoder, b"another")
    assert halftone(broker, "operator", "dlq", "drop", letter) == f"dropped {letter}  {JOB.subject}\n"
    assert len(halftone(broker, "operator", "dlq", "list").splitlines()) == 1


@pytest.mark.live
async def test_a_number_that_is_no_letter_says_so(broker: GuardedBroker) -> None:
    with pytest.raises(subprocess.CalledProcessError) as failure:
        halftone(broker, "operator", "dlq", "show", "999999")
    assert "there is no dead letter 999999" in failure.value.stderr
