"""OPML 2.0 (opml.org/spec2): subscriptions in and out, folders kept."""

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Iterator
from itertools import islice

import msgspec

from shared.errors import Reject

_DEEPEST = 20  # folders within folders
_MOST = 20_000  # feeds in one file
LONGEST_NAME = 1_000  # characters, of a folder with those that it is in, too
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_DECLARED = re.compile(rb"\s*<\?xml[^>]*?\sencoding\s*=\s*[\"']([A-Za-z0-9._-]{1,40})[\"']")
_SUPERSETS = {"gb2312": "gb18030", "gbk": "gb18030", "shift_jis": "cp932", "euc-kr": "cp949"}  # WHATWG Encoding, 4.2
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
        root = _root(data)
    except (ET.ParseError, ValueError, LookupError) as error:
        raise Reject(f"this is no OPML file: {error}; export one from your reader and send it as it is") from error
    body = root.find("body")
    if root.tag.lower() != "opml" or body is None:
        raise Reject("this is no OPML file: it has no <opml> with a <body>")
    found = list(islice(_feeds(body, ""), _MOST + 1))
    if len(found) > _MOST:
        raise Reject(f"one import takes {_MOST:,} feeds and this file has more: split it")
    return found


def _root(data: bytes) -> ET.Element:
    """Parse the file; expat knows no encoding of several bytes a character but UTF-8 and UTF-16: Python decodes those.

    It bounds the expansion of entities itself, and opens no file or URL.
    """
    try:
        return ET.fromstring(data)  # noqa: S314
    except (ValueError, LookupError):
        declared = _DECLARED.match(data)
        name = declared[1].decode().lower() if declared else "utf-8"
        return ET.fromstring(data.decode(_SUPERSETS.get(name, name)))  # noqa: S314


def _feeds(parent: ET.Element, folder: str, depth: int = 0) -> Iterator[Subscription]:
    for outline in parent.iterfind("outline"):
        url = outline.get("xmlUrl") or outline.get("xmlurl")
        name = CONTROL.sub("", " ".join((outline.get("title") or outline.get("text") or "").split()))[:LONGEST_NAME]
        if url:
            yield Subscription(
                url=url.strip(),
                title=name,
                site=outline.get("htmlUrl", ""),
                folder=folder,
                kind=outline.get("type", "rss"),
            )
        if depth < _DEEPEST:
            yield from _feeds(outline, folder if url else _inner(folder, name), depth + 1)


def _inner(folder: str, name: str) -> str:
    name = name.replace("/", " ") or "unnamed"
    return (f"{folder}/{name}" if folder else name)[:LONGEST_NAME]


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
