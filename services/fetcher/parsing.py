"""What the parsing child runs; importing it loads all that a feed may need, for the child can open no file."""

import encodings
import pkgutil
from codecs import lookup
from collections.abc import Mapping
from contextlib import suppress

from services.fetcher.entries import parse_feed
from services.fetcher.feed import ParsedFeed

TARGET = "services.fetcher.parsing:parse"

for _module in pkgutil.iter_modules(encodings.__path__):
    with suppress(LookupError):  # not every module is a codec
        lookup(_module.name)


def parse(body: bytes, url: str, content_type: str | None, known: Mapping[str, str]) -> ParsedFeed:
    """Return the feed in `body`; see `parse_feed`."""
    return parse_feed(body, url=url, content_type=content_type, known=known)
