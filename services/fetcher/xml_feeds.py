"""Read RSS, RDF and Atom by feedparser, its dictionaries turned into plain values."""

import io
import re
import xml.sax.expatreader
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, cast

import feedparser  # pyright: ignore[reportMissingTypeStubs] - it has none

from services.fetcher.dates import read_date
from services.fetcher.elements import Fields
from services.fetcher.feed import Enclosure, Hints, ParsedFeed, RawEntry, RawMedia
from services.fetcher.repair import repair
from services.fetcher.text import plain
from services.fetcher.tree import read_tree
from shared.errors import Reject
from shared.urls import resolve

# Instead of looking for another parser before each feed: the sandbox that this runs in can open no file.
feedparser.api.PREFERRED_XML_PARSERS = [xml.sax.expatreader.__name__]  # pyright: ignore[reportUnknownMemberType]
_HTML = frozenset({"text/html", "application/xhtml+xml"})
_PERIODS = {"hourly": 3600, "daily": 86_400, "weekly": 604_800, "monthly": 2_592_000, "yearly": 31_536_000}
_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_SKIP_HOURS = re.compile(r"<skipHours>(.{0,2000}?)</skipHours>", re.IGNORECASE | re.DOTALL)
_SKIP_DAYS = re.compile(r"<skipDays>(.{0,2000}?)</skipDays>", re.IGNORECASE | re.DOTALL)
_HOUR = re.compile(r"<hour>\s*(\d{1,2})\s*</hour>", re.IGNORECASE)
_DAY = re.compile(r"<day>\s*(\w+)\s*</day>", re.IGNORECASE)
_IMAGE_NAME = re.compile(r"\.(?:jpe?g|png|gif|webp|avif|bmp)(?:$|\?)", re.IGNORECASE)
_RDF = frozenset({"rss090", "rss10"})
_KINDS = ("rss", "atom", "cdf")


def read_xml(text: str, url: str) -> tuple[ParsedFeed, list[RawEntry]]:
    """Return the feed, still without entries, and its entries as given.

    The kind is empty where feedparser recognises no feed.
    """
    mended = repair(text)
    return from_document(read_tree(mended, url) or by_feedparser(mended, url), text, url)


def from_document(document: Fields, text: str, url: str) -> tuple[ParsedFeed, list[RawEntry]]:
    """Return the feed and its entries from a dictionary as feedparser makes it, and the text that it was made of."""
    version: str = document.get("version") or ""
    kind = "rdf" if version in _RDF else next((kind for kind in _KINDS if version.startswith(kind)), "")
    inherited = _author(document["feed"]) if kind == "atom" else ""
    entries = [_entry(entry, url, inherited) for entry in document["entries"]]
    return _feed(document["feed"], kind, version, url, text), entries


def by_feedparser(text: str, url: str) -> Fields:
    """Return what feedparser reads, its own repairs left out: bodies are resolved and sanitised by us.

    Raises:
        Reject: feedparser itself fails.
    """
    try:
        parsed: Any = feedparser.parse(  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType] - no stubs
            io.BytesIO(text.encode("utf-8", "replace")),
            response_headers={"content-type": "application/xml; charset=utf-8", "content-location": url},
            resolve_relative_uris=False,
            sanitize_html=False,
        )
    except Exception as error:  # it has bugs of its own, such as a KeyError for a `<textInput>` in an item
        raise Reject(f"{url} cannot be read: feedparser fails on it: {error!r}") from error
    return cast("Fields", parsed)


def _feed(feed: Fields, kind: str, version: str, url: str, text: str) -> ParsedFeed:
    links = [link for link in feed.get("links", ()) if link.get("href")]
    return ParsedFeed(
        kind=kind,
        version=version,
        title=_plain(feed, "title"),
        link=(resolve(link, url) if (link := _text(feed, "link")) else None) or "",
        description=_plain(feed, "subtitle"),
        language=_text(feed, "language"),
        icon=_icon(feed, url),
        hub=_rel(links, "hub", url),
        self_url=_rel(links, "self", url),
        hints=_hints(feed, text),
    )


def _entry(entry: Fields, url: str, inherited: str) -> RawEntry:
    content, content_type, base = _content(entry)
    published = next((_text(entry, name) for name in ("published", "updated", "created") if _text(entry, name)), "")
    return RawEntry(
        id=_text(entry, "id"),
        title=_plain(entry, "title"),
        link=_link(entry, url),
        author=_author(entry) or inherited,
        published=published,
        published_ms=_date(entry, "published") or _date(entry, "updated") or _date(entry, "created"),
        updated_ms=_date(entry, "updated"),
        content=content,
        content_type=content_type,
        base="" if base == url else base,
        media=tuple(_media(entry, url)),
        enclosures=tuple(_enclosures(entry, url)),
    )


def _text(mapping: Fields, name: str) -> str:
    """Return a value where it is text: a stray element with attributes makes feedparser put a dictionary.

    Read as a plain dictionary's: feedparser's own would give the update where the date is missing.
    """
    value: Any = dict[str, Any].get(mapping, name)
    return value.strip() if isinstance(value, str) else ""


