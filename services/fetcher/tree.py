"""Read well-formed RSS 2.0 and Atom 1.0 into feedparser's dictionaries, many times faster than feedparser.

Most feeds are well-formed and use few elements. Those are read here, by expat's tree; anything else (another format,
broken XML, markup inside text, `xml:base`, an element that feedparser treats in its own way) is left to feedparser.
What both read is the same: a test compares them over every case and every element.
"""

import io
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from contextlib import suppress
from typing import Any, cast
from urllib.parse import urljoin
from xml.etree.ElementTree import Element

import feedparser.mixin  # pyright: ignore[reportMissingTypeStubs] - it has none
from feedparser.api import StrictFeedParser  # pyright: ignore[reportMissingTypeStubs, reportUnknownVariableType]

Fields = dict[str, Any]

_PARSER: Any = StrictFeedParser
_NAMESPACES: dict[str, str] = {uri.lower(): prefix for uri, prefix in _PARSER.namespaces.items()}
_SPECIAL = frozenset(name.removeprefix("_start_") for name in dir(_PARSER) if name.startswith("_start_"))
_CP1252: dict[int, str] = feedparser.mixin._cp1252  # pyright: ignore  # noqa: SLF001, PGH003 - to map as it does
_ATOM = "{http://www.w3.org/2005/Atom}feed"
_VERSIONS = {"0.91": "rss091u", "0.92": "rss092", "0.93": "rss093", "0.94": "rss094"}
_BASE = re.compile(r"[\s:]base\s*=", re.IGNORECASE)
_C1 = re.compile("[\x80-\x9f]")
_DECLARATION = re.compile(r"\s*<\?xml[^>]*\?>")
_TYPES = {
    "text": "text/plain",
    "plain": "text/plain",
    "text/plain": "text/plain",
    "html": "text/html",
    "text/html": "text/html",
}
_EMAIL = re.compile(r"[\w.+-]+@(?:[a-zA-Z0-9-]+\.)+(?:[a-zA-Z]{2,4}|\d{1,3})(?:\?subject=\S+)?", re.ASCII)
_REFERENCE = re.compile(r"&([A-Za-z0-9_]+);")
_PLAIN_KEYS = frozenset(
    {"ttl", "sy_updateperiod", "sy_updatefrequency", "icon", "logo", "feedburner_origlink", "language"}
)
_IGNORED = """
    category dc_subject keywords tags media_category media_credit media_license media_player media_rating
    media_restriction contributor dc_contributor cloud generator itunes_category webmaster
    dc_publisher copyright rights dc_rights language dc_language info feedburner_browserfriendly
    newlocation expirationdate dcterms_valid width height cc_license creativecommons_license
    georss_box georss_line georss_point georss_polygon georss_where georssgeom psc_chapters where
"""
_KEPT_OUT = frozenset(_IGNORED.split())  # nothing of them is read
_CONTAINERS = frozenset({"contributor", "dc_contributor", "itunes_category"})


class _UnusualError(Exception):
    """This feed is for feedparser."""


def read_tree(text: str, url: str) -> Fields | None:
    """Return what feedparser would: `version`, `feed` and `entries`; None where it has to be asked.

    Values are those that `xml_feeds.py` reads: dates are texts, links as they stand.
    """
    if "<!DOCTYPE" in text or ("base" in text and _BASE.search(text)):
        return None
    try:
        return _Reader(url).read(_DECLARATION.sub("", text, count=1).encode())
    except (_UnusualError, ET.ParseError, UnicodeEncodeError, RecursionError):
        return None


