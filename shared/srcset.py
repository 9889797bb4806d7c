"""Read a `srcset`: its image candidates, with where each stands (WHATWG HTML, "parse a srcset attribute")."""

import re
from collections.abc import Iterator

import msgspec

_URL = re.compile(r"[\s,]*([^\s]+)")
_DESCRIPTORS = re.compile(r"(?:[^,(]|\([^)]*\))*")
_DESCRIPTOR = re.compile(r"(\d+)w|(\d*\.?\d+(?:[eE][+-]?\d+)?)x|\d+h")


class Candidate(msgspec.Struct, frozen=True):
    """One image of a `srcset`: its URL, how large it says it is, and where the URL stands in the text."""

    url: str
    width: int  # pixels, from a `w` descriptor; 0 where it has none
    density: float  # from an `x` descriptor; 1.0 where it has none
    start: int
    end: int


def parse_srcset(text: str) -> list[Candidate]:
    """Return the candidates in the order of the text; those with a broken descriptor are left out."""
    return list(_candidates(text))


def _candidates(text: str) -> Iterator[Candidate]:
    position = 0
    while match := _URL.match(text, position):
        url = match.group(1)
        position = match.end()
        bare = url.rstrip(",")
        descriptors = ""
        if bare == url:  # a URL that ends in a comma has no descriptors
            rest = _DESCRIPTORS.match(text, position)
            descriptors, position = (rest.group(), rest.end()) if rest else ("", position)
        size = _size(descriptors.split())
        if bare and size:
            yield Candidate(bare, *size, match.start(1), match.start(1) + len(bare))


def _size(descriptors: list[str]) -> tuple[int, float] | None:
    width, density = 0, 1.0
    for descriptor in descriptors:
        match = _DESCRIPTOR.fullmatch(descriptor)
        if not match:
            return None
        width = int(match.group(1) or width)
        density = float(match.group(2) or density)
    return width, density
