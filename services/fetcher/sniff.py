"""Tell what a document is before it is read: a feed's root element, JSON, a web page, or what else it may be."""

import re
from typing import Literal

Kind = Literal["xml", "json", "html"]

_PROLOGUE = re.compile(r"(?:\s++|<\?[^>]*>|<!--.*?-->|<!(?!--|\[)(?:[^>\[]|\[[^\]]*\])*>)*", re.DOTALL)
_ROOT = re.compile(r"<([A-Za-z_][\w.-]*:)?([A-Za-z_][\w.-]*)")
_FEED_ROOTS = frozenset({"rss", "rdf", "feed", "channel"})
_FEED_START = re.compile(r"<(?:rss|feed|rdf:RDF|(?:atom|a|ns\d):feed)[\s>]", re.IGNORECASE)
_HTML_ROOTS = frozenset(
    {"html", "head", "body", "meta", "title", "script", "div", "p", "h1", "link", "style", "center"}
)
_MAGIC = (
    (b"\x89PNG", "a PNG image"),
    (b"GIF8", "a GIF image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"RIFF", "a RIFF file (WebP, WAV or AVI)"),
    (b"%PDF", "a PDF document"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"\x1f\x8b", "a gzip file"),
    (b"ID3", "an MP3 file"),
)
_SEARCHED = 65_536  # characters in which a feed may start late, after a script's warnings


def sniff(text: str) -> tuple[Kind | None, str]:
    """Return the kind of a document and its text from where the feed starts.

    None stands for neither; `describe` says what it is.
    """
    head = text[:256].lstrip()
    if head.startswith(("{", "[")):
        return "json", text
    match = _ROOT.match(text, _after_prologue(text))
    root = match.group(2).lower() if match else ""
    if root in _FEED_ROOTS:
        return "xml", text.lstrip()
    if late := _FEED_START.search(text, 0, _SEARCHED):
        return "xml", text[late.start() :]
    is_page = root in _HTML_ROOTS or "<!doctype html" in head.lower()
    return ("html" if is_page else None), text


def describe(body: bytes, text: str) -> str:
    """Return what a document is that is no feed, for people."""
    if not body.strip():
        return "it is empty"
    for magic, name in _MAGIC:
        if body.startswith(magic):
            return f"it is {name}"
    if b"\x00" in body[:1024]:
        return "it is binary data"
    match = _ROOT.match(text, _after_prologue(text))
    if match:
        return f"it is XML or HTML with <{match.group(2)[:40]}> as its root"
    return f"it is text that starts with {text.strip()[:40]!r}"


def _after_prologue(text: str) -> int:
    match = _PROLOGUE.match(text)
    return match.end() if match else 0
