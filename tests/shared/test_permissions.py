"""Everybody on the broker may do what they must and nothing else: everything is tried as everybody."""

import asyncio
import json
import re
from collections.abc import Iterator
from fnmatch import fnmatchcase

import pytest
from prometheus_client import REGISTRY

from shared.bus import BusUnavailable
from shared.messages import FeedPolled, ImageJob, decode
from shared.nats import NatsBus, bus, provision
from shared.topology import ACCOUNTS, API, BUCKETS, CONSUMERS, IMAGES, STREAMS, subscriber
from tests.deploy.guarded_broker import GuardedBroker, guarded_broker

USERS = ("fetcher", "transcoder", "uploader", "api", "provision", "operator", "subscriber")

_STREAM_NAMES = [stream.name for stream in STREAMS] + [f"KV_{bucket.name}" for bucket in BUCKETS]
_CONSUMERS = [*CONSUMERS, subscriber("subscriber"), subscriber("another")]

SUBJECTS = [
    *("feed.sched.1", "feed.due.1", "job.image.x", "rpc.upload", "evt.article.found", "evt.article.updated"),
    *("evt.feed.polled", "evt.image.mirrored", "evt.image.failed", "evt.record.completed", "evt.x"),
    *("dlq.feed.due.1", "dlq.job.image.x", "dlq.evt.feed.polled", "dlq.x", "anything"),
    *(f"_INBOX_{user}.x" for user in USERS),
    *(f"$KV.{bucket.name}.k" for bucket in BUCKETS),
    *("$SYS.REQ.SERVER.PING", "$JS.API.INFO", "$JS.API.STREAM.NAMES", "$JS.API.STREAM.LIST"),
    *(
        f"$JS.API.STREAM.{verb}.{stream}"
        for stream in _STREAM_NAMES
        for verb in ("INFO", "CREATE", "UPDATE", "PURGE", "MSG.GET", "MSG.DELETE", "SNAPSHOT", "DELETE")
    ),
    *(f"$JS.API.DIRECT.GET.{stream}.x" for stream in _STREAM_NAMES),
    *(
        f"$JS.API.CONSUMER.{verb}.{consumer.stream}.{consumer.name}"
        for consumer in _CONSUMERS
        for verb in ("INFO", "MSG.NEXT", "CREATE", "DURABLE.CREATE", "PAUSE", "DELETE")
    ),
    *(f"$JS.ACK.{consumer.stream}.{consumer.name}.1.1.1.1.1" for consumer in _CONSUMERS),
]


def _takes(stream: str, consumer: str) -> list[str]:
    """Return what a service may do with its own consumer."""
    return [
        f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}",
        f"$JS.API.CONSUMER.INFO.{stream}.{consumer}",
        f"$JS.ACK.{stream}.{consumer}.*",
    ]


def _watches(stream: str) -> list[str]:
    return [f"$JS.API.STREAM.INFO.{stream}", f"$JS.API.STREAM.MSG.GET.{stream}"]


def _reads(bucket: str) -> list[str]:
    return [f"$JS.API.STREAM.INFO.KV_{bucket}", f"$JS.API.DIRECT.GET.KV_{bucket}.*"]


def _writes(bucket: str) -> list[str]:
    return [*_reads(bucket), f"$KV.{bucket}.*"]


MAY_PUBLISH = {
    "fetcher": [
        *("feed.sched.1", "evt.article.*", "evt.feed.polled", "job.image.x", "dlq.feed.due.1"),
        *_takes("FEEDS", "fetcher"),
        *_watches("FEEDS"),
        *_reads("feeds"),
        *_writes("feed_states"),
        *_writes("hosts"),
        *_writes("websub"),
    ],
    "transcoder": [
        *("rpc.upload", "evt.image.*", "dlq.job.image.x"),
        *_takes("JOBS", "transcoder"),
        *_watches("JOBS"),
        *_writes("images"),
        *_writes("hosts"),
    ],
    "uploader": [*_writes("renditions"), *_writes("accounts")],
    "api": [
        *("feed.due.1", "job.image.x", "evt.record.completed", "dlq.evt.*"),
        *_takes("EVENTS", "api"),
        *_watches("EVENTS"),
        *("$JS.API.STREAM.INFO.FEEDS", "$JS.API.STREAM.PURGE.FEEDS", "$JS.API.STREAM.INFO.DLQ", "$JS.API.INFO"),
        *_writes("feeds"),
        *_writes("websub"),
        *_reads("accounts"),
    ],
    "operator": [
        *("feed.due.1", "job.image.x", "evt.*", "$JS.API.STREAM.MSG.DELETE.DLQ"),
        *_watches("DLQ"),
        *_writes("renditions"),
        *_writes("accounts"),
        *_reads("images"),
    ],
    "subscriber": _takes("EVENTS", "subscriber"),
    "provision": [
        *(f"$JS.API.STREAM.{verb}.{stream}" for verb in ("INFO", "CREATE", "UPDATE") for stream in _STREAM_NAMES),
        *(f"$JS.API.CONSUMER.{verb}.*" for verb in ("INFO", "DURABLE.CREATE", "CREATE")),
    ],
}

MAY_HEAR = {user: [f"_INBOX_{user}.x"] for user in USERS}
MAY_HEAR["uploader"] = ["_INBOX_uploader.x", "rpc.upload uploader"]
HEARD = [
    *SUBJECTS,
    ">",
    "evt.>",
    "job.>",
    "dlq.>",
    "$KV.>",
    "$JS.>",
    "$SYS.>",
    "rpc.upload uploader",
    "rpc.upload mine",
]


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GuardedBroker]:
    with guarded_broker(tmp_path_factory.mktemp("broker")) as running:
        yield running