class _Reader:
    """One document: its prefixes, and how its elements are called."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.atom = False
        self.names: dict[str, str] = {}  # of elements, by tag
        self.prefixes: dict[str, str] = {}  # by namespace

    def read(self, data: bytes) -> Fields:
        entries: list[Fields] = []
        root: Element | None = None
        for event, found in ET.iterparse(io.BytesIO(data), events=("start", "end", "start-ns")):  # noqa: S314 - as above
            if event == "start-ns":
                prefix, namespace = cast("tuple[str, str]", found)
                self.prefixes.setdefault(namespace, prefix)
                continue
            element = cast("Element", found)
            if root is None:
                root = element
                version = self._version(root)
            elif event == "end" and self._name(element) in {"item", "entry"}:
                entries.append(self._entry(element))
                element.clear()
        if root is None:
            raise _UnusualError
        return {"version": version, "feed": self._feed(root), "entries": entries}  # pyright: ignore[reportPossiblyUnboundVariable]

    def _version(self, root: Element) -> str:
        self.atom = root.tag == _ATOM
        if self.atom:
            return "atom10"
        if root.tag != "rss":
            raise _UnusualError
        version = root.get("version", "")
        return _VERSIONS.get(version) or ("rss20" if version.startswith("2.") else "rss")

    def _name(self, element: Element) -> str:
        """Return feedparser's name of an element: its own prefix for a namespace, an underscore, lower case."""
        name = self.names.get(element.tag)
        if name is None:
            namespace, _, local = element.tag.rpartition("}")
            namespace = namespace[1:]
            rss = "backend.userland.com/rss" in namespace.lower()
            prefix = "" if rss else _NAMESPACES.get(namespace.lower(), self.prefixes.get(namespace, ""))
            name = self.names[element.tag] = (f"{prefix}_" if prefix else "") + local.lower()
        return name

    def _entry(self, element: Element) -> Fields:
        fields: Fields = {}
        self._children(element, fields, 1)
        if "title" not in fields and fields.get("media_title"):
            raise _UnusualError
        return fields

    def _feed(self, root: Element) -> Fields:
        feed: Fields = {}
        if language := root.get("{http://www.w3.org/XML/1998/namespace}lang"):
            feed["language"] = language.replace("_", "-")
        channels = [root] if self.atom else [child for child in root if self._name(child) == "channel"]
        others = [] if self.atom else [child for child in root if self._name(child) not in {"channel", "item", "entry"}]
        if len(channels) != 1 or others:
            raise _UnusualError
        for child in channels[0]:
            name = self._name(child)
            if name in _OF_FEED:
                _OF_FEED[name](self, child, feed, 0)
            elif name not in {"item", "entry"}:
                self._other(child, name, feed)
        return feed

    def _children(self, element: Element, fields: Fields, depth: int) -> None:
        for child in element:
            name = self._name(child)
            handle = _OF_ENTRY.get(name)
            if handle:
                handle(self, child, fields, depth)
            else:
                self._other(child, name, fields)

    def _other(self, element: Element, name: str, fields: Fields) -> None:
        if name in _KEPT_OUT and (name in _CONTAINERS or not len(element)):
            return
        if name in _SPECIAL or any(self._name(inner) in _SPECIAL for inner in element.iter() if inner is not element):
            raise _UnusualError
        if name in _PLAIN_KEYS and not element.attrib:
            fields[name] = self._text(element)

    def _text(self, element: Element) -> str:
        """Return an element's text as feedparser mends it: UTF-8 that was taken for ISO 8859-1, windows-1252."""
        if len(element):
            raise _UnusualError
        text = (element.text or "").strip()
        if text.isascii():
            return text
        with suppress(UnicodeError):
            text = text.encode("iso-8859-1").decode()
        return text.translate(_CP1252) if _C1.search(text) else text

    def _construct(self, element: Element, default: str) -> Fields:
        """Return a text with its type, which RSS leaves to be guessed."""
        kind = _TYPES.get((element.get("type") or default).lower())
        if kind is None or element.get("mode") or element.get("src"):
            raise _UnusualError
        text = self._text(element)
        markup = "<" in text or "&" in text
        if markup and not self.atom and kind == "text/plain" and _PARSER.looks_like_html(text):
            kind = "text/html"
        return {"value": text, "type": kind}

    # What each element does to the fields; see feedparser's `_start_…` and `_end_…` of the same name.

    def title(self, element: Element, fields: Fields, depth: int) -> None:
        """Take the first title that is not empty; what feedparser does with others depends on what stands between."""
        if not fields.get("title"):
            fields["title_detail"] = self._construct(element, "text/plain")
            fields["title"] = fields["title_detail"]["value"]
        elif depth == 0 or fields.get("source"):
            raise _UnusualError

    def media_title(self, element: Element, fields: Fields, depth: int) -> None:  # noqa: ARG002 - as above
        fields["media_title"] = self._text(element) or fields.get("media_title", "")

    def link(self, element: Element, fields: Fields, depth: int) -> None:
        link = _attributes(element)
        link.setdefault("rel", "alternate")
        link.setdefault("type", "application/atom+xml" if link["rel"] == "self" else "text/html")
        href = link.get("url", link.get("uri", link.get("href")))
        fields.setdefault("links", []).append(link)
        if href is None:
            text = self._text(element)
            href = _REFERENCE.sub(r"&\g<1>", text.replace("&amp;", "&") if depth else text)
            fields["link"] = href
        elif link["rel"] == "alternate" and link["type"] in {"text/html", "html", "xhtml", "application/xhtml+xml"}:
            fields["link"] = href
        if href:
            link["href"] = href

    def id(self, element: Element, fields: Fields, depth: int) -> None:  # noqa: ARG002 - as above
        text = self._text(element)
        if _attributes(element).get("ispermalink", "true") == "true":
            try:
                text = urljoin(self.url, text) if text else text
            except ValueError:
                raise _UnusualError from None
            fields.setdefault("link", text)
        fields["id"] = text

    def author(self, element: Element, fields: Fields, depth: int) -> None:  # noqa: ARG002 - as above
        if self.atom and (not len(element) or "authors" in fields):
            raise _UnusualError
        if len(element):
            inner = {self._name(child).removeprefix("itunes_"): self._text(child) for child in element}
            author = {name: inner[name] for name in ("name", "email") if inner.get(name)}
        else:
            fields["author"] = self._text(element)
            author = _named(fields["author"])
        fields.setdefault("authors", []).append(author)

    def published(self, element: Element, fields: Fields, depth: int) -> None:  # noqa: ARG002 - as above
        fields["published"] = self._text(element)

    def updated(self, element: Element, fields: Fields, depth: int) -> None:  # noqa: ARG002 - as above
        fields["updated"] = self._text(element)

    def created(self, element: Element, fields: Fields, depth: int) -> None:  # noqa: ARG002 - as above
        fields["created"] = self._text(element)

    def description(self, element: Element, fields: Fields, depth: int) -> None:
        self._describe(element, fields, depth, "text/html")

    def summary(self, element: Element, fields: Fields, depth: int) -> None:
        self._describe(element, fields, depth, "text/plain")

    def _describe(self, element: Element, fields: Fields, depth: int, default: str) -> None:
        """Take a summary; a second one is the content, unless there is some."""
        if "summary" in fields and "content" not in fields:
            fields["content"] = [self._construct(element, "text/plain")]
            return
        fields["summary_detail"] = self._construct(element, default)
        if depth <= fields.get("summary_depth", depth):
            fields["summary"] = fields["summary_detail"]["value"]
            fields["summary_depth"] = depth

    def content(self, element: Element, fields: Fields, depth: int) -> None:  # noqa: ARG002 - as above
        default = "text/html" if self._name(element) != "content" else "text/plain"
        content = self._construct(element, default)
        fields.setdefault("content", []).append(content)
        fields.setdefault("summary", content["value"])

    def enclosure(self, element: Element, fields: Fields, depth: int) -> None:  # noqa: ARG002 - as above
        link = _attributes(element)
        href = link.get("url", link.get("uri", link.get("href")))
        fields.setdefault("links", []).append({**link, "rel": "enclosure", **({"href": href} if href else {})})

    def media_content(self, element: Element, fields: Fields, depth: int) -> None:
        fields.setdefault("media_content", []).append(_attributes(element))
        self._children(element, fields, depth + 1)

    def media_group(self, element: Element, fields: Fields, depth: int) -> None:
        self._children(element, fields, depth + 1)

    def media_thumbnail(self, element: Element, fields: Fields, depth: int) -> None:  # noqa: ARG002 - as above
        thumbnail = _attributes(element)
        if text := self._text(element):
            thumbnail.setdefault("url", text)
        fields.setdefault("media_thumbnail", []).append(thumbnail)

    def itunes_image(self, element: Element, fields: Fields, depth: int) -> None:  # noqa: ARG002 - as above
        image = _attributes(element)
        if href := image.get("href") or image.get("url"):
            fields["image"] = {"href": href}

    def image(self, element: Element, fields: Fields, depth: int) -> None:  # noqa: ARG002 - as above
        for child in element:
            if self._name(child) in {"url", "href"}:
                fields["image"] = {"href": self._text(child)}

    def subtitle(self, element: Element, fields: Fields, depth: int) -> None:  # noqa: ARG002 - as above
        is_description = self._name(element).endswith("description")
        if is_description and "summary" in fields:  # feedparser takes it for the content, and the next item's for none
            raise _UnusualError
        fields["subtitle_detail"] = self._construct(element, "text/html" if is_description else "text/plain")
        fields["subtitle"] = fields["subtitle_detail"]["value"]

    def textinput(self, element: Element, fields: Fields, depth: int) -> None:  # noqa: ARG002 - as above
        if depth:  # feedparser takes what is in it for the entry's
            raise _UnusualError

    def source(self, element: Element, fields: Fields, depth: int) -> None:  # noqa: ARG002 - as above
        fields["source"] = True

    def owner(self, element: Element, fields: Fields, depth: int) -> None:  # noqa: ARG002 - as above
        if depth or self.atom:  # feedparser takes the owner for the author
            raise _UnusualError

    def language(self, element: Element, fields: Fields, depth: int) -> None:  # noqa: ARG002 - as above
        fields["language"] = self._text(element)

    def feed_summary(self, element: Element, fields: Fields, depth: int) -> None:  # noqa: ARG002 - as above
        if "summary" in fields:
            raise _UnusualError
        fields["summary"] = self._text(element)


