"""Each file under `cases/` is a feed that says in its first comment what must be read from it.

    <!--
    Description: relative links are relative to xml:base
    Header:      Content-Type: text/html
    Expect:      entry.link == "http://example.com/a/b"
    -->

The names in `Expect` are the fields of the feed, `entry` for its first entry, `rejected` for the reason it was not
read. JSON has no comments: there the three stand in an object `_case`.
"""

import json
import re
from pathlib import Path

import msgspec
import pytest

from services.fetcher.entries import parse_feed
from services.fetcher.feed import Entry, ParsedFeed
from services.fetcher.text import decode
from shared.errors import Reject

CASES = Path(__file__).parent / "cases"
URL = "http://example.com/blog/feed"
_FIELD = re.compile(r"^\s*(Description|Header|Expect):\s*(.*)$", re.MULTILINE)


def _said(path: Path) -> dict[str, str]:
    text = decode(path.read_bytes(), None)
    if path.suffix == ".json":
        return json.loads(text)["_case"]
    return dict(_FIELD.findall(text))


def _names(path: Path, header: str) -> dict[str, object]:
    content_type = header.partition(":")[2].strip() or None
    try:
        feed, rejected = parse_feed(path.read_bytes(), url=URL, content_type=content_type), ""
    except Reject as reason:
        feed, rejected = ParsedFeed(kind=""), str(reason)
    first = feed.entries[0] if feed.entries else Entry(identity="")
    sources = [image.source for image in first.images]
    return {**msgspec.structs.asdict(feed), "entry": first, "sources": sources, "rejected": rejected}


@pytest.mark.parametrize("path", sorted(CASES.rglob("*.*")), ids=lambda path: str(path.relative_to(CASES)))
def test_a_feed_is_read_as_it_says(path: Path) -> None:
    said = _said(path)
    names = _names(path, said.get("Header", ""))
    assert eval(said["Expect"], names), (said["Description"], said["Expect"], names)  # noqa: S307 - our own files


def test_there_are_as_many_cases_as_promised() -> None:
    assert len(list(CASES.rglob("*.*"))) >= 150