async def _connect(broker: GuardedBroker, user: str) -> NatsBus:
    connection = NatsBus(user)
    await connection.connect(broker.url, user=user, password=broker.password(user))
    return connection


async def _provision(broker: GuardedBroker) -> None:
    connection = await _connect(broker, "provision")
    await provision(connection, subscribers=["subscriber"])
    await connection.close()


async def _denied(broker: GuardedBroker, user: str, lines: list[bytes], kind: str) -> set[str]:
    """Say `lines` to the broker as `user`; return the subjects of what it denied."""
    reader, writer = await asyncio.open_connection("127.0.0.1", broker.port)
    hello = {"user": user, "pass": broker.password(user), "verbose": False, "pedantic": False, "headers": True}
    writer.write(b"CONNECT %s\r\n%sPING\r\n" % (json.dumps(hello).encode(), b"".join(lines)))
    answer = await asyncio.wait_for(reader.readuntil(b"PONG\r\n"), 10)
    writer.close()
    await writer.wait_closed()
    pattern = rf"-ERR 'Permissions Violation for {kind} (?:to|on)? ?\"([^\"]+)\"(?: using queue \"([^\"]+)\")?'"
    return {" ".join(filter(None, found)) for found in re.findall(pattern, answer.decode())}


@pytest.mark.live
@pytest.mark.parametrize("user", USERS)
async def test_each_may_publish_what_they_must_and_nothing_else(broker: GuardedBroker, user: str) -> None:
    lines = [b"PUB %s _INBOX_%s.x 2\r\n{}\r\n" % (subject.encode(), user.encode()) for subject in SUBJECTS]
    allowed = {subject for subject in SUBJECTS if any(fnmatchcase(subject, one) for one in MAY_PUBLISH[user])}
    assert await _denied(broker, user, lines, "Publish") == set(SUBJECTS) - allowed


@pytest.mark.live
@pytest.mark.parametrize("user", USERS)
async def test_each_may_listen_to_their_own_answers_and_nothing_else(broker: GuardedBroker, user: str) -> None:
    lines = [f"SUB {subject} {number}\r\n".encode() for number, subject in enumerate(HEARD)]
    assert await _denied(broker, user, lines, "Subscription") == set(HEARD) - set(MAY_HEAR[user])


@pytest.mark.live
async def test_the_broker_knows_nobody_without_a_password(broker: GuardedBroker) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", broker.port)
    writer.write(b'CONNECT {"verbose": false}\r\nPING\r\n')
    assert b"Authorization Violation" in await asyncio.wait_for(reader.read(), 10)
    writer.close()
    await writer.wait_closed()


@pytest.mark.live
async def test_a_subscriber_outside_reads_every_event_through_a_durable_of_its_own(broker: GuardedBroker) -> None:
    await _provision(broker)
    event = FeedPolled(request_id="for-subscribers", feed=1, asked=True, ok=True)
    fetcher, outside = await _connect(broker, "fetcher"), await _connect(broker, "subscriber")
    await fetcher.publish(event)
    mailbox = outside.mailbox(subscriber("subscriber"))
    while True:
        delivery = await asyncio.wait_for(mailbox.receive(), 10)
        assert delivery is not None
        await delivery.ack()
        if delivery.subject == event.subject and delivery.data != b"{}":
            break
    assert decode(delivery.data) == event
    await asyncio.gather(fetcher.close(), outside.close())


@pytest.mark.live
async def test_a_subscriber_outside_gets_nothing_from_the_apis_durable(broker: GuardedBroker) -> None:
    await _provision(broker)
    outside = await _connect(broker, "subscriber")
    mailbox = outside.mailbox(API)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(mailbox.receive(), 1)
    await outside.close()


@pytest.mark.live
async def test_the_operator_lists_what_is_remembered_of_images(broker: GuardedBroker) -> None:
    await _provision(broker)
    transcoder, operator = await _connect(broker, "transcoder"), await _connect(broker, "operator")
    await transcoder.bucket(IMAGES).put("image", b"{}")
    before = REGISTRY.get_sample_value("halftone_bus_errors_total")
    assert "image" in await operator.bucket(IMAGES).keys()
    await asyncio.gather(transcoder.close(), operator.close())
    assert REGISTRY.get_sample_value("halftone_bus_errors_total") == before


@pytest.mark.live
async def test_the_api_lists_the_accounts(broker: GuardedBroker) -> None:
    await _provision(broker)
    uploader, api = await _connect(broker, "uploader"), await _connect(broker, "api")
    await uploader.bucket(ACCOUNTS).put("disk", b"{}")
    before = REGISTRY.get_sample_value("halftone_bus_errors_total")
    assert "disk" in await api.bucket(ACCOUNTS).keys()
    await asyncio.gather(uploader.close(), api.close())
    assert REGISTRY.get_sample_value("halftone_bus_errors_total") == before


@pytest.mark.live
async def test_a_denied_publish_is_no_success(broker: GuardedBroker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bus, "PATIENCE", 0.5)
    uploader = await _connect(broker, "uploader")
    with pytest.raises(BusUnavailable):
        await uploader.publish(ImageJob(image="x", source="http://x/", referer=""))
    await uploader.close()
