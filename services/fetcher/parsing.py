"""What the parsing child runs; importing it loads all that a feed may need, for the child can open no file.

The service itself only names it.
"""

import encodings
import pkgutil
from codecs import lookup
from collections.abc import Mapping
from contextlib import suppress

from services.fetcher.entries import parse_feed
from services.fetcher.feed import ParsedFeed
from shared.errors import Reject

_ITEM = "<item><title>t</title><link>http://x/1</link><pubDate>Mon, 27 Jul 2020 00:00:00 GMT</pubDate>"
_ONE_OF_EACH = (  # libraries import some of their parts only when they meet what these are for
    f"<rss version='2.0'><channel>{_ITEM}<description>&lt;p&gt;b&lt;/p&gt;</description></item></channel></rss>",
    f"<rss version='2.0'><channel>{_ITEM}<description>&nbsp;<broken></item>",
    "<feed xmlns='http://www.w3.org/2005/Atom'><entry><id>a</id><updated>2020-07-27T00:00:00Z</updated></entry></feed>",
    '{"version": "https://jsonfeed.org/version/1.1", "items": [{"id": "1", "content_html": "<p>b</p>"}]}',
    "<!doctype html><html><head><link rel='alternate' type='application/rss+xml' href='/feed'></head></html>",
    "nothing",
)


def parse(body: bytes, url: str, content_type: str | None, known: Mapping[str, str]) -> ParsedFeed:
    """Return the feed in `body`; see `parse_feed`."""
    return parse_feed(body, url=url, content_type=content_type, known=known)


def _load_everything() -> None:
    for module in pkgutil.iter_modules(encodings.__path__):
        with suppress(LookupError):  # not every module is a codec
            lookup(module.name)
    for text in _ONE_OF_EACH:
        with suppress(Reject):
            parse(text.encode(), "http://x/", None, {})


_load_everything()
