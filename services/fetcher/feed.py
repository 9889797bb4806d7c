"""What a feed says, once it is read: frozen values that travel from the parsing child to the poll."""

import msgspec

from services.fetcher.images import Image


class Enclosure(msgspec.Struct, frozen=True):
    """A file that an entry carries along."""

    url: str  # absolute
    type: str = ""  # media type, lower case
    length: int = 0  # bytes, as the feed says; 0: unknown


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of a feed, normalised."""

    identity: str  # 24 hex digits; see `identity.py` for how it survives what publishers change
    aliases: tuple[str, ...] = ()  # what else it may be known by; seen under any of these it is seen
    id: str = ""  # guid or id as given
    title: str = ""  # plain text
    link: str = ""  # absolute
    link_md5: str = ""  # MD5 hex of `link`
    author: str = ""
    published: str = ""  # the date as given
    published_ms: int | None = None  # Unix epoch milliseconds; None: none given or none that can be
    updated_ms: int | None = None
    body: str = ""  # sanitised HTML with absolute source URLs, or plain text; empty where `known` had it
    body_type: str = "html"  # "html" or "text"
    content_hash: str = ""  # 16 hex digits; differs where the entry was updated
    images: tuple[Image, ...] = ()  # in the order of the body; a cover that the body has not comes first
    covers: tuple[str, ...] = ()  # sources out of `images` that may be the cover, best first
    covers_named: int = 0  # how many of `covers` the feed itself names; a page's og:image goes after these
    enclosures: tuple[Enclosure, ...] = ()
    invalid_hrefs: dict[str, int] = {}  # `<a href>` that is no usable URL, to how often


class Hints(msgspec.Struct, frozen=True, kw_only=True):
    """How often a feed asks to be polled."""

    ttl_seconds: int = 0  # RSS `ttl`
    period_seconds: int = 0  # `sy:updatePeriod` over `sy:updateFrequency`
    skip_hours: tuple[int, ...] = ()  # hours of the day, UTC, 0 to 23
    skip_days: tuple[int, ...] = ()  # weekdays, UTC, 0 Monday to 6 Sunday


class ParsedFeed(msgspec.Struct, frozen=True, kw_only=True):
    """A feed, or an HTML page that names some."""

    kind: str  # "rss", "rdf", "atom", "json", "cdf"; "html": no feed, see `alternates`
    version: str = ""  # feedparser's name for the dialect, "json1", "json11"
    title: str = ""
    link: str = ""  # the site, absolute
    description: str = ""
    language: str = ""
    icon: str | None = None  # source URL of the icon or logo that the feed names
    hub: str | None = None  # WebSub
    self_url: str | None = None  # WebSub: the topic
    hints: Hints = Hints()
    entries: tuple[Entry, ...] = ()  # in the order of the feed, each identity once
    alternates: tuple[str, ...] = ()  # feeds that an HTML page names, its first choice first


class RawMedia(msgspec.Struct, frozen=True):
    """A picture that a feed names for an entry outside its body."""

    url: str
    width: int = 0  # pixels; 0: unknown
    rank: int = 0  # of unknown or equal widths the lower goes first


class RawEntry(msgspec.Struct, frozen=True, kw_only=True):
    """An entry as its format gives it, before anything is decided about it."""

    id: str = ""
    title: str = ""
    link: str = ""
    author: str = ""
    published: str = ""
    published_ms: int | None = None
    updated_ms: int | None = None
    content: str = ""
    content_type: str = "text/html"  # or "text/plain"
    base: str = ""  # that the body's relative URLs are relative to; empty: the link
    media: tuple[RawMedia, ...] = ()
    enclosures: tuple[Enclosure, ...] = ()
