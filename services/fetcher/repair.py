"""Mend what makes XML no XML but leaves no doubt about what it says, so that the strict parser can read it."""

import html.entities
import re

_ILLEGAL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_ILLEGAL_REFERENCE = re.compile(
    r"&#(?:0*(?:[0-8]|1[124-9]|2\d|3[01])|[xX]0*(?:[0-8bBcCeEfF]|1[0-9a-fA-F]|[dD][89a-fA-F]..|[fF]{3}[eEfF]));"
)
_ENTITY = re.compile(r"&(?!(?:amp|lt|gt|quot|apos);)([A-Za-z][A-Za-z0-9]{1,30});")
_DECLARED = re.compile(r"<!ENTITY\s+(\w+)", re.IGNORECASE)


def repair(text: str) -> str:
    """Return `text` without characters that XML forbids, and with HTML's named entities as characters."""
    if _ILLEGAL.search(text):
        text = _ILLEGAL.sub("", text)
    if "&#" in text:
        text = _ILLEGAL_REFERENCE.sub("", text)
    if _ENTITY.search(text):
        declared = frozenset(_DECLARED.findall(text[:20_000])) if "<!ENTITY" in text[:20_000] else frozenset[str]()
        text = _ENTITY.sub(lambda match: _character(match, declared), text)
    return text


def _character(match: re.Match[str], declared: frozenset[str]) -> str:
    name = match.group(1)
    if name in declared:
        return match.group()
    if name in html.entities.name2codepoint:  # HTML 4's, in which feeds were written
        return chr(html.entities.name2codepoint[name])
    return html.entities.html5.get(f"{name};", match.group())
