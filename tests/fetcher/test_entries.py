"""A whole feed, from bytes to entries."""

import pickle
import time

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.fetcher.entries import parse_feed
from services.fetcher.feed import ParsedFeed
from services.fetcher.state import FeedState, Validators, advance, diff
from shared.errors import Reject

URL = "http://example.com/feed"


def feed(*items: str) -> bytes:
    entries = "".join(f"<item>{item}</item>" for item in items)
    return f'<rss version="2.0"><channel><title>T</title>{entries}</channel></rss>'.encode()


def parse(body: bytes, known: dict[str, str] | None = None) -> ParsedFeed:
    return parse_feed(body, url=URL, content_type="application/xml", known=known or {})


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "it is empty"),
        (b" \n\t ", "it is empty"),
        (b"\x00" * 5000, "it is binary data"),
        (b"\x89PNG\r\n\x1a\n" + b"\x00" * 99, "it is a PNG image"),
        (b"GIF89a\x01\x00", "it is a GIF image"),
        (b"\xff\xd8\xff\xe0", "it is a JPEG image"),
        (b"%PDF-1.7", "it is a PDF document"),
        (b"PK\x03\x04", "it is a ZIP archive"),
        (b"\x1f\x8b\x08", "it is a gzip file"),
        (b"hello", "it is text that starts with 'hello'"),
        (b'{"a": 1}', "it is JSON, but no JSON Feed"),
        (b"[1, 2]", "it is JSON, but no JSON Feed"),
        (b"{broken", "it is JSON, but no JSON Feed"),
        (b"[" * 100_000, "it is JSON, but no JSON Feed"),
        (b"<html><body>x</body></html>", "it is a web page that names no feed"),
        (b"<!DOCTYPE html><p>x", "it is a web page that names no feed"),
        (b"<opml version='2.0'/>", "it is XML or HTML with <opml> as its root"),
    ],
)
def test_what_is_no_feed_is_rejected_with_what_it_is(body: bytes, reason: str) -> None:
    with pytest.raises(Reject) as rejected:
        parse(body)
    assert f"{URL} is not a feed: {reason}" == str(rejected.value)


def test_a_feed_that_feedparser_fails_on_is_rejected_in_one_line() -> None:
    with pytest.raises(Reject, match="feedparser fails on it: KeyError") as rejected:
        parse(feed("<textInput><name>n</name></textInput>"))
    assert "\n" not in str(rejected.value)


def test_of_an_entry_twice_the_first_counts() -> None:
    items = [f"<link>http://example.com/1</link><title>{title}</title>" for title in ("first", "second")]
    assert [entry.title for entry in parse(feed(*items)).entries] == ["first"]


def test_entries_that_share_a_link_have_links_of_their_own() -> None:
    items = [f"<link>http://example.com/show#live</link><guid isPermaLink='false'>{id_}</guid>" for id_ in "12"]
    first, second = parse(feed(*items)).entries
    assert f"http://example.com/show#live-{first.identity}" == first.link
    assert first.link_md5 != second.link_md5


def test_a_seen_entry_comes_without_its_body() -> None:
    body = feed("<link>http://example.com/1</link><description>&lt;img src='a.png'&gt;</description>")
    state = advance(FeedState(), parse(body), now_ms=1, validators=Validators(), body_hash="")
    (entry,) = parse(body, state.seen).entries
    assert (entry.body, entry.images, entry.link) == ("", (), "http://example.com/1")
    assert len(diff(state, parse(body, state.seen)).seen) == 1


def test_a_changed_entry_comes_with_its_body() -> None:
    item = "<link>http://example.com/1</link><description>&lt;p&gt;{}&lt;/p&gt;</description>"
    state = advance(FeedState(), parse(feed(item.format("a"))), now_ms=1, validators=Validators(), body_hash="")
    changed = parse(feed(item.format("b")), state.seen)
    assert changed.entries[0].body == "<p>b</p>"
    assert len(diff(state, changed).updated) == 1


@pytest.mark.parametrize(
    ("before", "after", "is_changed"),
    [
        ("<p>a</p>", "<p>b</p>", True),
        ("<p>a</p>", "<p>a</p><img src='/b.png'>", True),
        ("<img src='/a.png'>", "<img src='/b.png'>", True),
        ("<p>a</p>", "<div><p>a</p></div>", False),
        ("<p>a b</p>", "<p>a \n b</p>", False),
        ("<img src='http://i.example/a.png?t=1'>", "<img src='https://i.example/a.png?t=2'>", False),
        ("<a href='/x?session=1'>a</a>", "<a href='/x?session=2'>a</a>", False),
    ],
)
def test_an_entry_is_updated_where_a_reader_sees_it(before: str, after: str, is_changed: bool) -> None:
    first, second = (
        parse(feed(f"<guid>1</guid><description><![CDATA[{html}]]></description>")) for html in (before, after)
    )
    assert is_changed == (first.entries[0].content_hash != second.entries[0].content_hash)


def test_a_changed_title_is_an_update() -> None:
    first, second = (parse(feed(f"<guid>1</guid><title>{title}</title>")).entries[0] for title in "ab")
    assert first.content_hash != second.content_hash


def test_the_same_bytes_give_the_same_feed() -> None:
    body = feed(
        "<guid>1</guid><description><![CDATA[<iframe src='https://www.youtube.com/embed/1'></iframe>]]></description>"
    )
    assert parse(body) == parse(body)


def test_a_feed_travels_out_of_the_child() -> None:
    parsed = parse(feed("<guid>1</guid><description>&lt;img src='/a.png'&gt;&lt;a href=''&gt;</description>"))
    assert parsed == pickle.loads(pickle.dumps(parsed))  # noqa: S301 - our own
    assert parsed == msgspec.msgpack.decode(msgspec.msgpack.encode(parsed), type=ParsedFeed)


def test_time_is_linear_in_the_number_of_entries() -> None:
    def seconds(count: int) -> float:
        body = feed(
            *(f"<link>http://example.com/{number}</link><description>x</description>" for number in range(count))
        )
        started = time.process_time()
        assert count == len(parse(body).entries)
        return time.process_time() - started

    seconds(100)
    assert seconds(8000) < 3 * 8 * max(seconds(1000), 0.02)


def reason(body: bytes) -> str:
    """Why it is rejected; empty: it is read."""
    try:
        parse_feed(body, url=URL, content_type=None)
    except Reject as rejected:
        return str(rejected)
    return ""


@given(st.binary(max_size=200))
@settings(max_examples=300, deadline=None)
def test_any_bytes_are_read_or_rejected(body: bytes) -> None:
    assert "\n" not in reason(body)


@given(st.text(alphabet="<>/abc item='\"&;!-[]CDATA\n", max_size=120))
@settings(max_examples=300, deadline=None)
def test_any_markup_in_a_feed_is_read_or_rejected(markup: str) -> None:
    assert "\n" not in reason(feed(markup))
