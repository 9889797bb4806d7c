"""The words of an article's body: what it is searched by, and shown as where there is no room for the body itself."""

from collections.abc import Iterator
from html import unescape

from shared.tags import walk

_LONGEST = 100_000  # characters: beyond that nobody searches, and PostgreSQL's index has limits
_SILENT = frozenset({"script", "style", "template"})


def without_tags(body: str) -> str:
    """Return the words of an HTML or text body, white space collapsed; takes time linear in its length."""
    return " ".join(unescape(" ".join(_between(_without_comments(body[: 4 * _LONGEST])))).split())[:_LONGEST]


def _between(html: str) -> Iterator[str]:
    position, silent = 0, False
    for tag in walk(html):
        if not silent:
            yield html[position : tag.start]
        position, silent = tag.end, tag.name in _SILENT and not tag.closing
    if not silent:
        yield html[position:]


def _without_comments(html: str) -> str:
    pieces: list[str] = []
    position = 0
    while (start := html.find("<!--", position)) != -1 and (end := html.find("-->", start)) != -1:
        pieces.append(html[position:start])
        position = end + 3
    return "".join((*pieces, html[position:]))
