"""Walk through the tags of HTML as it was written, so that a change touches only what it means to change.

The tokenizer follows the WHATWG HTML standard (section 13.2.5) in what it takes for a tag, an attribute, a comment
and raw text, in time linear in the length of its input. It builds no tree: whoever edits by it keeps every other
character, and whoever shows the result sanitises it last.
"""

import html
import re
from collections.abc import Iterator

import msgspec

_ATTRIBUTE = (
    r"""([^\s/>][^\s/>=]*+)(?:\s*+=\s*+(?:"([^"]*+)"|'([^']*+)'|((?!["'])[^\s>]*+)))?+"""  # spec 13.2.5.32 to .39
)
_NAME = r"([a-zA-Z][^\s/>]*+)"
_UNGROUPED = re.sub(r"\((?!\?)", "(?:", _ATTRIBUTE)
_TAG = re.compile(rf"<(/?){_NAME}((?:[\s/]++|{_UNGROUPED})*+)>")
_ATTRIBUTES = re.compile(_ATTRIBUTE)
_COMMENT_END = re.compile(r"--!?>")
_RAW_TEXT = {
    name: re.compile(rf"</{name}(?=[\s/>])", re.IGNORECASE)
    for name in ("iframe", "noembed", "noframes", "script", "style", "textarea", "title", "xmp")
}


class Attribute(msgspec.Struct, frozen=True):
    """An attribute's decoded value, and where its raw value stands (inside the quotes, if it has any)."""

    value: str
    start: int
    end: int


class Tag(msgspec.Struct, frozen=True):
    """A start or end tag: `html[start:end]`."""

    name: str  # lower case
    closing: bool
    start: int
    end: int
    text: str  # the document
    inside: int  # where its attributes start

    def attributes(self) -> dict[str, Attribute]:
        """Return the attributes by lower-case name; the first of two alike counts."""
        found: dict[str, Attribute] = {}
        for match in _ATTRIBUTES.finditer(self.text, self.inside, self.end - 1):
            group = match.lastindex or 1
            start, end = match.span(group) if group > 1 else (match.end(), match.end())
            found.setdefault(match.group(1).lower(), Attribute(unescape(self.text[start:end]), start, end))
        return found


def walk(text: str) -> Iterator[Tag]:
    """Yield every tag outside comments and raw text, in the order of the document.

    Raw text that is never closed is read on as if it were none: nothing is lost behind an `<iframe>` left open.
    """
    position = 0
    unclosed: set[str] = set()
    while (position := text.find("<", position)) != -1:
        tag = _TAG.match(text, position)
        if not tag:
            position = _after_markup(text, position)
            continue
        name = tag.group(2).lower()
        yield Tag(name, tag.group(1) == "/", tag.start(), tag.end(), text, tag.start(3))
        position = tag.end()
        if name in _RAW_TEXT and not tag.group(1) and name not in unclosed:
            if close := _RAW_TEXT[name].search(text, position):
                position = close.start()
            else:
                unclosed.add(name)


def unescape(value: str) -> str:
    """Return the text that an attribute's raw value stands for."""
    return html.unescape(value) if "&" in value else value


def escape(value: str, quote: str = '"') -> str:
    """Return `value` as it may stand in an attribute that is in these quotes; in none: with quotes of its own."""
    value = value.replace("&", "&amp;").replace("<", "&lt;")
    if quote == "'":
        return value.replace("'", "&#39;")
    value = value.replace('"', "&quot;")
    return value if quote == '"' else f'"{value}"'


def _after_markup(text: str, position: int) -> int:
    """Return where to go on after a `<` that opens no tag: a comment, a tag that never ends, or plain text."""
    following = text[position + 1 : position + 2]
    if text.startswith("<!--", position):
        if text.startswith((">", "->"), position + 4):
            return position + 5
        end = _COMMENT_END.search(text, position + 4)
        return end.end() if end else len(text)
    if following in {"!", "?", "/"}:  # a bogus comment
        end = text.find(">", position)
        return len(text) if end == -1 else end + 1
    return len(text) if following.isalpha() and following.isascii() else position + 1
