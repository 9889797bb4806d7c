"""Tell images that are no pictures: what tracks readers (dropped), and what must never be a cover (kept, small)."""

import re

from shared.urls import host_of

_TRACKERS = frozenset(
    {
        "analytics.google.com",
        "ad.doubleclick.net",
        "b.scorecardresearch.com",
        "da.feedsportal.com",
        "feedproxy.google.com",
        "googleads.g.doubleclick.net",
        "in.getclicky.com",
        "pi.feedsportal.com",
        "pixel.quantserve.com",
        "pixel.wp.com",
        "res.feedsportal.com",
        "rss.feedsportal.com",
        "rss.buysellads.com",
        "sb.scorecardresearch.com",
        "sharethis.com",
        "stats.wordpress.com",
        "stats.wp.com",
        "stats.g.doubleclick.net",
        "tracking.feedpress.it",
        "tracking.feedpress.com",
        "www.google-analytics.com",
        "www.googletagmanager.com",
        "hits.seeyoufarm.com",
        "count.getsocial.io",
        "feedads.g.doubleclick.net",
    }
)
_TRACKER_PATH = re.compile(
    r"//feeds\.feedburner\.com/~(?:r|ff)/|//feeds\.(?:wordpress|feedblitz)\.com/(?:1\.0|~|-/)|//(?:www\.)?facebook\.com/tr\b"
    r"|//medium\.com/_/stat|//[^/]+/(?:b|g|p|c|t|utm|__utm|pixel|track(?:er|ing)?|beacon|spacer|clear|1x1|count(?:er)?)\.gif\?"
    r"|//[^/]+/(?:piwik|matomo)\.php|//[^/]+/(?:wf/open|o/eJ|track/open|open\.aspx|tr/op/)|//t\.co/i/adsct|//api\.follow\.it/track"
    r"|//(?:pixel|track(?:ing)?|beacon|analytics)\.[^/]+/(?![^?]*\.(?:jpe?g|png|webp|avif))"
    r"|//(?:counter|metrics|stats?)\.[^/]+/[^?]*\.gif(?:\?|$)",
    re.IGNORECASE,
)
_AD_HOST = re.compile(
    r"//(?:[^/]*\.)?(?:doubleclick\.net|googlesyndication\.com|adservice\.google\.com|amazon-adsystem\.com|adnxs\.com"
    r"|buysellads\.(?:com|net)|carbonads\.(?:com|net)|outbrain\.com|taboola\.com|criteo\.(?:com|net)|ad(?:s|server|srv)?\.[^/]+)/",
    re.IGNORECASE,
)
_SMALL = re.compile(
    r"gravatar\.com/avatar|/images/core/emoji/|twemoji|/emoji/|/emojis?[-_/]|/smil(?:ies|eys)/|/avatars?[-_/.]|[-_/]avatar\."
    r"|//(?:www\.)?google\.com/s2/favicons|/favicon\.|[-_/](?:spacer|blank|transparent|pixel|1x1|clear)\.(?:gif|png)"
    r"|//badge\.|//img\.shields\.io/|\bbadge\.(?:svg|png)|//(?:www\.)?assoc-amazon\.|addtoany|sharethis|/share[-_](?:icon|button)",
    re.IGNORECASE,
)
_SMALL_CLASS = re.compile(
    r"\b(?:emoji|wp-smiley|avatar|gravatar|author-(?:image|photo)|icon|twemoji|badge)\b", re.IGNORECASE
)
_HIDDEN = re.compile(
    r"display\s*:\s*none|visibility\s*:\s*hidden|(?:^|;)\s*(?:width|height)\s*:\s*[01](?:px)?\s*(?:;|$)", re.IGNORECASE
)
_PLACEHOLDER = re.compile(
    r"(?:^|[-_/.])(?:blank|spacer|placeholder|transparent|pixel|1x1|1px|clear|grey|gray|lazy(?:load)?|loading|loader|dot|empty|preload|trans)"
    r"(?:[-_.]?(?:\d+(?:x\d+)?|image|img|spinner))*\.(?:gif|png|svg|jpe?g|webp)(?:$|[?#])|//(?:via\.)?placehold(?:er)?\.",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"\s*(\d+)(?:\.\d+)?\s*(?:px)?\s*", re.IGNORECASE)
_STYLE_SIZE = {
    name: re.compile(rf"(?:^|[;\s]){name}\s*:\s*(\d+)(?:\.\d+)?px", re.IGNORECASE) for name in ("width", "height")
}
SMALLEST_COVER = 100  # pixels, either way, where the feed says how large the image is


def declared(name: str, attributes: dict[str, str]) -> int | None:
    """Return the `width` or `height` in pixels that an element claims, by attribute or style; None: it does not."""
    match = _NUMBER.fullmatch(attributes.get(name, "")) or _STYLE_SIZE[name].search(attributes.get("style", ""))
    return min(int(match.group(1)[:9]), 100_000) if match else None


def is_tracker(url: str, attributes: dict[str, str]) -> bool:
    """Return whether this `<img>` is there to be counted, not to be seen."""
    sizes = (declared("width", attributes), declared("height", attributes))
    if any(size is not None and size <= 1 for size in sizes):
        return True
    hidden = "hidden" in attributes or _HIDDEN.search(attributes.get("style", ""))
    return bool(hidden) or host_of(url) in _TRACKERS or bool(_TRACKER_PATH.search(url))


def may_be_cover(url: str, attributes: dict[str, str]) -> bool:
    """Return whether an image may stand for its article: no emoji, avatar, badge, advertisement, nothing small."""
    sizes = (declared("width", attributes), declared("height", attributes))
    if any(size is not None and size < SMALLEST_COVER for size in sizes):
        return False
    hints = attributes.get("class", "")
    return not (_SMALL.search(url) or _AD_HOST.search(url) or _SMALL_CLASS.search(hints) or is_tracker(url, {}))


def is_placeholder(url: str) -> bool:
    """Return whether a lazy loader's `src` merely holds the place of the image that is meant."""
    return not url or url[:5].lower() in {"data:", "about"} or bool(_PLACEHOLDER.search(url))
