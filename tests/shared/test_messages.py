"""Messages: as they travel, between versions that know more or less of each other."""

import typing

import msgspec
import pytest

from shared.messages import (
    AnyMessage,
    Article,
    ArticleFound,
    ArticleUpdated,
    Attempt,
    Event,
    FeedDue,
    FeedFacts,
    FeedPolled,
    ImageFailed,
    ImageJob,
    ImageMirrored,
    Message,
    RecordCompleted,
    Upload,
    Uploaded,
    UploadRefused,
    WantedImage,
    decode,
    encode,
)
from shared.topology import RPC_UPLOAD, STREAMS

ARTICLE = Article(
    link_md5="5d41402abc4b2a76b9719d911017c592",
    link="http://x.example/1",
    title="Ü",
    body="<p>b</p>",
    images=(WantedImage(image="i", source="http://x.example/i.png", role="cover"),),
    covers=("i",),
)
ATTEMPTS = (Attempt(way="no referer", status=403, reason="no"), Attempt(way="article", status=200))

FULL: list[Message] = [
    FeedDue(feed=7, request_id="r"),
    ArticleFound(request_id="r", feed=7, position=0, article=ARTICLE),
    ArticleUpdated(request_id="r", feed=7, position=3, article=ARTICLE),
    ImageJob(image="i", source="http://x.example/i.png", referer="http://x.example/1", alternates=("http://y/",)),
    FeedPolled(
        request_id="r",
        feed=7,
        asked=True,
        ok=True,
        found=("a",),
        facts=FeedFacts(title="T", weekly=2),
        icon=WantedImage(image="j", source="http://x.example/j.png", role="icon"),
        invalid_hrefs={"javascript:": 2},
        next_ms=5,
    ),
    Upload(image="i", data=bytes(range(256)), content_type="image/webp", day="2026/01/02"),
    Uploaded(url="http://cdn/1", account="a", http_code=201, created=True, failed_accounts=("b", "b")),
    UploadRefused(reason="full", final=False, retry_after=1.5),
    ImageMirrored(
        image="i",
        source="s",
        url="u",
        width=1,
        height=2,
        frames=3,
        source_bytes=4,
        rendition_bytes=5,
        attempts=ATTEMPTS,
        notes=("kept",),
        job=9,
    ),
    ImageFailed(image="i", source="s", reason="gone", attempts=ATTEMPTS, job=9),
    RecordCompleted(
        request_id="r", feed=7, ok=True, articles=1, mirrored=2, failed=0, digest="d", record=msgspec.Raw(b'{"code":1}')
    ),
]

# What services of the first version sent, byte for byte: never edited, only added to.
FIRST_VERSION: dict[bytes, Message] = {
    b'{"type":"feed.due","feed":7}': FeedDue(feed=7),
    b'{"type":"article.found","request_id":"r","feed":7,"position":0,"article":{"link_md5":"m","link":"l","title":"t",'
    b'"body":"b"}}': ArticleFound(
        request_id="r", feed=7, position=0, article=Article(link_md5="m", link="l", title="t", body="b")
    ),
    b'{"type":"image.job","image":"i","source":"s","referer":"f"}': ImageJob(image="i", source="s", referer="f"),
    b'{"type":"feed.polled","request_id":"r","feed":7,"asked":false,"ok":true}': FeedPolled(
        request_id="r", feed=7, asked=False, ok=True
    ),
    b"\x85\xa4type\xa6upload\xa5image\xa1i\xa4data\xc4\x01x\xaccontent_type\xa9image/png\xa3day\xaa2026/01/02": Upload(
        image="i", data=b"x", content_type="image/png", day="2026/01/02"
    ),
    b'{"type":"uploaded","url":"u","account":"a","http_code":200,"created":false}': Uploaded(
        url="u", account="a", http_code=200, created=False
    ),
    b'{"type":"upload.refused","reason":"r","final":true}': UploadRefused(reason="r", final=True),
    b'{"type":"image.mirrored","image":"i","source":"s","url":"u","width":1,"height":2,"frames":3,"source_bytes":4,'
    b'"rendition_bytes":5}': ImageMirrored(
        image="i", source="s", url="u", width=1, height=2, frames=3, source_bytes=4, rendition_bytes=5
    ),
    b'{"type":"image.failed","image":"i","source":"s","reason":"r"}': ImageFailed(image="i", source="s", reason="r"),
    b'{"type":"record.completed","request_id":"r","feed":7,"ok":true,"articles":1,"mirrored":2,"failed":3}': (
        RecordCompleted(request_id="r", feed=7, ok=True, articles=1, mirrored=2, failed=3)
    ),
}


