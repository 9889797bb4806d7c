"""Compare what we read from a folder of feeds with what feedparser reads: `python -m tests.fetcher.conformance DIR`.

Files may be plain feeds or of the kind of feedparser's own suite, with `Header:` and `Expect:` lines in a leading
comment; of those, only files count whose expectation feedparser itself fulfils. Values are compared normalised:
titles and bodies as plain text without white space, links absolute, dates as epoch milliseconds.
"""

import io
import re
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import feedparser  # pyright: ignore[reportMissingTypeStubs] - it has none

from services.fetcher.dates import epoch_ms
from services.fetcher.entries import parse_feed
from services.fetcher.feed import Entry, ParsedFeed
from services.fetcher.text import decode, plain
from shared.errors import Reject
from shared.urls import resolve

URL = "http://127.0.0.1:8097/tests/"
_HEADER = re.compile(r"^Header:\s+([^:]+):(.+)$", re.MULTILINE)
_EXPECT = re.compile(r"Description:\s*(.*?)\s*Expect:\s*(.*)\s*-->")
_SHOWN = 60  # differences printed


def compare(data: bytes, url: str) -> list[str] | None:
    """Return the names of the fields in which we differ from feedparser; None where the file does not count."""
    text = decode(data, None)
    headers = {name.strip().lower(): value.strip() for name, value in _HEADER.findall(text[:2000])}
    theirs = _feedparser(data, {"content-type": "application/xml", **headers, "content-location": url})
    expectation = _EXPECT.search(text)
    if expectation and not _holds(expectation.group(2), theirs):
        return None
    try:
        ours = parse_feed(data, url=url, content_type=headers.get("content-type"))
    except Reject:
        return ["rejected"] if theirs["entries"] or theirs.get("version") else []
    return list(_differences(ours, theirs, url))


def _feedparser(data: bytes, headers: dict[str, str]) -> Mapping[str, Any]:
    parsed: Any = feedparser.parse(io.BytesIO(data), response_headers=headers)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    return cast("Mapping[str, Any]", parsed)


def _holds(expression: str, document: Mapping[str, Any]) -> bool:
    """Return whether a suite's expectation holds, in the names of feedparser's own runner; in others: it counts."""
    names = {**document, "feedparser": feedparser, "feeds": document["feed"]}
    try:
        return bool(eval(expression, names))  # noqa: S307 - a suite's expectations are Python, as its own runner takes them
    except NameError:
        return True
    except Exception:  # noqa: BLE001 - an expectation that cannot be reckoned is not fulfilled
        return False


def _differences(ours: ParsedFeed, theirs: Mapping[str, Any], url: str) -> Iterator[str]:
    feed = theirs["feed"]
    yield from _unlike("feed.title", ours.title, _markup(feed, "title"))
    yield from _unlike("feed.description", ours.description, _markup(feed, "subtitle"))
    link = resolve(_string(feed, "link"), url) if _string(feed, "link") else None
    yield from _unlike("feed.link", ours.link, link or ours.link)
    entries = theirs["entries"]
    if len(ours.entries) != len(entries):
        yield f"entries: {len(ours.entries)} != {len(entries)}"
        return
    for our_entry, their_entry in zip(ours.entries, entries, strict=True):
        yield from _entry_differences(our_entry, their_entry, url)


def _entry_differences(ours: Entry, theirs: Mapping[str, Any], url: str) -> Iterator[str]:
    yield from _unlike("id", ours.id, _string(theirs, "id"))
    yield from _unlike("title", ours.title, _markup(theirs, "title"))
    link = resolve(_string(theirs, "link"), url) if _string(theirs, "link") else None
    yield from _unlike("link", ours.link, link or ours.link)
    authors = {_string(theirs, "author"), _string(theirs.get("author_detail", {}), "name")}
    authors |= {", ".join(author.get("name") or author.get("email", "") for author in theirs.get("authors", ()))}
    if any(authors) and plain(ours.author) not in {plain(author) for author in authors}:
        yield f"author: {ours.author!r} not in {authors!r}"
    for name, value in (("published", ours.published_ms), ("updated", ours.updated_ms)):
        if name in theirs and (expected := epoch_ms(theirs.get(f"{name}_parsed"))) is not None:
            yield from _unlike(name, value, expected)
    enclosures = [resolve(link.get("href", ""), url) for link in theirs.get("enclosures", ())]
    yield from _unlike("enclosures", [enclosure.url for enclosure in ours.enclosures], [e for e in enclosures if e])
    bodies = [part.get("value", "") for part in theirs.get("content", ())] + [_string(theirs, "summary")]
    if any(bodies) and _squeeze(ours.body) not in {_squeeze(body) for body in bodies}:
        yield f"body: {_squeeze(ours.body)[:90]!r} not in {[_squeeze(body)[:90] for body in bodies]!r}"


def _unlike(name: str, ours: object, theirs: object) -> Iterator[str]:
    if isinstance(ours, str) and isinstance(theirs, str):
        ours, theirs = " ".join(ours.split()), " ".join(theirs.split())
    if ours != theirs:
        yield f"{name}: {ours!r} != {theirs!r}"


def _string(mapping: Mapping[str, Any], name: str) -> str:
    value = mapping.get(name)
    return value if isinstance(value, str) else ""


def _markup(mapping: Mapping[str, Any], name: str) -> str:
    value = _string(mapping, name)
    is_text = mapping.get(f"{name}_detail", {}).get("type") == "text/plain"
    return value if is_text else plain(value)


def _squeeze(markup: str) -> str:
    return re.sub(r"\s+", "", plain(markup))


def main(folder: Path) -> int:
    """Print the differences and the pass rate; return 1 where it is under 99 %."""
    counts: Counter[str] = Counter()
    for path in sorted(path for path in folder.rglob("*") if path.suffix in {".xml", ".rss", ".atom", ".rdf"}):
        differences = compare(path.read_bytes(), URL + str(path.relative_to(folder)))
        counts["counted"] += differences is not None
        counts["passed"] += differences == []
        if differences and counts["counted"] - counts["passed"] <= _SHOWN:
            sys.stdout.write(f"{path.relative_to(folder)}\n    " + "\n    ".join(differences) + "\n")
    rate = counts["passed"] / max(1, counts["counted"])
    sys.stdout.write(f"{counts['passed']} of {counts['counted']} as feedparser: {rate:.2%}\n")
    return int(rate < 0.99)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
