"""Mirrored feeds: a feed's articles with their images from the CDN, as Atom, RSS 2.0 or JSON Feed 1.1: pure.

Sources: RFC 4287 (Atom), rssboard.org/rss-specification with the content and media modules, jsonfeed.org/version/1.1.
"""

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from email.utils import format_datetime
from mimetypes import guess_type
from urllib.parse import urlsplit
from xml.sax.saxutils import escape, quoteattr

import msgspec

from shared.html import rewrite_images
from shared.messages import Article, Enclosure

_ILLEGAL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # XML 1.0, production 2
_IRI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[^\s<>\"{}|\\^`]+")
TYPES = {"atom": "application/atom+xml", "rss": "application/rss+xml", "json": "application/feed+json"}


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """An article as readers get it."""

    article: Article
    urls: dict[str, str]  # source URL → CDN URL
    created_ms: int
    updated_ms: int
    cover: str | None = None  # its CDN URL

    @property
    def html(self) -> str:
        """The body, its images from the CDN."""
        body = self.article.body
        return rewrite_images(body, self.urls) if self.article.body_type == "html" else body

    @property
    def enclosures(self) -> list[Enclosure]:
        """The files it carries along, each with a media type, which all three formats want; images from the CDN."""
        return [_mirrored(it, self.urls.get(it.url)) for it in self.article.enclosures]


class Feed(msgspec.Struct, frozen=True, kw_only=True):
    """A feed as readers get it."""

    title: str
    description: str
    link: str  # of the site
    source: str  # of the feed that it mirrors
    self_url: str  # of this mirrored feed
    icon: str | None
    updated_ms: int
    entries: Sequence[Entry]


def render(feed: Feed, form: str) -> bytes:
    """Return the feed as `atom`, `rss` or `json`."""
    if form == "json":
        return msgspec.json.encode(_json(feed))
    lines = _atom(feed) if form == "atom" else _rss(feed)
    return ('<?xml version="1.0" encoding="utf-8"?>\n' + "\n".join(lines) + "\n").encode()


def _atom(feed: Feed) -> Iterator[str]:
    yield '<feed xmlns="http://www.w3.org/2005/Atom" xmlns:media="http://search.yahoo.com/mrss/">'
    yield f"<id>{_text(feed.source)}</id>"
    yield f"<title>{_text(feed.title)}</title>"
    if feed.description:
        yield f"<subtitle>{_text(feed.description)}</subtitle>"
    yield f"<updated>{_rfc3339(feed.updated_ms)}</updated>"
    yield f"<author><name>{_text(feed.title or feed.source)}</name></author>"
    yield f"<link rel={_quoted('self')} type={_quoted(TYPES['atom'])} href={_quoted(feed.self_url)}/>"
    if feed.link:
        yield f"<link rel={_quoted('alternate')} href={_quoted(feed.link)}/>"
    if feed.icon:
        yield f"<icon>{_text(feed.icon)}</icon>"
    yield "<generator>Halftone</generator>"
    for entry in feed.entries:
        yield from _atom_entry(entry)
    yield "</feed>"


def _atom_entry(entry: Entry) -> Iterator[str]:
    article = entry.article
    yield "<entry>"
    yield f"<id>{_text(_iri(article))}</id>"
    yield f"<title>{_text(article.title)}</title>"
    yield f"<link rel={_quoted('alternate')} href={_quoted(article.link)}/>"
    if article.published_ms is not None:
        yield f"<published>{_rfc3339(article.published_ms)}</published>"
    yield f"<updated>{_rfc3339(_last_changed(entry))}</updated>"
    if article.author:
        yield f"<author><name>{_text(article.author)}</name></author>"
    for it in entry.enclosures:
        length = f" length={_quoted(str(it.length))}" if it.length else ""
        yield f"<link rel={_quoted('enclosure')} type={_quoted(it.type)}{length} href={_quoted(it.url)}/>"
    yield f"<content type={_quoted(article.body_type)}>{_text(entry.html)}</content>"
    if entry.cover:
        yield f"<media:thumbnail url={_quoted(entry.cover)}/>"
    yield "</entry>"


