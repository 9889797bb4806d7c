"""OPML 2.0 (opml.org/spec2): subscriptions in and out, folders kept."""

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Iterator

import msgspec

from shared.errors import Reject

_DEEPEST = 20  # folders within folders
_MOST = 20_000  # feeds in one file
_NOT_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # XML 1.0, section 2.2


class Subscription(msgspec.Struct, frozen=True, kw_only=True):
    """One feed of an OPML file."""

    url: str
    title: str = ""
    site: str = ""
    folder: str = ""  # names from the outside in, joined by "/"
    kind: str = "rss"  # OPML's `type`


def parse(data: bytes) -> list[Subscription]:
    """Return the subscriptions of an OPML file, in its order.

    Raises:
        Reject: It is no OPML, or one beyond reason.
    """
    try:
        root = ET.fromstring(data)  # noqa: S314 - expat bounds entity expansion itself, and opens no file or URL
    except ET.ParseError as error:
        raise Reject(f"this is no OPML file: {error}; export one from your reader and send it as it is") from error
    body = root.find("body")
    if root.tag.lower() != "opml" or body is None:
        raise Reject("this is no OPML file: it has no <opml> with a <body>")
    found = list(_feeds(body, ()))
    if len(found) > _MOST:
        raise Reject(f"{len(found)} feeds are more than the {_MOST} that one import takes: split the file")
    return found


def _feeds(parent: ET.Element, folders: tuple[str, ...], depth: int = 0) -> Iterator[Subscription]:
    for outline in parent.iterfind("outline"):
        url = outline.get("xmlUrl") or outline.get("xmlurl")
        name = " ".join((outline.get("title") or outline.get("text") or "").split())
        if url:
            yield Subscription(
                url=url.strip(),
                title=name,
                site=outline.get("htmlUrl", ""),
                folder="/".join(folders),
                kind=outline.get("type", "rss"),
            )
        if depth < _DEEPEST:
            inner = folders if url else (*folders, name.replace("/", " ") or "unnamed")
            yield from _feeds(outline, inner, depth + 1)


def render(title: str, subscriptions: Iterable[Subscription]) -> bytes:
    """Return the OPML file with these subscriptions, each in its folder, nested no deeper than `parse` follows."""
    root = ET.Element("opml", version="2.0")
    ET.SubElement(ET.SubElement(root, "head"), "title").text = title
    body = ET.SubElement(root, "body")
    folders: dict[tuple[str, ...], ET.Element] = {(): body}
    for each in subscriptions:
        names = [name for name in _legal(each.folder).split("/") if name]
        title = _legal(each.title or each.url)
        attributes = {"type": each.kind, "text": title, "title": title}
        if each.site:
            attributes["htmlUrl"] = _legal(each.site)
        parent = _folder(folders, tuple(names[:_DEEPEST]))
        ET.SubElement(parent, "outline", {**attributes, "xmlUrl": _legal(each.url)})
    ET.indent(root)
    return b'<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="utf-8") + b"\n"


def _legal(text: str) -> str:
    """Return the text without the characters that no XML can hold."""
    return _NOT_XML.sub("", text)


def _folder(folders: dict[tuple[str, ...], ET.Element], path: tuple[str, ...]) -> ET.Element:
    if path not in folders:
        parent = _folder(folders, path[:-1])
        folders[path] = ET.SubElement(parent, "outline", {"text": path[-1], "title": path[-1]})
    return folders[path]
