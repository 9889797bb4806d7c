"""Read a feed from its bytes: what it says about itself, and its entries with body, images and identity.

    bytes ─▶ decode ─▶ sniff ─▶ read_xml | read_json | read_page ─▶ keys_of ─▶ read_body ─▶ choose_covers ─▶ Entry

A pure function of bytes, made to run in a child that can be killed: feedparser takes quadratic time in the number
of attributes on one element.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from html import escape, unescape
from types import MappingProxyType

import msgspec

from services.fetcher.bodies import Body, read_body
from services.fetcher.covers import choose_covers
from services.fetcher.feed import Enclosure, Entry, Hints, ParsedFeed, RawEntry
from services.fetcher.identity import Keys, keys_of
from services.fetcher.images import Image
from services.fetcher.json_feeds import read_json
from services.fetcher.pages import read_page
from services.fetcher.sniff import describe, sniff
from services.fetcher.text import decode
from services.fetcher.xml_feeds import read_xml
from shared.errors import Reject
from shared.urls import link_md5

__all__ = ["Enclosure", "Entry", "Hints", "Image", "ParsedFeed", "parse_feed"]

_TAGS = re.compile(r"<[^>]*>")
_SOURCES = re.compile(
    r"<(?:img|source|video|iframe)\b[^>]*?\bsrc\s*=\s*[\"']?(?:https?:)?([^\"'\s>?#]+)", re.IGNORECASE
)


def parse_feed(
    body: bytes, *, url: str, content_type: str | None, known: Mapping[str, str] = MappingProxyType({})
) -> ParsedFeed:
    """Return the feed in `body`.

    Args:
        body: The response, decompressed.
        url: Where it came from in the end: what relative URLs are relative to.
        content_type: The HTTP header; believed only where the bytes do not say otherwise.
        known: Identities and aliases of entries seen before to their content hash (`FeedState.seen`): an entry that
            is as it was then comes without body and images, for making them is most of the work.

    Returns:
        The feed, each identity once; for a web page, kind "html" and the feeds that it names.

    Raises:
        Reject: It is neither a feed nor a page that names one; the text says what it is.
    """
    text = decode(body, content_type)
    kind, text = sniff(text)
    if kind == "html":
        return _page(text, url)
    read = read_xml(text, url) if kind == "xml" else read_json(text, url) if kind == "json" else None
    if read is None or not (read[0].kind or read[1]):
        what = "it is JSON, but no JSON Feed" if kind == "json" else describe(body, text)
        raise Reject(f"{url} is not a feed: {what}")
    feed, entries = read
    return msgspec.structs.replace(feed, kind=feed.kind or "rss", entries=_entries(entries, feed.link or url, known))


def _page(text: str, url: str) -> ParsedFeed:
    page = read_page(text, url)
    if not page.feeds:
        raise Reject(f"{url} is not a feed: it is a web page that names no feed")
    return ParsedFeed(kind="html", title=page.title, link=url, alternates=page.feeds)


def _entries(raw: Sequence[RawEntry], site: str, known: Mapping[str, str]) -> tuple[Entry, ...]:
    keys = keys_of(raw)
    links = Counter(dict.fromkeys((entry.link, key.identity) for entry, key in zip(raw, keys, strict=True)))
    shared = Counter(link for link, _ in links)
    found: dict[str, Entry] = {}
    for entry, key in zip(raw, keys, strict=True):
        if key.identity not in found:
            found[key.identity] = _entry(entry, key, _own_link(entry, key, site, shared[entry.link] > 1), known)
    return tuple(found.values())


def _entry(raw: RawEntry, keys: Keys, link: str, known: Mapping[str, str]) -> Entry:
    content_hash = _content_hash(raw)
    entry = Entry(
        identity=keys.identity,
        aliases=keys.aliases,
        id=raw.id,
        title=raw.title,
        link=link,
        link_md5=link_md5(link),
        author=raw.author,
        published=raw.published,
        published_ms=raw.published_ms,
        updated_ms=raw.updated_ms,
        content_hash=content_hash,
        enclosures=raw.enclosures,
    )
    is_seen = any(known.get(key) == content_hash for key in (keys.identity, *keys.aliases))
    return entry if is_seen else _with_body(entry, raw)


def _with_body(entry: Entry, raw: RawEntry) -> Entry:
    body, body_type = _body(raw, entry.link)
    covers = choose_covers(raw.media, body.images)
    return msgspec.structs.replace(
        entry,
        body=body.html,
        body_type=body_type,
        images=covers.images,
        covers=covers.covers,
        covers_named=covers.named,
        invalid_hrefs=body.invalid_hrefs,
    )


def _own_link(raw: RawEntry, keys: Keys, site: str, shared: bool) -> str:
    """Return the entry's link; where it has none of its own, one that still leads there and is its alone.

    The record knows articles by the MD5 of their link: two episodes that link one page must not be one article.
    """
    if raw.link and not shared:
        return raw.link
    if raw.enclosures and not raw.link:
        return raw.enclosures[0].url
    link = raw.link or site
    return f"{link}{'-' if '#' in link else '#'}{keys.identity}"


def _body(raw: RawEntry, link: str) -> tuple[Body, str]:
    """Return the body to show and whether it is HTML; HTML without a tag is the text it stands for."""
    if raw.content_type == "text/html" and "<" in raw.content:
        return read_body(raw.content, raw.base or link), "html"
    text = unescape(raw.content) if raw.content_type == "text/html" else raw.content
    if raw.content_type == "text/html" and "<" in text:  # written about markup: stays escaped
        return Body(escape(text, quote=False), ()), "html"
    return Body(text, ()), "text"


def _content_hash(raw: RawEntry) -> str:
    """Hash what a reader sees: title, text, pictures and files, without markup, queries and schemes.

    Ad servers' and counters' URLs change with every answer; an entry is updated where its words or pictures are.
    """
    text = " ".join(_TAGS.sub(" ", raw.content).split())
    parts = (raw.title, text, *_SOURCES.findall(raw.content), *(enclosure.url for enclosure in raw.enclosures))
    return hashlib.sha256("\n".join(parts).encode(errors="surrogatepass")).hexdigest()[:16]
