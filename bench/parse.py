"""Compare the time to read a feed with feedparser's: `python bench/parse.py [ENTRIES]`, CPU milliseconds, best of 7."""

import argparse
import io
import time
from collections.abc import Callable

import feedparser  # pyright: ignore[reportMissingTypeStubs] - it has none

from services.fetcher.entries import parse_feed
from services.fetcher.state import FeedState, Validators, advance

URL = "https://example.org/feed"
PARAGRAPH = (
    '<p>Some <b>text</b> with a <a href="https://example.org/x?a=1&amp;b=2">link</a> and more words, café.</p>\n'
)
IMAGE = '<img src="https://img.example.org/{0}.jpg" srcset="https://img.example.org/{0}-1024.jpg 1024w" alt="x">'
ITEM = """<item><title>Entry number {0} &amp; more</title><link>https://example.org/posts/{0}</link>
<guid isPermaLink="false">https://example.org/?p={0}</guid><dc:creator>Jane Doe</dc:creator>
<pubDate>Tue, 19 Jan 2021 10:00:00 +0000</pubDate><category>News</category><description>Short summary</description>
<content:encoded><![CDATA[{1}]]></content:encoded></item>"""
FEED = """<?xml version="1.0"?><rss version="2.0" xmlns:content="http://purl.org/rss/1.0/modules/content/"
xmlns:dc="http://purl.org/dc/elements/1.1/"><channel><title>Example</title>{0}</channel></rss>"""


def feed(entries: int) -> bytes:
    """Return a feed of full-text entries of 3 kB, as WordPress writes it."""
    body = PARAGRAPH * 25 + IMAGE
    return FEED.format("".join(ITEM.format(number, body.format(number)) for number in range(entries))).encode()


def by_feedparser(body: bytes) -> object:
    """Read as feedparser's users do."""
    return feedparser.parse(io.BytesIO(body))  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]


def best(call: Callable[[], object]) -> float:
    """Return the CPU milliseconds of the fastest of seven calls."""
    times: list[float] = []
    for _ in range(7):
        started = time.process_time()
        call()
        times.append(time.process_time() - started)
    return min(times) * 1000


def main() -> None:
    """Print one line per reader."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("entries", type=int, nargs="?", default=20)
    entries = parser.parse_args().entries
    body = feed(entries)
    parsed = parse_feed(body, url=URL, content_type=None)
    state = advance(FeedState(), parsed, now_ms=1, validators=Validators(), body_hash="")
    readers: dict[str, Callable[[], object]] = {
        "feedparser": lambda: by_feedparser(body),
        "ours, every entry new": lambda: parse_feed(body, url=URL, content_type=None),
        "ours, every entry seen": lambda: parse_feed(body, url=URL, content_type=None, known=state.seen),
    }
    print(f"{entries} entries, {len(body) / 1000:.0f} kB")
    for name, read in readers.items():
        print(f"{name:24} {best(read):8.1f} ms")


if __name__ == "__main__":
    main()
