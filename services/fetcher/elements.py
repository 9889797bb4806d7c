"""Name and read the elements of a feed as feedparser does: prefixes, texts and their types, attributes."""

import re
from contextlib import suppress
from typing import Any
from xml.etree.ElementTree import Element

import feedparser.mixin  # pyright: ignore[reportMissingTypeStubs] - it has none
from feedparser.api import StrictFeedParser  # pyright: ignore[reportMissingTypeStubs, reportUnknownVariableType]

Fields = dict[str, Any]

_PARSER: Any = StrictFeedParser
_NAMESPACES: dict[str, str] = {uri.lower(): prefix for uri, prefix in _PARSER.namespaces.items()}
_CP1252: dict[int, str] = feedparser.mixin._cp1252  # pyright: ignore  # noqa: SLF001, PGH003 - to map as it does
_C1 = re.compile("[\x80-\x9f]")
_TYPES = {
    "text": "text/plain",
    "plain": "text/plain",
    "text/plain": "text/plain",
    "html": "text/html",
    "text/html": "text/html",
}
_EMAIL = re.compile(r"[\w.+-]+@(?:[a-zA-Z0-9-]+\.)+(?:[a-zA-Z]{2,4}|\d{1,3})(?:\?subject=\S+)?", re.ASCII)
SPECIAL = frozenset(name.removeprefix("_start_") for name in dir(_PARSER) if name.startswith("_start_"))


class UnusualError(Exception):
    """This feed is for feedparser."""


class Elements:
    """The elements of one document."""

    def __init__(self) -> None:
        self.atom = False  # RSS otherwise, which leaves the types of texts to be guessed
        self.names: dict[str, str] = {}  # of elements, by tag
        self.prefixes: dict[str, str] = {}  # by namespace

    def name(self, element: Element) -> str:
        """Return feedparser's name of an element: its own prefix for a namespace, an underscore, lower case."""
        name = self.names.get(element.tag)
        if name is None:
            namespace, _, local = element.tag.rpartition("}")
            namespace = namespace[1:]
            rss = "backend.userland.com/rss" in namespace.lower()
            prefix = "" if rss else _NAMESPACES.get(namespace.lower(), self.prefixes.get(namespace, ""))
            name = self.names[element.tag] = (f"{prefix}_" if prefix else "") + local.lower()
        return name

    def text(self, element: Element) -> str:
        """Return an element's text as feedparser mends it: UTF-8 that was taken for ISO 8859-1, windows-1252."""
        if len(element):
            raise UnusualError
        text = (element.text or "").strip()
        if text.isascii():
            return text
        with suppress(UnicodeError):
            text = text.encode("iso-8859-1").decode()
        return text.translate(_CP1252) if _C1.search(text) else text

    def construct(self, element: Element, default: str) -> Fields:
        """Return a text with its type, which RSS leaves to be guessed."""
        kind = _TYPES.get((element.get("type") or default).lower())
        if kind is None or element.get("mode") or element.get("src"):
            raise UnusualError
        text = self.text(element)
        markup = "<" in text or "&" in text
        if markup and not self.atom and kind == "text/plain" and _PARSER.looks_like_html(text):
            kind = "text/html"
        return {"value": text, "type": kind}


def attributes_of(element: Element) -> dict[str, str]:
    """Return the attributes without a namespace by lower-case name; `rel` and `type` have lower-case values."""
    attributes = {name.lower(): value for name, value in element.attrib.items() if name[0] != "{"}
    for name in ("rel", "type"):
        if name in attributes:
            attributes[name] = attributes[name].lower()
    return attributes


def named(author: str) -> dict[str, str]:
    """Return the name and the address in an author's text."""
    match = _EMAIL.search(author)
    name = author
    if match:
        name = author.replace(match.group(), "").replace("()", "").replace("<>", "").replace("&lt;&gt;", "").strip()
        name = name.removeprefix("(").removesuffix(")").strip()
    return {key: value for key, value in (("name", name), ("email", match.group() if match else "")) if value}
