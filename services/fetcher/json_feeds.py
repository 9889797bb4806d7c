"""Read JSON Feed 1.0 and 1.1 (https://www.jsonfeed.org/version/1.1/), as publishers write it."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, cast

from services.fetcher.dates import read_date
from services.fetcher.feed import Enclosure, ParsedFeed, RawEntry, RawMedia
from shared.urls import resolve

_HUB_TYPE = "websub"
_LARGEST = 10**12  # bytes of an enclosure; a larger number is no size
_SURROGATE = re.compile("[\ud800-\udfff]")  # half a character, which JSON can write and UTF-8 cannot


def read_json(text: str, url: str) -> tuple[ParsedFeed, list[RawEntry]] | None:
    """Return the feed, still without entries, and its entries as given; None where it is no JSON Feed."""
    try:
        feed = _object(json.loads(text, strict=False))
    except (ValueError, RecursionError):
        return None
    if not _is_feed(feed):
        return None
    inherited = _author(feed)
    return _feed(feed, url), [_entry(item, url, inherited) for item in _list(feed, "items")]


def _is_feed(feed: Mapping[str, Any]) -> bool:
    version = str(feed.get("version", ""))
    return "jsonfeed.org/version/" in version or (isinstance(feed.get("items"), list) and "title" in feed)


def _feed(feed: Mapping[str, Any], url: str) -> ParsedFeed:
    hubs = (hub for hub in _list(feed, "hubs") if str(hub.get("type", "")).lower() == _HUB_TYPE)
    return ParsedFeed(
        kind="json",
        version="json11" if str(feed.get("version", "")).rstrip("/").endswith("1.1") else "json1",
        title=_text(feed, "title"),
        link=resolve(_text(feed, "home_page_url"), url) or "" if _text(feed, "home_page_url") else "",
        description=_text(feed, "description"),
        language=_text(feed, "language"),
        icon=_first(url, feed, "favicon", "icon"),
        hub=next((hub for entry in hubs if (hub := _first(url, entry, "url"))), None),
        self_url=_first(url, feed, "feed_url"),
    )


def _entry(item: Mapping[str, Any], url: str, inherited: str) -> RawEntry:
    html, text = _text(item, "content_html"), _text(item, "content_text")
    enclosures = tuple(_enclosures(item, url))
    published = _text(item, "date_published") or _text(item, "date_modified")
    return RawEntry(
        id=_text(item, "id"),
        title=" ".join(_text(item, "title").split()),
        link=_first(url, item, "url", "external_url") or "",
        author=_author(item) or inherited,
        published=published,
        published_ms=read_date(published),
        updated_ms=read_date(_text(item, "date_modified")),
        content=html or text or _text(item, "summary"),
        content_type="text/html" if html else "text/plain",
        media=tuple(_media(item, url, enclosures)),
        enclosures=enclosures,
    )


def _media(item: Mapping[str, Any], url: str, enclosures: tuple[Enclosure, ...]) -> Iterator[RawMedia]:
    for rank, name in enumerate(("image", "banner_image")):
        if address := _first(url, item, name):
            yield RawMedia(address, 0, rank)
    for enclosure in enclosures:
        if enclosure.type.startswith("image/"):
            yield RawMedia(enclosure.url, 0, 2)


def _enclosures(item: Mapping[str, Any], url: str) -> Iterator[Enclosure]:
    for attachment in _list(item, "attachments"):
        if address := _first(url, attachment, "url"):
            size = attachment.get("size_in_bytes")
            length = size if isinstance(size, int) and 0 < size < _LARGEST else 0
            yield Enclosure(address, _text(attachment, "mime_type").lower(), length)


def _author(mapping: Mapping[str, Any]) -> str:
    authors = [*_list(mapping, "authors"), _object(mapping.get("author"))]
    return ", ".join(dict.fromkeys(name for author in authors if (name := _text(author, "name"))))


def _object(value: Any) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", value) if isinstance(value, dict) else {}


def _list(mapping: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    value = mapping.get(name)
    return [item for item in map(_object, cast("list[Any]", value)) if item] if isinstance(value, list) else []


def _first(url: str, mapping: Mapping[str, Any], *names: str) -> str | None:
    return next(
        (absolute for name in names if (text := _text(mapping, name)) and (absolute := resolve(text, url))), None
    )


def _text(mapping: Mapping[str, Any], name: str) -> str:
    """Return a value as text: publishers give numbers as ids."""
    value = mapping.get(name)
    if isinstance(value, str):
        return _SURROGATE.sub("\N{REPLACEMENT CHARACTER}", value).strip()
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else ""
