"""Read well-formed RSS and Atom 1.0 into feedparser's dictionaries, many times faster than feedparser.

Most feeds are well-formed and use few elements. Those are read here, by expat's tree; anything else (another format,
broken XML, markup inside text, `xml:base`, an element that feedparser treats in its own way) is left to feedparser.
What both read is the same: a test compares them over every case and every element.
"""

import io
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from typing import cast
from urllib.parse import urljoin
from xml.etree.ElementTree import Element

from services.fetcher.elements import SPECIAL, Elements, Fields, UnusualError, attributes_of, named

_ATOM = "{http://www.w3.org/2005/Atom}feed"
_VERSIONS = {"0.91": "rss091u", "0.92": "rss092", "0.93": "rss093", "0.94": "rss094"}
_BASE = re.compile(r"[\s:]base\s*=", re.IGNORECASE)
_DECLARATION = re.compile(r"\s*<\?xml[^>]*\?>")
_REFERENCE = re.compile(r"&([A-Za-z0-9_]+);")
_PLAIN_KEYS = frozenset({"ttl", "sy_updateperiod", "sy_updatefrequency", "icon", "logo", "feedburner_origlink"})
_IGNORED = """
    category dc_subject keywords tags media_category media_credit media_license media_player media_rating
    media_restriction contributor dc_contributor cloud generator itunes_category webmaster
    dc_publisher copyright rights dc_rights language dc_language info feedburner_browserfriendly
    newlocation expirationdate dcterms_valid width height cc_license creativecommons_license
    georss_box georss_line georss_point georss_polygon georss_where georssgeom psc_chapters where
"""
_KEPT_OUT = frozenset(_IGNORED.split())  # nothing of them is read
_CONTAINERS = frozenset({"contributor", "dc_contributor", "itunes_category"})


def read_tree(text: str, url: str) -> Fields | None:
    """Return what feedparser would: `version`, `feed` and `entries`; None where it has to be asked.

    Values are those that `xml_feeds.py` reads: dates are texts, links as they stand.
    """
    if "<!DOCTYPE" in text or ("base" in text and _BASE.search(text)):
        return None
    try:
        return _Reader(url).read(_DECLARATION.sub("", text, count=1).encode())
    except (UnusualError, ET.ParseError, UnicodeEncodeError, RecursionError):
        return None