def _attributes(element: Element) -> dict[str, str]:
    attributes = {name.lower(): value for name, value in element.attrib.items() if name[0] != "{"}
    for name in ("rel", "type"):
        if name in attributes:
            attributes[name] = attributes[name].lower()
    return attributes


def _named(author: str) -> dict[str, str]:
    """Return the name and the address in an author's text."""
    match = _EMAIL.search(author)
    name = author
    if match:
        name = author.replace(match.group(), "").replace("()", "").replace("<>", "").replace("&lt;&gt;", "").strip()
        name = name.removeprefix("(").removesuffix(")").strip()
    return {key: value for key, value in (("name", name), ("email", match.group() if match else "")) if value}


_Handler = Callable[[_Reader, Element, Fields, int], None]
_OF_BOTH: dict[str, _Handler] = {
    **dict.fromkeys(("title", "dc_title"), _Reader.title),
    **dict.fromkeys(("guid", "id"), _Reader.id),
    **dict.fromkeys(("author", "managingeditor", "dc_creator", "dc_author", "itunes_author"), _Reader.author),
    **dict.fromkeys(("pubdate", "published", "issued", "dcterms_issued"), _Reader.published),
    **dict.fromkeys(("updated", "modified", "lastbuilddate", "dc_date", "dcterms_modified"), _Reader.updated),
    **dict.fromkeys(("created", "dcterms_created"), _Reader.created),
    **dict.fromkeys(("subtitle", "itunes_subtitle", "tagline"), _Reader.subtitle),
    "link": _Reader.link,
    "itunes_image": _Reader.itunes_image,
    "itunes_owner": _Reader.owner,
    "textinput": _Reader.textinput,
}
_OF_ENTRY: dict[str, _Handler] = {
    **_OF_BOTH,
    **dict.fromkeys(("description", "dc_description", "media_description"), _Reader.description),
    **dict.fromkeys(("summary", "itunes_summary", "abstract"), _Reader.summary),
    **dict.fromkeys(("content", "content_encoded", "fullitem"), _Reader.content),
    "enclosure": _Reader.enclosure,
    "media_title": _Reader.media_title,
    "media_content": _Reader.media_content,
    "media_group": _Reader.media_group,
    "media_thumbnail": _Reader.media_thumbnail,
    "source": _Reader.source,
}
_OF_FEED: dict[str, _Handler] = {
    **_OF_BOTH,
    **dict.fromkeys(("description", "dc_description"), _Reader.subtitle),
    **dict.fromkeys(("summary", "itunes_summary"), _Reader.feed_summary),
    **dict.fromkeys(("language", "dc_language"), _Reader.language),
    "image": _Reader.image,
}