def _plain(mapping: Fields, name: str) -> str:
    value = _text(mapping, name)
    is_text = mapping.get(f"{name}_detail", {}).get("type", "text/plain") == "text/plain"
    return " ".join(value.split()) if is_text else plain(value)


def _author(mapping: Fields) -> str:
    names: list[str] = [
        author.get("name") or author.get("email") or "" for author in mapping.get("authors", ()) if author
    ]
    return plain(", ".join(dict.fromkeys(filter(None, names))) or _text(mapping, "author"))


def _date(entry: Fields, name: str) -> int | None:
    return read_date(_text(entry, name))


def _link(entry: Fields, url: str) -> str:
    """Return the entry's link: before FeedBurner, the page for people, else any page, else what it carries."""
    links = entry.get("links", ())
    candidates = [
        _text(entry, "feedburner_origlink"),
        _text(entry, "link"),
        *(link.get("href", "") for link in links if link.get("rel") == "alternate"),
        *(link.get("href", "") for link in links if link.get("rel") not in {"self", "edit", "replies", "enclosure"}),
        id_ if (id_ := _text(entry, "id")).startswith(("http://", "https://")) else "",
    ]
    return next((absolute for link in candidates if link and (absolute := resolve(link, url))), "")


def _content(entry: Fields) -> tuple[str, str, str]:
    """Return the fullest body an entry has, its type and its base: content over summary, HTML over text."""
    found: list[Fields] = [part for part in entry.get("content", ()) if part.get("value") and _is_text(part)]
    detail: Fields = entry.get("summary_detail") or {}
    if (summary := _text(entry, "summary")) and (detail or not found):  # without details it copies the content
        found.append({"type": "text/html", **detail, "value": summary})
    first: Fields = found[0] if found else {}
    chosen = next((part for part in found if part.get("type") in _HTML), first)
    kind = "text/html" if chosen.get("type") in _HTML else "text/plain"
    return chosen.get("value", ""), kind, chosen.get("base") or ""


def _is_text(part: Fields) -> bool:
    return part.get("type", "text/plain") in _HTML or part.get("type", "text/plain").startswith("text/")


def _enclosures(entry: Fields, url: str) -> Iterator[Enclosure]:
    for link in entry.get("links", ()):
        if link.get("rel") == "enclosure" and (address := resolve(link.get("href", ""), url)):
            yield Enclosure(address, link.get("type", "").lower(), _number(link.get("length")))


def _media(entry: Fields, url: str) -> Iterator[RawMedia]:
    """Yield the pictures that an entry names outside its body (Media RSS, iTunes, enclosures)."""
    for item in entry.get("media_content", ()):
        address = resolve(item.get("url", ""), url) if _shows_image(item) else None
        if address:
            yield RawMedia(address, _number(item.get("width")), 0 if item.get("isdefault") == "true" else 1)
    for item in entry.get("media_thumbnail", ()):
        if item.get("url") and (address := resolve(item["url"], url)):
            yield RawMedia(address, _number(item.get("width")), 3)
    if (image := _image(entry)) and (address := resolve(image, url)):
        yield RawMedia(address, 0, 2)
    for enclosure in _enclosures(entry, url):
        if enclosure.type.startswith("image/") or (not enclosure.type and _IMAGE_NAME.search(enclosure.url)):
            yield RawMedia(enclosure.url, 0, 4)


def _shows_image(item: Mapping[str, str]) -> bool:
    kind = item.get("medium", "").lower() or item.get("type", "").lower().partition("/")[0]
    return bool(item.get("url")) and (kind == "image" or (not kind and bool(_IMAGE_NAME.search(item["url"]))))


def _icon(feed: Fields, url: str) -> str | None:
    candidates = (_text(feed, "icon"), _image(feed), _text(feed, "logo"))
    return next((absolute for icon in candidates if icon and (absolute := resolve(icon, url))), None)


def _image(mapping: Fields) -> str:
    """Return the URL of an `<image>` or `itunes:image`; feedparser puts text there for a stray one."""
    image = mapping.get("image")
    return _text(cast("Fields", image), "href") if isinstance(image, Mapping) else ""


def _rel(links: Iterable[Mapping[str, str]], rel: str, url: str) -> str | None:
    return next((resolve(link["href"], url) for link in links if link.get("rel", "").lower() == rel), None)


def _hints(feed: Fields, text: str) -> Hints:
    period = _PERIODS.get(_text(feed, "sy_updateperiod").lower(), 0)
    hours, days = _SKIP_HOURS.search(text), _SKIP_DAYS.search(text)
    return Hints(
        ttl_seconds=_number(_text(feed, "ttl")) * 60,
        period_seconds=period // max(1, _number(_text(feed, "sy_updatefrequency"))),
        skip_hours=tuple(sorted({int(hour) % 24 for hour in _HOUR.findall(hours.group(1))})) if hours else (),
        skip_days=tuple(
            sorted({_DAYS.index(day) for name in _DAY.findall(days.group(1)) if (day := name.lower()) in _DAYS})
        )
        if days
        else (),
    )


def _number(text: Any) -> int:
    """Return the whole number that a text is, 0 where it is none."""
    text = str(text or "").strip()
    return int(text[:12]) if text.isascii() and text.isdigit() else 0