class _Reader(Elements):
    """Reads one document."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.url = url
        self.depth = 0  # 0 in the feed, 1 in an entry, more inside its media elements

    def read(self, data: bytes) -> Fields:
        entries: list[Fields] = []
        root: Element | None = None
        for event, found in ET.iterparse(io.BytesIO(data), events=("start", "end", "start-ns")):  # noqa: S314 - no document type
            if event == "start-ns":
                prefix, namespace = cast("tuple[str, str]", found)
                self.prefixes.setdefault(namespace, prefix)
                continue
            element = cast("Element", found)
            if root is None:
                root = element
                version = self._version(root)
            elif event == "end" and self.name(element) in {"item", "entry"}:
                entries.append(self._entry(element))
                element.clear()
        if root is None:
            raise UnusualError
        return {"version": version, "feed": self._feed(root), "entries": entries}  # pyright: ignore[reportPossiblyUnboundVariable]

    def _version(self, root: Element) -> str:
        self.atom = root.tag == _ATOM
        if self.atom:
            return "atom10"
        if root.tag != "rss":
            raise UnusualError
        version = root.get("version", "")
        return _VERSIONS.get(version) or ("rss20" if version.startswith("2.") else "rss")

    def _entry(self, element: Element) -> Fields:
        fields: Fields = {}
        self._children(element, fields)
        if "title" not in fields and fields.get("media_title"):
            raise UnusualError
        return fields

    def _feed(self, root: Element) -> Fields:
        feed: Fields = {}
        if language := root.get("{http://www.w3.org/XML/1998/namespace}lang"):
            feed["language"] = language.replace("_", "-")
        channels = [root] if self.atom else [child for child in root if self.name(child) == "channel"]
        others = [] if self.atom else [child for child in root if self.name(child) not in {"channel", "item", "entry"}]
        if len(channels) != 1 or others:
            raise UnusualError
        for child in channels[0]:
            name = self.name(child)
            if name in _OF_FEED:
                _OF_FEED[name](self, child, feed)
            elif name not in {"item", "entry"}:
                self._other(child, name, feed)
        return feed

    def _children(self, element: Element, fields: Fields) -> None:
        self.depth += 1
        for child in element:
            name = self.name(child)
            handle = _OF_ENTRY.get(name)
            if handle:
                handle(self, child, fields)
            else:
                self._other(child, name, fields)
        self.depth -= 1

    def _other(self, element: Element, name: str, fields: Fields) -> None:
        if name in _KEPT_OUT and (name in _CONTAINERS or not len(element)):
            return
        if name in SPECIAL or any(self.name(inner) in SPECIAL for inner in element.iter() if inner is not element):
            raise UnusualError
        if name in _PLAIN_KEYS and not element.attrib:
            fields[name] = self.text(element)

    # What each element does to the fields; see feedparser's `_start_…` and `_end_…` of the same name.

    def title(self, element: Element, fields: Fields) -> None:
        """Take the first title that is not empty; what feedparser does with others depends on what stands between."""
        if not fields.get("title"):
            fields["title_detail"] = self.construct(element, "text/plain")
            fields["title"] = fields["title_detail"]["value"]
        elif self.depth == 0 or fields.get("source"):
            raise UnusualError

    def media_title(self, element: Element, fields: Fields) -> None:
        fields["media_title"] = self.text(element) or fields.get("media_title", "")

    def link(self, element: Element, fields: Fields) -> None:
        link = attributes_of(element)
        link.setdefault("rel", "alternate")
        link.setdefault("type", "application/atom+xml" if link["rel"] == "self" else "text/html")
        href = link.get("url", link.get("uri", link.get("href")))
        fields.setdefault("links", []).append(link)
        if href is None:
            text = self.text(element)
            href = _REFERENCE.sub(r"&\g<1>", text.replace("&amp;", "&") if self.depth else text)
            fields["link"] = href
        elif link["rel"] == "alternate" and link["type"] in {"text/html", "html", "xhtml", "application/xhtml+xml"}:
            fields["link"] = href
        if href:
            link["href"] = href

    def id(self, element: Element, fields: Fields) -> None:
        text = self.text(element)
        if attributes_of(element).get("ispermalink", "true") == "true":
            try:
                text = urljoin(self.url, text) if text else text
            except ValueError:
                raise UnusualError from None
            fields.setdefault("link", text)
        fields["id"] = text

    def author(self, element: Element, fields: Fields) -> None:
        if self.atom and (not len(element) or "authors" in fields):
            raise UnusualError
        if len(element):
            inner = {self.name(child).removeprefix("itunes_"): self.text(child) for child in element}
            author = {name: inner[name] for name in ("name", "email") if inner.get(name)}
        else:
            fields["author"] = self.text(element)
            author = named(fields["author"])
        fields.setdefault("authors", []).append(author)

    def published(self, element: Element, fields: Fields) -> None:
        fields["published"] = self.text(element)

    def updated(self, element: Element, fields: Fields) -> None:
        fields["updated"] = self.text(element)

    def created(self, element: Element, fields: Fields) -> None:
        fields["created"] = self.text(element)

    def description(self, element: Element, fields: Fields) -> None:
        self._describe(element, fields, "text/html")

    def summary(self, element: Element, fields: Fields) -> None:
        self._describe(element, fields, "text/plain")

    def _describe(self, element: Element, fields: Fields, default: str) -> None:
        """Take a summary; a second one is the content, unless there is some."""
        if "summary" in fields and "content" not in fields:
            fields["content"] = [self.construct(element, "text/plain")]
            return
        fields["summary_detail"] = self.construct(element, default)
        if self.depth <= fields.get("summary_depth", self.depth):
            fields["summary"] = fields["summary_detail"]["value"]
            fields["summary_depth"] = self.depth

    def content(self, element: Element, fields: Fields) -> None:
        default = "text/html" if self.name(element) != "content" else "text/plain"
        content = self.construct(element, default)
        fields.setdefault("content", []).append(content)
        fields.setdefault("summary", content["value"])

    def enclosure(self, element: Element, fields: Fields) -> None:
        link = attributes_of(element)
        href = link.get("url", link.get("uri", link.get("href")))
        fields.setdefault("links", []).append({**link, "rel": "enclosure", **({"href": href} if href else {})})

    def media_content(self, element: Element, fields: Fields) -> None:
        fields.setdefault("media_content", []).append(attributes_of(element))
        self._children(element, fields)

    def media_group(self, element: Element, fields: Fields) -> None:
        self._children(element, fields)

    def media_thumbnail(self, element: Element, fields: Fields) -> None:
        thumbnail = attributes_of(element)
        if text := self.text(element):
            thumbnail.setdefault("url", text)
        fields.setdefault("media_thumbnail", []).append(thumbnail)

    def itunes_image(self, element: Element, fields: Fields) -> None:
        image = attributes_of(element)
        if href := image.get("href") or image.get("url"):
            fields["image"] = {"href": href}

    def image(self, element: Element, fields: Fields) -> None:
        for child in element:
            if self.name(child) in {"url", "href"}:
                fields["image"] = {"href": self.text(child)}

    def subtitle(self, element: Element, fields: Fields) -> None:
        is_description = self.name(element).endswith("description")
        if is_description and "summary" in fields:  # feedparser takes it for the content, and the next item's for none
            raise UnusualError
        fields["subtitle_detail"] = self.construct(element, "text/html" if is_description else "text/plain")
        fields["subtitle"] = fields["subtitle_detail"]["value"]

    def textinput(self, element: Element, fields: Fields) -> None:  # noqa: ARG002 - one signature for all
        if self.depth:  # feedparser takes what is in it for the entry's
            raise UnusualError

    def source(self, element: Element, fields: Fields) -> None:  # noqa: ARG002 - one signature for all
        fields["source"] = True

    def owner(self, element: Element, fields: Fields) -> None:  # noqa: ARG002 - one signature for all
        if self.depth or self.atom:  # feedparser takes the owner for the author
            raise UnusualError

    def language(self, element: Element, fields: Fields) -> None:
        fields["language"] = self.text(element)

    def feed_summary(self, element: Element, fields: Fields) -> None:
        if "summary" in fields:
            raise UnusualError
        fields["summary"] = self.text(element)


_Handler = Callable[[_Reader, Element, Fields], None]
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