def _rss(feed: Feed) -> Iterator[str]:
    yield (
        '<rss version="2.0" xmlns:atom="http://www.w3.org/2005/Atom" xmlns:dc="http://purl.org/dc/elements/1.1/" '
        'xmlns:content="http://purl.org/rss/1.0/modules/content/" xmlns:media="http://search.yahoo.com/mrss/">'
    )
    yield "<channel>"
    yield f"<title>{_text(feed.title or feed.source)}</title>"
    yield f"<link>{_text(feed.link or feed.source)}</link>"
    yield f"<description>{_text(feed.description)}</description>"
    yield f"<atom:link rel={_quoted('self')} type={_quoted(TYPES['rss'])} href={_quoted(feed.self_url)}/>"
    yield f"<lastBuildDate>{_rfc822(feed.updated_ms)}</lastBuildDate>"
    yield "<generator>Halftone</generator>"
    for entry in feed.entries:
        yield from _rss_item(entry)
    yield "</channel>"
    yield "</rss>"


def _rss_item(entry: Entry) -> Iterator[str]:
    article = entry.article
    yield "<item>"
    yield f"<title>{_text(article.title)}</title>"
    yield f"<link>{_text(article.link)}</link>"
    yield f"<guid isPermaLink={_quoted('false')}>{_text(article.guid or article.link)}</guid>"
    if article.published_ms is not None:
        yield f"<pubDate>{_rfc822(article.published_ms)}</pubDate>"
    if article.author:
        yield f"<dc:creator>{_text(article.author)}</dc:creator>"
    html = entry.html if article.body_type == "html" else f"<pre>{escape(entry.html)}</pre>"
    yield f"<content:encoded>{_text(html)}</content:encoded>"
    for it in entry.enclosures:
        yield f"<enclosure url={_quoted(it.url)} length={_quoted(str(it.length))} type={_quoted(it.type)}/>"
    if entry.cover:
        yield f"<media:thumbnail url={_quoted(entry.cover)}/>"
    yield "</item>"


def _json(feed: Feed) -> dict[str, object]:
    made: dict[str, object] = {
        "version": "https://jsonfeed.org/version/1.1",
        "title": feed.title or feed.source,
        "feed_url": feed.self_url,
        "items": [_json_item(entry) for entry in feed.entries],
    }
    optional = {"home_page_url": feed.link, "description": feed.description, "icon": feed.icon}
    return made | {name: value for name, value in optional.items() if value}


def _json_item(entry: Entry) -> dict[str, object]:
    article = entry.article
    content = "content_html" if article.body_type == "html" else "content_text"
    optional: dict[str, object] = {
        "title": article.title,
        "image": entry.cover,
        "date_published": _rfc3339(article.published_ms) if article.published_ms is not None else None,
        "date_modified": _rfc3339(entry.updated_ms) if entry.updated_ms != entry.created_ms else None,
        "authors": [{"name": article.author}] if article.author else None,
        "attachments": [_attachment(it) for it in entry.enclosures],
    }
    made: dict[str, object] = {"id": article.guid or article.link, "url": article.link, content: entry.html}
    return made | {name: value for name, value in optional.items() if value}


def _attachment(it: Enclosure) -> dict[str, object]:
    size: dict[str, object] = {"size_in_bytes": it.length} if it.length else {}
    return {"url": it.url, "mime_type": it.type, **size}


def _mirrored(it: Enclosure, url: str | None) -> Enclosure:
    if url:
        return Enclosure(url=url, type=_guessed_type(url))
    return Enclosure(url=it.url, type=it.type or _guessed_type(it.url), length=it.length)


def _guessed_type(url: str) -> str:
    guessed, _ = guess_type(urlsplit(url).path, strict=False)  # strict: without image/webp
    return guessed or "application/octet-stream"


def _last_changed(entry: Entry) -> int:
    """Return when the article last changed: that we found it, and mirrored its images, is no change."""
    published = entry.article.published_ms
    if published is not None and entry.updated_ms == entry.created_ms:
        return published
    return max(entry.updated_ms, published or 0)


def _iri(article: Article) -> str:
    """Return the entry's id; one that is no IRI, as Atom wants it, becomes one."""
    own = article.guid or article.link
    return own if _IRI.fullmatch(own) else f"urn:md5:{article.link_md5}"


def _text(value: str) -> str:
    return escape(_ILLEGAL.sub("", value))


def _quoted(value: str) -> str:
    return quoteattr(_ILLEGAL.sub("", value))


def _rfc3339(ms: int) -> str:
    return datetime.fromtimestamp(ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _rfc822(ms: int) -> str:
    return format_datetime(datetime.fromtimestamp(ms // 1000, UTC), usegmt=True)
