"""Read a web page's head: the feeds it names, the image it wants to be shared with, its icons."""

import re
from collections.abc import Iterator

import msgspec

from services.fetcher.text import decode, plain
from shared.tags import walk
from shared.urls import resolve

_FEED_TYPES = {
    "application/rss+xml": 0,
    "application/atom+xml": 0,
    "application/feed+json": 0,
    "application/rdf+xml": 1,
    "application/json": 2,
    "application/xml": 2,
    "text/xml": 2,
}
_COMMENTS = re.compile(r"comments?(?:/feed|[/.?]|$)|/feed/comments|comments-rss", re.IGNORECASE)
_COMMENTS_TITLE = re.compile(r"\bcomments?\b|\breplies\b", re.IGNORECASE)
_JSON_API = re.compile(r"/wp-json/|oembed", re.IGNORECASE)
_SHARED = ("og:image:secure_url", "og:image:url", "og:image", "twitter:image", "twitter:image:src")
_ICON_RELS = {"icon": 0, "apple-touch-icon": 1, "apple-touch-icon-precomposed": 2, "fluid-icon": 3, "mask-icon": 9}
_TITLE = re.compile(r"<title[^>]*>([^<]{0,500})", re.IGNORECASE)
_SIZE = re.compile(r"(\d+)x(\d+)", re.IGNORECASE)
_BEST_ICON = 180  # pixels: sharp wherever an icon is shown, and still small


class Page(msgspec.Struct, frozen=True):
    """What the head of a web page says to machines; all URLs absolute."""

    title: str
    feeds: tuple[str, ...]  # the page's first choice first, comment feeds last
    images: tuple[str, ...]  # og:image, then twitter:image
    icons: tuple[str, ...]  # the best first


def read_page(text: str, url: str) -> Page:
    """Return what the page at `url` says in its `<link>` and `<meta>` elements."""
    base, feeds, images, icons = url, list[tuple[int, str]](), list[tuple[int, str]](), list[tuple[float, str]]()
    for name, attributes in _head(text):
        if name == "base":
            base = resolve(attributes.get("href", ""), url) or base
        elif name == "meta":
            images += _shared_image(attributes, base)
        else:
            feeds += _feed(attributes, base)
            icons += _icon(attributes, base)
    title = _TITLE.search(text)
    return Page(plain(title.group(1)) if title else "", _in_order(feeds), _in_order(images), _in_order(icons))


def find_page_images(page: bytes, url: str, content_type: str | None = None) -> tuple[str, ...]:
    """Return the images that an article's page wants to be shared with, `og:image` first."""
    return read_page(decode(page, content_type), url).images


def find_icon(page: bytes, url: str, content_type: str | None = None) -> str | None:
    """Return the icon of the site whose page this is: what it names, else `/favicon.ico`."""
    return next(iter(read_page(decode(page, content_type), url).icons), None) or resolve("/favicon.ico", url)


def _head(text: str) -> Iterator[tuple[str, dict[str, str]]]:
    for tag in walk(text):
        if tag.name in {"link", "meta", "base"} and not tag.closing:
            yield tag.name, {name: attribute.value for name, attribute in tag.attributes().items()}


def _feed(attributes: dict[str, str], base: str) -> Iterator[tuple[int, str]]:
    rels = attributes.get("rel", "").lower().split()
    rank = _FEED_TYPES.get(attributes.get("type", "").partition(";")[0].strip().lower())
    href = attributes.get("href", "").strip()
    if rank is None or not href or not {"alternate", "feed"} & set(rels) or _JSON_API.search(href):
        return
    if _COMMENTS.search(href) or _COMMENTS_TITLE.search(attributes.get("title", "")):
        rank += 5
    if url := resolve(re.sub(r"^feed:(?://)?(?=https?:)|^feed:(?=//)", "", href), base):
        yield rank, url


def _shared_image(attributes: dict[str, str], base: str) -> Iterator[tuple[int, str]]:
    name = (attributes.get("property") or attributes.get("name") or attributes.get("itemprop") or "").lower()
    content = attributes.get("content", "").strip()
    if name in _SHARED and content and (url := resolve(content, base)):
        yield (1 if name.startswith("twitter") else 0), url


def _icon(attributes: dict[str, str], base: str) -> Iterator[tuple[float, str]]:
    ranks = [_ICON_RELS[rel] for rel in attributes.get("rel", "").lower().split() if rel in _ICON_RELS]
    href = attributes.get("href", "").strip()
    url = resolve(href, base) if ranks and href else None
    if url:
        yield _icon_rank(attributes, url) + min(ranks) / 10, url


def _icon_rank(attributes: dict[str, str], url: str) -> float:
    """Return how far an icon is from what is wanted: a picture with pixels, about `_BEST_ICON` wide."""
    if url.partition("?")[0].endswith(".svg") or "svg" in attributes.get("type", ""):
        return 10_000
    widths = [int(width[:5]) for width, _ in _SIZE.findall(attributes.get("sizes", ""))]
    default = _BEST_ICON if "apple" in attributes.get("rel", "").lower() else 16
    return min((abs(width - _BEST_ICON) for width in widths), default=abs(default - _BEST_ICON))


def _in_order(found: list[tuple[int, str]] | list[tuple[float, str]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(url for _, url in sorted(found, key=lambda item: item[0])))