def name(message: object) -> str:
    return type(message).__name__


@pytest.mark.parametrize("message", FULL, ids=name)
def test_a_message_comes_back_as_it_was(message: Message) -> None:
    assert decode(encode(message)) == message


def test_every_kind_of_message_is_tried_here() -> None:
    assert {type(message) for message in FULL} == set(typing.get_args(AnyMessage))


@pytest.mark.parametrize(("sent", "understood"), FIRST_VERSION.items(), ids=map(name, FIRST_VERSION.values()))
def test_what_the_first_version_sent_is_still_understood(sent: bytes, understood: Message) -> None:
    assert decode(sent) == understood


@pytest.mark.parametrize("message", FULL, ids=name)
def test_a_field_that_is_not_known_yet_is_passed_over(message: Message) -> None:
    codec = msgspec.msgpack if isinstance(message, Upload) else msgspec.json
    fields: dict[str, object] = codec.decode(encode(message))
    assert decode(codec.encode({**fields, "of_tomorrow": {"a": [1]}})) == message


@pytest.mark.parametrize(
    "junk",
    [
        b"",
        b"{",
        b"{}",
        b'{"type":"unheard.of"}',
        b'{"type":"feed.due"}',
        b'{"type":"feed.due","feed":"x"}',
        b"\xc1",
        b"[]",
    ],
)
def test_what_is_no_message_is_refused(junk: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        decode(junk)


EXPECTED = {
    FeedDue: ("feed.due.7", None),
    ArticleFound: ("evt.article.found", f"article.found:r:{ARTICLE.link_md5}"),
    ArticleUpdated: ("evt.article.updated", f"article.updated:r:{ARTICLE.link_md5}"),
    ImageJob: ("job.image.i", None),
    FeedPolled: ("evt.feed.polled", "feed.polled:r"),
    Upload: (RPC_UPLOAD, None),
    ImageMirrored: ("evt.image.mirrored", "image.mirrored:i:9"),
    ImageFailed: ("evt.image.failed", "image.failed:i:9"),
    RecordCompleted: ("evt.record.completed", "record.completed:r:d"),
}
SENT = [message for message in FULL if type(message) in EXPECTED]


@pytest.mark.parametrize("message", SENT, ids=name)
def test_a_message_knows_its_subject_and_under_which_name_it_is_a_repeat(message: Message) -> None:
    assert (message.subject, message.message_id) == EXPECTED[type(message)]  # type: ignore[index]


def test_every_event_belongs_to_the_stream_of_events_and_has_a_name_that_starts_with_its_kind() -> None:
    events = [message for message in FULL if isinstance(message, typing.get_args(Event))]
    assert len(events) == len(typing.get_args(Event))
    for message in events:
        kind = message.subject.removeprefix("evt.")
        assert message.subject.startswith("evt.")
        assert (message.message_id or "").startswith(f"{kind}:")


@pytest.mark.parametrize("message", [message for message in SENT if not isinstance(message, Upload)], ids=name)
def test_what_is_published_has_exactly_one_stream(message: Message) -> None:
    def takes(pattern: str) -> bool:
        wanted, tokens = pattern.split("."), message.subject.split(".")
        return tokens[: len(wanted) - 1] == wanted[:-1] and (wanted[-1] == ">" or len(tokens) == len(wanted))

    assert sum(takes(pattern) for stream in STREAMS for pattern in stream.subjects) == 1


def test_a_feeds_schedule_waits_beside_its_due_message() -> None:
    assert FeedDue(feed=7).schedule_subject == "feed.sched.7"


@pytest.mark.parametrize("kind", [Uploaded, UploadRefused])
def test_a_reply_has_no_subject_of_its_own(kind: type[Message]) -> None:
    [reply] = [message for message in FULL if type(message) is kind]
    with pytest.raises(NotImplementedError):
        _ = reply.subject
